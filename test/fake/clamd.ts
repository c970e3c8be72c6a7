/** A clamd that does what a test scripts: it reads commands like the real one, in sessions and one on a connection, and answers as told. */

import { createServer, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { alertProbes } from "../../src/clamd/alerts.ts";
import type { ClamdAddress } from "../../src/clamd/connection.ts";
import { RequestReader } from "../../src/codec/clamd/request.ts";

const retryMs = 100;
const mostTries = 100;

/**
 * What the fake does with one command. In a session it puts the command's number before each reply in the strings, and before nothing that
 * is given as bytes.
 */
export type Act =
  /** Sends the pieces one after the other, then ends the connection; not in a session, where the last piece ends in NUL. */
  | { readonly kind: "answer"; readonly pieces: readonly (string | Uint8Array)[] }
  /** Sends the pieces one after the other, then ends the connection, in a session too. */
  | { readonly kind: "close"; readonly pieces: readonly (string | Uint8Array)[] }
  /** Sends the pieces and leaves the connection open. */
  | { readonly kind: "linger"; readonly pieces: readonly (string | Uint8Array)[] }
  /** Sends the pieces, then resets the connection. */
  | { readonly kind: "reset"; readonly pieces: readonly (string | Uint8Array)[] }
  /** Sends the pieces and leaves the connection open for the next command. */
  | { readonly kind: "kept"; readonly pieces: readonly (string | Uint8Array)[] }
  /** Never answers; the connection stays. */
  | { readonly kind: "stall" };

/** Decides on one command; may take its time. */
type Decide<T> = (subject: T) => Act | Promise<Act>;

export interface FakeClamdOptions {
  /** On each body that came by INSTREAM, canaries left out; default: clean. In a session it is told the command's number, else null. */
  readonly scan?: (body: Buffer, number: number | null) => Act | Promise<Act>;
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
  /** What it makes of IDSESSION: it keeps them, ends each after its first answer, or knows no such command; default: kept. */
  readonly sessions?: "kept" | "short" | "unknown";
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
  /** Sessions that were begun so far, and bodies and paths that came in one. */
  sessions(): { readonly begun: number; readonly scans: number };
  /** Writes something into every session in which nothing is being decided, and ends those unless it is told not to. */
  interrupt(words: string, goesOn?: "goes on"): void;
  /** Ends all connections and the listener, as a killed clamd would. */
  kill(): Promise<void>;
}

export const answer = (...pieces: (string | Uint8Array)[]): Act => ({ kind: "answer", pieces });
/** Not numbered: what no clamd would answer in a session. */
export const raw = (text: string): Act => answer(Buffer.from(text, "latin1"));
export const clean = answer("stream: OK\0");
export const found = (name: string): Act => answer(`stream: ${name} FOUND\0`);
export const stall: Act = { kind: "stall" };
export const reset = (...pieces: string[]): Act => ({ kind: "reset", pieces });

const nothing = Buffer.alloc(0);
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
  /** Sessions in which nothing is being decided. */
  readonly #idle = new Set<Socket>();
  #sessionsBegun = 0;
  #sessionScans = 0;

  constructor(options: FakeClamdOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#serve(socket));
  }

  get address(): ClamdAddress & { readonly kind: "tcp" } {
    return { kind: "tcp", host: "127.0.0.1", port: this.#port };
  }

  async listen(port: number): Promise<void> {
    // One that comes back finds its port taken where another program has just gone out from it.
    for (let tries = 1; !(await this.#isListening(port, tries < mostTries)); tries += 1) await delay(retryMs);
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("not listening on TCP");
    this.#port = address.port;
  }

  #isListening(port: number, mayBeTaken: boolean): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException) =>
        mayBeTaken && error.code === "EADDRINUSE" ? resolve(false) : reject(error);
      this.#server.once("error", onError).listen(port, "127.0.0.1", () => {
        this.#server.off("error", onError);
        resolve(true);
      });
    });
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

  sessions(): { readonly begun: number; readonly scans: number } {
    return { begun: this.#sessionsBegun, scans: this.#sessionScans };
  }

  interrupt(words: string, goesOn?: "goes on"): void {
    for (const socket of this.#idle) {
      if (goesOn === undefined) socket.removeAllListeners("data").resume().end(words);
      else socket.write(words);
    }
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
    socket.on("close", () => {
      this.#sockets.delete(socket);
      this.#idle.delete(socket);
    });
    socket.on("error", () => {}); // the gateway may cut it
    const reader = new CommandReader();
    /** Of the last command; null outside a session. */
    let number: number | null = null;
    let running = 0;
    let isEnding = false;
    const endOfSession = () => {
      if (isEnding && running === 0) socket.end();
    };
    socket.once("end", () => {
      if (number !== null) socket.end();
    });
    const isRefused = (name: string) => this.#options.sessions === "unknown" && name === "IDSESSION";
    socket.on("data", (chunk: Buffer) => {
      reader.push(chunk);
      for (let command = reader.next(); command !== null; command = reader.next()) {
        if (command.name === "IDSESSION" && !isRefused(command.name)) {
          number = 0;
          this.#sessionsBegun += 1;
          this.#idle.add(socket);
        } else if (number === null) {
          socket.removeAllListeners("data").resume();
          void this.#decide(command).then((act) => perform(socket, act));
          return;
        } else if (command.name === "END") {
          isEnding = true;
          this.commands.push(command.name);
          endOfSession();
        } else {
          number += 1;
          running += 1;
          this.#idle.delete(socket);
          if (!isEicar(command.body) && command.name !== "PING") this.#sessionScans += 1;
          void this.#decideInSession(command, number).then(async (act) => {
            await perform(socket, act);
            if (act.kind === "stall" || act.kind === "linger") return;
            running -= 1;
            this.#idle.add(socket);
            if (this.#options.sessions === "short") socket.end();
            endOfSession();
          });
        }
      }
      const { refuseEarly } = this.#options;
      if (refuseEarly !== undefined && reader.isWithin && reader.bodyBytes > refuseEarly.afterBytes) {
        // Unread bytes stay behind: the close of such a connection is a reset.
        socket.removeAllListeners("data").pause();
        const act = number === null ? refuseEarly.act : inSession(refuseEarly.act, number + 1);
        void perform(socket, act.kind === "answer" ? { ...act, kind: "close" } : act, () => socket.destroy());
      }
    });
  }

  async #decideInSession(command: Command, number: number): Promise<Act> {
    // clamd answers so, and ends the session.
    if (command.name === "RELOAD")
      return inSession({ kind: "close", pieces: ["Command invalid inside IDSESSION. ERROR\0"] }, number);
    return inSession(await this.#decide(command, number), number);
  }

  async #decide({ name, body }: Command, number: number | null = null): Promise<Act> {
    const { isCanary = isEicar, canary, lacking, version, reload, scan, scanPath } = this.#options;
    if (name === "PING") return answer("PONG\0");
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
    return this.#counted(() => scan?.(body, number) ?? clean);
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

