/** A clamd that does what a test scripts: it reads commands like the real one and answers as told. */

import { createServer, type Server, type Socket } from "node:net";
import type { ClamdAddress } from "../../src/clamd/address.ts";
import { alertProbes } from "../../src/clamd/alert-probes.ts";

/** What the fake does with one command. */
export type Act =
  /** Sends the pieces one after the other, then ends the connection. */
  | { readonly kind: "answer"; readonly pieces: readonly (string | Uint8Array)[] }
  /** Sends the pieces and leaves the connection open. */
  | { readonly kind: "linger"; readonly pieces: readonly (string | Uint8Array)[] }
  /** Sends the pieces, then resets the connection. */
  | { readonly kind: "reset"; readonly pieces: readonly (string | Uint8Array)[] }
  /** Never answers; the connection stays. */
  | { readonly kind: "stall" };

/** Decides on one command; may take its time. */
type Decide<T> = (subject: T) => Act | Promise<Act>;

export interface FakeClamdOptions {
  /** On each body that came by INSTREAM, canaries left out; default: clean. */
  readonly scan?: Decide<Buffer>;
  /** On each path that came by SCAN; default: clean. */
  readonly scanPath?: Decide<string>;
  /** On the canary; default: found. */
  readonly canary?: () => Act | Promise<Act>;
  readonly isCanary?: (body: Buffer) => boolean;
  /** Lines that its clamd.conf lacks now: the bodies that show them are answered as clean, all others of these as they should be. Null: it has no answer. */
  readonly lacking?: () => readonly string[] | null;
  readonly version?: () => string | Act;
  readonly reload?: () => Act;
  /** Answers once more than that many bytes of a body have come, and reads no more, as clamd does on its size limit. */
  readonly refuseEarly?: { readonly afterBytes: number; readonly act: Act };
  readonly port?: number;
}

export interface FakeClamd extends AsyncDisposable {
  readonly address: ClamdAddress & { readonly kind: "tcp" };
  /** Bodies that came whole by INSTREAM, canaries left out. */
  readonly bodies: Buffer[];
  readonly commands: string[];
  /** Bodies and paths being decided on now, canaries left out; a stalled one for ever. */
  scanning(): number;
  /** The most there ever were at once. */
  mostAtOnce(): number;
  /** Resolves when that many bodies and paths have come in all. */
  received(count: number): Promise<void>;
  /** Connections that are open now. */
  open(): number;
  /** Ends all connections and the listener, as a killed clamd would. */
  kill(): Promise<void>;
}

export const answer = (...pieces: (string | Uint8Array)[]): Act => ({ kind: "answer", pieces });
export const clean = answer("stream: OK\0");
export const found = (name: string): Act => answer(`stream: ${name} FOUND\0`);
export const stall: Act = { kind: "stall" };
export const reset = (...pieces: string[]): Act => ({ kind: "reset", pieces });

const probes = alertProbes();
const reports: Readonly<Record<string, string>> = {
  "AlertEncryptedArchive yes": "Heuristics.Encrypted.Zip",
  "AlertEncryptedDoc yes": "Heuristics.Encrypted.PDF",
  "AlertExceedsMax yes": "Heuristics.Limits.Exceeded.MaxRecursion",
};

export async function startFakeClamd(options: FakeClamdOptions = {}): Promise<FakeClamd> {
  const fake = new Fake(options);
  await fake.listen(options.port ?? 0);
  return fake;
}

class Fake implements FakeClamd {
  readonly bodies: Buffer[] = [];
  readonly commands: string[] = [];
  readonly #options: FakeClamdOptions;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  readonly #waiting = new Set<() => void>();
  #port = 0;
  #scanning = 0;
  #mostAtOnce = 0;
  #received = 0;

  constructor(options: FakeClamdOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#serve(socket));
  }

  get address(): ClamdAddress & { readonly kind: "tcp" } {
    return { kind: "tcp", host: "127.0.0.1", port: this.#port };
  }

  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => this.#server.once("error", reject).listen(port, "127.0.0.1", resolve));
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("not listening on TCP");
    this.#port = address.port;
  }

  scanning(): number {
    return this.#scanning;
  }

  mostAtOnce(): number {
    return this.#mostAtOnce;
  }

