/** A bare clamd client: what anybody would write who has the bytes in hand and nothing else to do. */

import { writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import type { ClamdCommand } from "./load.ts";

/** Scans one body after the other. Rejects when the answer is anything but OK. */
export interface ClamdClient {
  scan(pieces: readonly Buffer[]): Promise<void>;
  close(): void;
}

export interface ClamdClientOptions {
  readonly socketPath: string;
  /** For this client's file. */
  readonly directory: string;
  readonly index: number;
}

const instream = Buffer.from("zINSTREAM\0");
const chunkEnd = Buffer.alloc(4);

export async function openClamdClient(command: ClamdCommand, options: ClamdClientOptions): Promise<ClamdClient> {
  const { socketPath } = options;
  const path = join(options.directory, `${options.index}`);
  switch (command) {
    case "instream":
      return { scan: async (pieces) => expectOk(await exchange(socketPath, chunked(pieces)), "stream"), close() {} };
    case "session":
      return openSession(socketPath);
    case "write-and-scan":
      return {
        async scan(pieces) {
          await writeFile(path, pieces);
          expectOk(await exchange(socketPath, [Buffer.from(`zSCAN ${path}\0`)]), path);
        },
        close() {},
      };
    case "scan": {
      let isThere = false;
      return {
        async scan(pieces) {
          if (!isThere) await writeFile(path, pieces);
          isThere = true;
          expectOk(await exchange(socketPath, [Buffer.from(`zSCAN ${path}\0`)]), path);
        },
        close() {},
      };
    }
  }
}

async function openSession(socketPath: string): Promise<ClamdClient> {
  const socket = connect({ path: socketPath });
  let received = "";
  let settle: { resolve: (reply: string) => void; reject: (error: Error) => void } | null = null;
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
    if (!received.endsWith("\0")) return;
    settle?.resolve(received);
    received = "";
  });
  socket.on("error", (error) => settle?.reject(error));
  socket.on("close", () => settle?.reject(new Error("clamd ended the session")));
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  socket.write("zIDSESSION\0");
  let id = 0;
  return {
    async scan(pieces) {
      id += 1;
      const reply = await new Promise<string>((resolve, reject) => {
        settle = { resolve, reject };
        write(socket, chunked(pieces));
      });
      expectOk(reply, `${id}: stream`);
    },
    close: () => socket.removeAllListeners("close").destroy(),
  };
}

function exchange(socketPath: string, pieces: readonly Buffer[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path: socketPath });
    let received = "";
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
    });
    socket.once("error", reject);
    socket.once("end", () => {
      resolve(received);
      socket.destroy();
    });
    write(socket, pieces);
  });
}

/** In one system call where the socket takes it. */
function write(socket: Socket, pieces: readonly Buffer[]): void {
  socket.cork();
  for (const piece of pieces) socket.write(piece);
  socket.uncork();
}

/** INSTREAM with the whole body as one chunk. */
function chunked(pieces: readonly Buffer[]): readonly Buffer[] {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(pieces.reduce((sum, piece) => sum + piece.length, 0));
  return [instream, length, ...pieces, chunkEnd];
}

function expectOk(reply: string, subject: string): void {
  if (reply !== `${subject}: OK\0`) throw new Error(`clamd answered ${JSON.stringify(reply.slice(0, 200))}`);
}
