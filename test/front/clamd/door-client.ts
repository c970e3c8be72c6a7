/** A client of clamd's protocol that leaves nothing to a library, and the pieces of what it sends. */

import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

export type DoorAddress = { readonly path: string } | { readonly host: string; readonly port: number };

/** Bytes, one character each, or a pause in milliseconds. */
export type Piece = string | number;

export interface Heard {
  /** All bytes up to the end, one character each. */
  readonly text: string;
  /** What each read brought. */
  readonly reads: readonly string[];
  /** The other end said that it is over; null when it did not, but the connection broke. */
  readonly end: "fin" | string;
  readonly ms: number;
}

export interface Connection {
  readonly socket: Socket;
  send(...pieces: readonly Piece[]): Promise<void>;
  /** Half-closes. */
  finish(): void;
  /** Resolves when so much has been read. */
  until(text: string): Promise<void>;
  /** Resolves at the end of the connection. */
  readonly heard: Promise<Heard>;
}

export function open(address: DoorAddress): Connection {
  const startedAt = performance.now();
  const socket = connect({ ...address, allowHalfOpen: true, noDelay: true } as never);
  const reads: string[] = [];
  let wake = () => {};
  socket.setEncoding("latin1").on("data", (text: string) => {
    reads.push(text);
    wake();
  });
  const heard = new Promise<Heard>((resolve) => {
    const settle = (end: string) => {
      resolve({ text: reads.join(""), reads, end, ms: performance.now() - startedAt });
      wake();
      socket.destroy();
    };
    socket.on("end", () => settle("fin"));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      // What had arrived is read first.
      setImmediate(() => settle(error.code ?? error.message));
    });
    socket.on("close", () => settle("closed"));
  });
  return {
    socket,
    async send(...pieces) {
      for (const piece of pieces) {
        if (typeof piece === "number") await delay(piece);
        else await new Promise<void>((resolve) => socket.write(piece, "latin1", () => resolve()));
      }
    },
    finish: () => void socket.end(),
    async until(text) {
      while (!reads.join("").includes(text) && !socket.destroyed) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    heard,
  };
}

/** Sends the pieces and reads to the end. */
export async function converse(address: DoorAddress, ...pieces: readonly Piece[]): Promise<Heard> {
  const connection = open(address);
  void connection.send(...pieces);
  return connection.heard;
}

export function length(bytes: number): string {
  return String.fromCharCode(bytes >>> 24, (bytes >>> 16) & 255, (bytes >>> 8) & 255, bytes & 255);
}

export function chunk(text: string): string {
  return `${length(text.length)}${text}`;
}

export const end = length(0);

/** INSTREAM with the text as one chunk. */
export function instream(text: string, form: "z" | "n" = "z"): string {
  return `${form}INSTREAM${form === "z" ? "\0" : "\n"}${text === "" ? "" : chunk(text)}${end}`;
}
