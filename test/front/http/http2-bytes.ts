/** One HTTP/2 stream written frame by frame: a client library would end a stream before it resets it. */

import { RawClient } from "./exchange.ts";

const streamId = 1;

/** RFC 9113 §4.1 */
function frameOf(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** RFC 7541 §6.2.2: a field without indexing, its name and value in full. */
function field(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.of(0), Buffer.of(name.length), Buffer.from(name), Buffer.of(value.length), Buffer.from(value)]);
}

export const frame = {
  data: (bytes: Uint8Array, isLast = false): Buffer => frameOf(0, isLast ? 1 : 0, streamId, bytes),
  reset(code: number): Buffer {
    const payload = Buffer.alloc(4);
    payload.writeUInt32BE(code);
    return frameOf(3, 0, streamId, payload);
  },
};

export class Http2Bytes extends RawClient {
  /** Opens the connection and the stream, and leaves its body to come. */
  async post(contentLength?: number): Promise<void> {
    const fields = [field(":method", "POST"), field(":scheme", "http"), field(":path", "/"), field(":authority", "x")];
    if (contentLength !== undefined) fields.push(field("content-length", String(contentLength)));
    const settings = frameOf(4, 0, 0, Buffer.alloc(0));
    const acknowledged = frameOf(4, 1, 0, Buffer.alloc(0));
    const headers = frameOf(1, 4, streamId, Buffer.concat(fields));
    await this.send(Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), settings, acknowledged, headers]));
  }
}
