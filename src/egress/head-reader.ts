/**
 * Stands between an origin's connection and undici's parser, which takes neither `100 Continue` nor a lenient head, and whose words for both
 * are that the connection was closed: passes over interim answers, and hands on the final head as `plainHead` writes it, or refuses it.
 */

import type { Socket } from "node:net";
import { BoundedBuffer } from "../codec/bounded-buffer.ts";
import { plainHead } from "./plain-head.ts";
import { brokenAnswer, UpstreamError } from "./refusal.ts";

const protocol = Buffer.from("HTTP/");
const lineFeed = 10;
const carriageReturn = 13;

export class HeadReader {
  readonly #maxBytes: number;
  #held: BoundedBuffer;
  /** Where the search for the end of the head goes on. */
  #searched = 0;
  #interimBytes = 0;
  /** Whether what comes next belongs to a head. Otherwise it is for the parser as it is, wanted or not. */
  #isHead = false;

  /** @param maxBytes of the final head and all interim ones before it. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#held = this.#empty();
  }

  /** A request has been sent. */
  expect(): void {
    this.#isHead = true;
    this.#held = this.#empty();
    this.#interimBytes = 0;
  }

  /** Some of a head has come, and not all of it. */
  get isWithinHead(): boolean {
    return this.#isHead && this.#held.length > 0;
  }

  /** What of it, and of what is held, goes on to the parser: empty while a head is not whole. @throws ClamgateError `upstream-failed` */
  take(chunk: Buffer): Buffer {
    let rest = chunk;
    while (this.#isHead && rest.length > 0) {
      const held = this.#held.length;
      const room = this.#maxBytes - this.#interimBytes - held;
      this.#held.append(rest.subarray(0, room));
      const bytes = this.#held.view();
      checkIsHttp(bytes);
      const end = this.#endOfHead(bytes);
      if (end === null && rest.length > room) throw brokenAnswer("The head of the origin's answer is too large");
      if (end === null) return rest.subarray(rest.length);
      rest = rest.subarray(end - held);
      const { status, text } = plainHead(bytes.toString("latin1", 0, end));
      if (status === 101) throw brokenAnswer("The origin changes to a protocol that nobody asked for");
      if (status >= 200) return this.#pass(Buffer.from(text, "latin1"), rest);
      this.#interimBytes += end;
      this.#held = this.#empty();
    }
    return rest;
  }

  #pass(head: Buffer, rest: Buffer): Buffer {
    this.#isHead = false;
    this.#held = this.#empty();
    return Buffer.concat([head, rest]);
  }

  #empty(): BoundedBuffer {
    this.#searched = 0;
    return new BoundedBuffer(this.#maxBytes, "the head of an origin's answer");
  }

  /** Behind the first empty line; null where there is none yet. */
  #endOfHead(bytes: Buffer): number | null {
    for (let at = bytes.indexOf(lineFeed, this.#searched); at >= 0; at = bytes.indexOf(lineFeed, at + 1)) {
      this.#searched = at;
      if (bytes[at + 1] === lineFeed) return at + 2;
      if (bytes[at + 1] === carriageReturn && bytes[at + 2] === lineFeed) return at + 3;
      // The rest of the pair has not come.
      if (at + 2 >= bytes.length) return null;
    }
    this.#searched = bytes.length;
    return null;
  }
}

/** To be called before anybody reads: undici takes what comes by `read()`, and writes nothing but whole requests, one at a time. */
export function readHeads(socket: Socket, maxBytes: number): void {
  const reader = new HeadReader(maxBytes);
  socket.once("end", () => {
    if (reader.isWithinHead) socket.destroy(brokenOffHead());
  });
  const read = socket.read.bind(socket);
  const write: (...given: never[]) => boolean = socket.write.bind(socket);
  socket.write = (...given: unknown[]) => {
    reader.expect();
    return Reflect.apply(write, socket, given);
  };
  socket.read = (size?: number) => {
    // Node's own streams ask for nothing, to have more read: what came of it would be lost.
    if (size === 0) return read(0);
    for (;;) {
      const chunk: Buffer | null = read();
      if (chunk === null) return null;
      try {
        const passed = reader.take(chunk);
        if (passed.length > 0) return passed;
      } catch (error) {
        socket.destroy(error instanceof Error ? error : new Error(String(error)));
        return null;
      }
    }
  };
}

/** As good a reason to ask again as no answer at all. */
function brokenOffHead(): UpstreamError {
  return new UpstreamError("upstream-failed", "The origin's answer broke off in its head", { isTransient: true });
}

/** An empty line may be passed over before a request (RFC 9112 §2.2), not before an answer: it may be the end of another body than ours. */
function checkIsHttp(bytes: Buffer): void {
  const length = Math.min(bytes.length, protocol.length);
  if (bytes.subarray(0, length).equals(protocol.subarray(0, length))) return;
  const isEmptyLine = bytes[0] === lineFeed || bytes[0] === carriageReturn;
  throw brokenAnswer(isEmptyLine ? "The origin's answer begins with an empty line" : "The origin's answer is not HTTP");
}