  async received(count: number): Promise<void> {
    while (this.#received < count) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  open(): number {
    return this.#sockets.size;
  }

  kill(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#server.listening) return Promise.resolve();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => {}); // the gateway may cut it
    const reader = new CommandReader();
    socket.on("data", (chunk: Buffer) => {
      const command = reader.read(chunk);
      const { refuseEarly } = this.#options;
      if (command !== null) {
        socket.removeAllListeners("data").resume();
        void this.#decide(command).then((act) => perform(socket, act));
      } else if (refuseEarly !== undefined && reader.bodyBytes > refuseEarly.afterBytes) {
        // Unread bytes stay behind: the close of such a connection is a reset.
        socket.removeAllListeners("data").pause();
        void perform(socket, refuseEarly.act, () => socket.destroy());
      }
    });
  }

  async #decide({ name, body }: Command): Promise<Act> {
    const { isCanary = isEicar, canary, lacking, version, reload, scan, scanPath } = this.#options;
    this.commands.push(name);
    if (name === "VERSION") {
      const told = version?.() ?? "ClamAV 1.4.6/27001/Thu Nov 20 10:13:12 2025";
      return typeof told === "string" ? answer(`${told}\0`) : told;
    }
    if (name === "RELOAD") return reload?.() ?? answer("RELOADING\0");
    if (name.startsWith("SCAN ")) {
      const path = name.slice("SCAN ".length);
      return this.#counted(() => scanPath?.(path) ?? answer(`${path}: OK\0`));
    }
    if (name !== "INSTREAM") return answer("UNKNOWN COMMAND\0");
    if (isCanary(body)) return canary?.() ?? found("Eicar-Signature");
    const probe = probes.find(({ bytes }) => body.equals(bytes));
    if (probe !== undefined) {
      const missing = lacking === undefined ? [] : lacking();
      if (missing === null) return answer();
      return missing.includes(probe.line) ? clean : found(reports[probe.line] ?? "Eicar-Signature");
    }
    this.bodies.push(body);
    return this.#counted(() => scan?.(body) ?? clean);
  }

  async #counted(decide: () => Act | Promise<Act>): Promise<Act> {
    this.#received += 1;
    this.#scanning += 1;
    this.#mostAtOnce = Math.max(this.#mostAtOnce, this.#scanning);
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
    const act = await decide();
    if (act.kind !== "stall") this.#scanning -= 1;
    return act;
  }
}

interface Command {
  readonly name: string;
  /** Of an INSTREAM; else empty. */
  readonly body: Buffer;
}

/** One command in `z` form, and the chunks that follow INSTREAM. */
class CommandReader {
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #name: string | null = null;
  readonly #chunks: Buffer[] = [];
  bodyBytes = 0;

  /** The command once it is whole. */
  read(chunk: Buffer): Command | null {
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
    if (this.#name === null) {
      const end = this.#peek().indexOf(0);
      if (end === -1) return null;
      this.#name = this.#take(end + 1).toString("utf8", 1, end);
      if (this.#name !== "INSTREAM") return { name: this.#name, body: Buffer.alloc(0) };
    }
    while (this.#pendingBytes >= 4) {
      const length = this.#peek().readUInt32BE(0);
      if (length === 0) return { name: this.#name, body: Buffer.concat(this.#chunks) };
      if (this.#pendingBytes < 4 + length) break;
      this.#chunks.push(this.#take(4 + length).subarray(4));
      this.bodyBytes += length;
    }
    return null;
  }

  #peek(): Buffer {
    const [first, second] = this.#pending;
    if (first !== undefined && second === undefined) return first;
    const all = Buffer.concat(this.#pending);
    this.#pending = [all];
    return all;
  }

  #take(length: number): Buffer {
    const all = this.#peek();
    this.#pending = [all.subarray(length)];
    this.#pendingBytes -= length;
    return all.subarray(0, length);
  }
}

async function perform(socket: Socket, act: Act, end: () => void = () => socket.end()): Promise<void> {
  if (act.kind === "stall") return;
  for (const piece of act.pieces) {
    await new Promise<void>((resolve) => socket.write(piece, () => resolve()));
    await new Promise(setImmediate);
  }
  if (act.kind === "reset") socket.resetAndDestroy();
  else if (act.kind === "answer") end();
}

function isEicar(body: Buffer): boolean {
  return body.length === 68 && body.includes("EICAR");
}
