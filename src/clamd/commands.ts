/** The clamd commands the gateway uses, always in their `z` form: paths and virus names may hold line feeds (clamd(8)). */

import { freeChunk } from "../core/chunk-source.ts";
import type { SpooledBody } from "../core/spool.ts";

/**
 * The pieces of one array go out in one system call; of several arrays the next one is asked for when the one before has left this process.
 * A request can be sent more than once.
 */
export type Request = readonly Uint8Array[] | AsyncIterable<readonly Uint8Array[]>;

const chunkEnd = new Uint8Array(4);
const instream = Buffer.from("zINSTREAM\0");
/** Each is a trip to the thread pool, to the socket and back, which costs more than the bytes of a small one. */
const filePieceBytes = 256 * 1024;
/** What costs less to copy than to hand to the socket as pieces. */
const copiedBytes = 16 * 1024;

export const versionCommand: Request = [Buffer.from("zVERSION\0")];
export const pingCommand: Request = [Buffer.from("zPING\0")];
export const reloadCommand: Request = [Buffer.from("zRELOAD\0")];

/** SCAN of a file of our own spool: the path is absolute, free of links, and short enough for clamd's buffer. */
export function scanCommand(path: string): Request {
  return [Buffer.from(`zSCAN ${path}\0`)];
}

/** INSTREAM of bytes in memory: command, one chunk and end in one write. */
export function instreamBytes(bytes: Uint8Array): Request {
  if (bytes.length === 0) return [instream, chunkEnd];
  const pieces = [instream, lengthOf(bytes), bytes, chunkEnd];
  return bytes.length > copiedBytes ? pieces : [Buffer.concat(pieces)];
}

/** INSTREAM of a body that is not in memory, a chunk per piece of the file. Throws where the body cannot be read whole. */
export function instreamFile(body: SpooledBody): AsyncIterable<readonly Uint8Array[]> {
  return { [Symbol.asyncIterator]: () => chunksOf(body) };
}

async function* chunksOf(body: SpooledBody): AsyncGenerator<readonly Uint8Array[]> {
  let sent = 0;
  yield [instream];
  for await (const piece of readAhead(body.read({ pieceBytes: filePieceBytes }))) {
    // A chunk of no length would be clamd's end of the body: it would answer for a part of it.
    if (piece.length === 0) continue;
    sent += piece.length;
    yield [lengthOf(piece), piece];
    freeChunk(piece);
  }
  if (sent !== body.size) throw new Error(`the body has ${body.size} bytes, but ${sent} could be read`);
  yield [chunkEnd];
}

function lengthOf(piece: Uint8Array): Uint8Array {
  const header = Buffer.allocUnsafe(4);
  header.writeUInt32BE(piece.length);
  return header;
}

/** At most one piece ahead. An error of the source comes in its place, after the pieces before it. */
export async function* readAhead<T>(source: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (let next = iterator.next(); ; ) {
      const { done, value } = await next;
      if (done) return;
      next = iterator.next();
      next.catch(() => {}); // heard in its turn, if anyone still asks
      yield value;
    }
  } finally {
    await iterator.return?.();
  }
}
