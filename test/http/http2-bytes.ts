/** One HTTP/2 stream written frame by frame: a client library would end a stream before it resets it. */

import { RawClient } from "./exchange.ts";
import { field, flags, frameOf, frameTypes, headOf, preface, reset, settings, settingsTaken } from "./http2-frames.ts";

const streamId = 1;

export const frame = {
  data: (bytes: Uint8Array, isLast = false): Buffer => {
    return frameOf(frameTypes.data, isLast ? flags.endStream : flags.none, streamId, bytes);
  },
  reset: (code: number): Buffer => reset(streamId, code),
};

export class Http2Bytes extends RawClient {
  /** Opens the connection and the stream, and leaves its body to come. */
  async post(contentLength?: number): Promise<void> {
    const fields = [headOf("POST", "/")];
    if (contentLength !== undefined) fields.push(field("content-length", String(contentLength)));
    const headers = frameOf(frameTypes.headers, flags.endHeaders, streamId, Buffer.concat(fields));
    await this.send(Buffer.concat([preface, settings(), settingsTaken, headers]));
  }
}
