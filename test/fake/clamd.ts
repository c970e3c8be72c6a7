/** A clamd that does what a test scripts: it reads commands like the real one and answers as told. */

import { createServer, type Server, type Socket } from "node:net";
import type { ClamdAddress } from "../../src/engine/address.ts";

/** What the fake does with one command. */
export type Act =
  /** Sends the pieces one after the other, then ends the connection. */
  | { readonly kind: "answer"; readonly pieces: readonly (string | Uint8Array)[] }
  /** Sends the pieces, then resets the connection. */
  | { readonly kind: "reset"; readonly pieces: readonly string[] }
  /** Never answers; the connection stays. */
  | { readonly kind: "stall" };

export interface FakeClamd extends AsyncDisposable {
  readonly address: ClamdAddress & { readonly kind: "tcp" };
  /** Bodies that came by INSTREAM, canaries left out. */
  readonly bodies: Buffer[];
  readonly commands: string[];
  /** Ends all connections and the listener, as a killed clamd would. */
  kill(): Promise<void>;
  /** Connections that are open now. */
  open(): number;
}

export interface FakeClamdOptions {
  /** Decides on each scanned body; an Act may be late. Canary bodies do not come here. */
  readonly scan?: (body: Buffer) => Act | Promise<Act>;
  /** Answers the canary; default: found. */
  readonly canary?: () => Act;
  readonly isCanary?: (body: Buffer) => boolean;
  readonly version?: () => string;
  /** Answers before the body has come, as clamd does on its size limit. */
  readonly refuseEarly?: { readonly afterBytes: number; readonly act: Act };
  readonly port?: number;
}

export const answer = (...pieces: (string | Uint8Array)[]): Act => ({ kind: "answer", pieces });
export const clean = answer("stream: OK\0");
export const found = (name: string): Act => answer(`stream: ${name} FOUND\0`);

export async function startFakeClamd(options: FakeClamdOptions = {}): Promise<FakeClamd> {
  const sockets = new Set<Socket>();
  const bodies: Buffer[] = [];
  const commands: string[] = [];
  const isCanary = options.isCanary ?? ((body) => body.includes("EICAR") && body.length === 68);

  async function decide(body: Buffer): Promise<Act> {
    if (isCanary(body)) return options.canary?.() ?? found("Eicar-Signature");
    bodies.push(body);
    return (await options.scan?.(body)) ?? clean;
  }

  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {}); // the gateway may cut it
    void serve(socket, commands, decide, options);
  });
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, "127.0.0.1", resolve));
  const kill = () => close(server, sockets);
  return {
    address: { kind: "tcp", host: "127.0.0.1", port: portOf(server) },
    bodies,
    commands,
    kill,
    open: () => sockets.size,
    [Symbol.asyncDispose]: kill,
  };
}

async function serve(
  socket: Socket,
  commands: string[],
  decide: (body: Buffer) => Promise<Act>,
  { version, refuseEarly }: FakeClamdOptions,
): Promise<void> {
  let buffer = Buffer.alloc(0);
  let command: string | null = null;
  let body = Buffer.alloc(0);
  for await (const chunk of socket) {
    buffer = Buffer.concat([buffer, chunk]);
    if (command === null) {
      const end = buffer.indexOf(0);
      if (end === -1) continue;
      command = buffer.subarray(1, end).toString();
      buffer = buffer.subarray(end + 1);
      commands.push(command);
      if (command === "VERSION") return act(socket, answer(`${version?.() ?? "ClamAV 1.4.6/27001/Thu Nov 20 10:13:12 2025"}\0`));
      if (command === "RELOAD") return act(socket, answer("RELOADING\0"));
      if (command !== "INSTREAM") return act(socket, await decide(Buffer.from(command)));
    }
    for (;;) {
      if (buffer.length < 4) break;
      const length = buffer.readUInt32BE(0);
      if (length === 0) return act(socket, await decide(body));
      if (buffer.length < 4 + length) break;
      body = Buffer.concat([body, buffer.subarray(4, 4 + length)]);
      buffer = buffer.subarray(4 + length);
      if (refuseEarly !== undefined && body.length > refuseEarly.afterBytes) return act(socket, refuseEarly.act);
    }
  }
}

async function act(socket: Socket, what: Act): Promise<void> {
  if (what.kind === "stall") return;
  for (const piece of what.pieces) {
    socket.write(piece);
    await new Promise(setImmediate);
  }
  if (what.kind === "reset") socket.resetAndDestroy();
  else socket.end();
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not listening on TCP");
  return address.port;
}

function close(server: Server, sockets: Set<Socket>): Promise<void> {
  for (const socket of sockets) socket.destroy();
  if (!server.listening) return Promise.resolve();
  return new Promise((resolve) => server.close(() => resolve()));
}
