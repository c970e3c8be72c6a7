/** Large uploads, all at once, as fast as they are taken: each notes how often it had to wait before it could send on. */

import { once } from "node:events";
import { connect } from "node:net";
import { marker } from "../../live/clamd.ts";

export interface UploadsOrder {
  /** Of the gateway's REST front. */
  readonly port: number;
  readonly count: number;
  readonly bytes: number;
  /** Every so many of them ends in a marker. */
  readonly infectedEvery: number;
}

export interface Upload {
  readonly isInfected: boolean;
  readonly status: number;
  readonly ms: number;
  /** How often the socket took no more, and how long it stayed so in all. */
  readonly waits: number;
  readonly waitedMs: number;
}

const pieceBytes = 1024 * 1024;

export async function uploadAtOnce(order: UploadsOrder): Promise<readonly Upload[]> {
  const piece = Buffer.alloc(pieceBytes, "no body that is scanned twice is like another ");
  return await Promise.all(Array.from({ length: order.count }, (_, index) => upload(order, index, piece)));
}

async function upload({ port, bytes, infectedEvery }: UploadsOrder, index: number, piece: Buffer): Promise<Upload> {
  const isInfected = (index + 1) % infectedEvery === 0;
  const stamp = Buffer.from(`${isInfected ? marker : ""} ${process.pid}-${performance.now()}-${index}`);
  const startedAt = performance.now();
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  const answered = statusOf(socket);
  let waits = 0;
  let waitedMs = 0;
  const send = async (part: Buffer) => {
    if (socket.write(part)) return;
    const since = performance.now();
    waits += 1;
    await Promise.race([once(socket, "drain"), answered]);
    waitedMs += performance.now() - since;
  };
  await send(Buffer.from(`POST /scanHandlerBody HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes}\r\n\r\n`));
  let left = bytes - stamp.length;
  for (; left > 0 && socket.writable; left -= pieceBytes) await send(piece.subarray(0, left));
  await send(stamp);
  const status = await answered;
  socket.destroy();
  return { isInfected, status, ms: performance.now() - startedAt, waits, waitedMs };
}

/** Resolves with 0 where the connection ends without an answer. */
function statusOf(socket: ReturnType<typeof connect>): Promise<number> {
  return new Promise((resolve) => {
    socket.once("data", (chunk: Buffer) => resolve(Number(chunk.toString("latin1", 9, 12))));
    socket.on("error", () => resolve(0)).on("close", () => resolve(0));
  });
}