/** Commands, each with the whole body that follows it. */
class CommandReader {
  readonly #requests = new RequestReader();
  #pieces: Buffer[] = [];
  bodyBytes = 0;

  /** True while a part of a command has come. */
  get isWithin(): boolean {
    return this.#requests.isInBody || this.#requests.isInCommand;
  }

  push(chunk: Buffer): void {
    this.#requests.push(chunk);
  }

  /** The next command that is whole. */
  next(): Command | null {
    for (let event = this.#requests.next(); event !== null; event = this.#requests.next()) {
      if (event.kind === "unknown") return { name: event.text.toString("latin1"), body: nothing };
      if (event.kind === "data") {
        this.#pieces.push(event.bytes);
        this.bodyBytes += event.bytes.length;
      } else if (event.kind === "body-end") {
        const body = Buffer.concat(this.#pieces);
        this.#pieces = [];
        this.bodyBytes = 0;
        return { name: "INSTREAM", body };
      } else if (event.command.name !== "INSTREAM") {
        const { name, path } = event.command;
        return { name: path === null ? name : `${name} ${path.toString("utf8")}`, body: nothing };
      }
    }
    return null;
  }
}

async function perform(socket: Socket, act: Act, end: () => void = () => socket.end()): Promise<void> {
  if (act.kind === "stall") return;
  for (const piece of act.pieces) {
    await new Promise<void>((resolve) => socket.write(piece, () => resolve()));
    await new Promise(setImmediate);
  }
  if (act.kind === "reset") socket.resetAndDestroy();
  else if (act.kind !== "linger" && act.kind !== "kept") end();
}

/** The act with its replies numbered; one that is whole leaves the session open. */
function inSession(act: Act, number: number): Act {
  if (act.kind === "stall") return act;
  let isBegun = true;
  const pieces = act.pieces.map((piece) => {
    if (typeof piece !== "string" || piece === "") return piece;
    const isWhole = piece.endsWith("\0");
    const numbered = `${isBegun ? `${number}: ` : ""}${piece.slice(0, -1).replaceAll("\0", `\0${number}: `)}${piece.at(-1)}`;
    isBegun = isWhole;
    return numbered;
  });
  const last = act.pieces.at(-1);
  const isOpen = act.kind === "answer" && last !== undefined && last.at(-1) === (typeof last === "string" ? "\0" : 0);
  return { kind: isOpen ? "kept" : act.kind, pieces };
}

function isEicar(body: Buffer): boolean {
  return body.length === 68 && body.includes("EICAR");
}
