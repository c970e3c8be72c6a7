/** One connection to clamd: for one command and all that is answered to it, or a session, which is kept for one command after the other. */

import { maxReplyBytes, withoutNumber } from "../codec/clamd/reply.ts";
import { messageOf } from "../core/errors.ts";
import { ClamdSocket } from "./clamd-socket.ts";
import type { Request } from "./commands.ts";

/** Where a clamd listens. */
export type ClamdAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/** As it stands in logs and metrics. */
export function describeAddress(address: ClamdAddress): string {
  switch (address.kind) {
    case "tcp":
      return address.host.includes(":") ? `tcp://[${address.host}]:${address.port}` : `tcp://${address.host}:${address.port}`;
    case "unix":
      return `unix://${address.path}`;
  }
}

/** Opens a connection; must not be connected yet, or be about to. */
export type Dial = (address: ClamdAddress) => ClamdSocket;

export const dialClamd: Dial = (address) =>
  address.kind === "unix"
    ? new ClamdSocket({ allowHalfOpen: true }).connect({ path: address.path })
    : // clamd is silent while it scans: without keep-alive a peer that has vanished would never be noticed.
      new ClamdSocket({ allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 }).connect(address);

/**
 * `unreached`: no connection, or one that had ended before: clamd cannot have begun. `cut`: the connection broke before the end of the answer. `late`: no
 * whole answer in time. `nonsense`: more than any answer can be, an answer to a request that had not been sent yet, or one to another.
 */
export type ExchangeFault = "unreached" | "cut" | "late" | "nonsense";

/** How an exchange ended without a whole answer to the whole request. */
export class ExchangeError extends Error {
  override readonly name = "ExchangeError";
  readonly fault: ExchangeFault;
  /** What had arrived by then: clamd may refuse a body and close while more of it is on the way, which ends in a reset. */
  readonly received: Uint8Array;

  constructor(fault: ExchangeFault, received: Uint8Array, cause: unknown) {
    super(messageOf(cause), { cause });
    this.fault = fault;
    this.received = received;
  }
}

export type ExchangeEnd =
  /** All that was answered, without the number that a session puts before it; nothing or a part of an answer where clamd closed then. */
  | { readonly kind: "whole"; readonly received: Uint8Array }
  | { readonly kind: "broken"; readonly error: ExchangeError }
  /** What the request itself threw. */
  | { readonly kind: "unreadable"; readonly error: unknown };

export interface ConnectionOptions {
  readonly dial: Dial;
  readonly address: ClamdAddress;
  readonly connectTimeoutMs: number;
  /** Commands are numbered, and the answer to one leaves the connection open (clamd.md 1.6). */
  readonly isSession: boolean;
  /** Once, if ever. */
  readonly onConnect?: () => void;
  /** Once: the socket is gone. */
  readonly onClose?: () => void;
}

const beginSession = Buffer.from("zIDSESSION\0");
const endSession = Buffer.from("zEND\0");
const ping = Buffer.from("zPING\0");
const readTimedOut = "COMMAND READ TIMED OUT\n";
/**
 * A session that nobody uses is closed after this. One in use is told that no more follows: clamd would end it, with the scan that
 * runs, where nothing comes for ReadTimeout (120 s; clamd.conf(5)).
 */
const quietMs = 5_000;
/** What follows a refusal in mid-body is the close of the connection, and that comes at once. */
const refusalGraceMs = 250;

/** One command. */
interface Asked {
  readonly onEnd: (end: ExchangeEnd) => void;
  readonly received: Uint8Array[];
  size: number;
  /** What must be answered first: then the session has not ended before the command. */
  sign: string | null;
  /** All of it has been handed to the socket. */
  isExhausted: boolean;
  /** Something was answered before all of it had left this process. */
  isEarly: boolean;
  isOver: boolean;
  graceTimer: NodeJS.Timeout | undefined;
  /** Wakes whoever writes a request of several pieces, and waits for the end of that. */
  stop: (() => void) | null;
  sending: Promise<void> | null;
}

export class ClamdConnection {
  readonly #socket: ClamdSocket;
  readonly #isSession: boolean;
  #isConnected = false;
  #commands = 0;
  #asked: Asked | null = null;
  #isEnding = false;

  constructor({ dial, address, connectTimeoutMs, isSession, onConnect, onClose }: ConnectionOptions) {
    this.#isSession = isSession;
    this.#socket = dial(address);
    this.#socket.setTimeout(connectTimeoutMs).on("timeout", () => this.#onQuiet(connectTimeoutMs));
    this.#socket.once("connect", () => {
      this.#isConnected = true;
      this.#socket.setTimeout(isSession ? quietMs : 0);
      onConnect?.();
    });
    this.#socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    this.#socket.once("end", () => this.#onEnd());
    this.#socket.on("error", () => {}); // "close" follows
    this.#socket.once("close", () => {
      this.#onClose();
      onClose?.();
    });
  }

  /** False where no further command may be asked. */
  get isOpen(): boolean {
    return this.#isSession && !this.#isEnding && !this.#socket.destroyed && this.#socket.writeFault === null;
  }

  /**
   * To be called when no other command is under way. Pieces of one array go out in one system call, the next array is asked for when they
   * have left this process. `onEnd` is told once; after anything but a whole answer in a session the connection is closed by then.
   * @param isRested true of a session which nobody has used for a while: it is asked for a sign of life in the same write, and where that does
   * not come, the command is `unreached`.
   */
  ask(request: Request, onEnd: (end: ExchangeEnd) => void, isRested = false): void {
    const asked: Asked = {
      onEnd,
      received: [],
      size: 0,
      sign: isRested ? `${this.#commands + 1}: PONG\0` : null,
      isExhausted: false,
      isEarly: false,
      isOver: false,
      graceTimer: undefined,
      stop: null,
      sending: null,
    };
    this.#asked = asked;
    const isFirst = this.#isSession && this.#commands === 0;
    this.#commands += isRested ? 2 : 1;
    const before = [...(isFirst ? [beginSession] : []), ...(isRested ? [ping] : [])];
    if (Symbol.asyncIterator in request) {
      asked.sending = this.#send(request, asked, before);
    } else {
      asked.isExhausted = true;
      this.#write(before.length > 0 ? [...before, ...request] : request);
    }
  }

  /** Ends what is asked, if anything is, and the connection. */
  close(fault: ExchangeFault = "cut", cause: unknown = new Error("it was closed")): void {
    this.#socket.destroy();
    this.#break(fault, cause);
  }

  #onData(chunk: Uint8Array): void {
    const asked = this.#asked;
    // To a command that was answered already, or to none.
    if (asked === null) return void this.close();
    asked.size += chunk.length;
    if (asked.size > maxReplyBytes) return void this.close("nonsense", new Error(`more than ${maxReplyBytes} bytes of reply`));
    asked.received.push(chunk);
    if (asked.sign !== null) return void this.#onSign(asked, asked.sign);
    if (!asked.isExhausted || this.#socket.writableLength > 0) this.#stopSending(asked);
    if (this.#isSession && !asked.isEarly && chunk.includes(0)) this.#onNumbered(asked);
  }

  /** What follows the sign is the answer. Other last words than clamd's at the end of a session are no such end. */
  #onSign(asked: Asked, sign: string): void {
    const received = joined(asked.received);
    const text = Buffer.from(received).toString("latin1");
    if (text.startsWith(sign)) {
      asked.sign = null;
      asked.received.length = 0;
      asked.size = 0;
      const rest = received.subarray(sign.length);
      if (rest.length > 0) this.#onData(rest);
    } else if (!sign.startsWith(text) && !readTimedOut.startsWith(text)) {
      this.close("nonsense", new Error(`not the sign of life that was asked for: ${JSON.stringify(text.slice(0, 200))}`));
    }
  }

  /** Only an answer with the command's own number is one. What is behind its NUL is a part of it, and makes it no verdict. */
  #onNumbered(asked: Asked): void {
    const answer = joined(asked.received);
    const received = withoutNumber(answer, this.#commands);
    if (received !== null) return void this.#settle(asked, { kind: "whole", received });
    const text = JSON.stringify(Buffer.from(answer).toString("latin1", 0, 200));
    this.close("nonsense", new Error(`not the answer to command ${this.#commands} of the session: ${text}`));
  }

  /** Who answers before the end has no more to say; clamd closes right after such a refusal. */
  #stopSending(asked: Asked): void {
    if (asked.isEarly) return;
    asked.isEarly = true;
    asked.stop?.();
    asked.graceTimer = afterReading(refusalGraceMs, () => this.#socket.destroy());
  }

  /** An answer that ends in a reset is not a whole one. */
  #onEnd(): void {
    const asked = this.#asked;
    const { writeFault } = this.#socket;
    this.#socket.destroy();
    if (asked === null) return;
    if (asked.sign !== null) return void this.#break("unreached", new Error("the session had ended"));
    if (asked.isEarly) return void this.#break("nonsense", new Error("answered before it had been sent everything"));
    if (writeFault !== null) return void this.#break("cut", writeFault);
    this.#settle(asked, { kind: "whole", received: joined(asked.received) });
  }

  #onClose(): void {
    const { writeFault, errored } = this.#socket;
    if (!this.#isConnected) return void this.#break("unreached", errored ?? new Error("closed before it was connected"));
    if (this.#asked !== null && this.#asked.sign !== null) {
      return void this.#break("unreached", writeFault ?? errored ?? new Error("the session had ended"));
    }
    if (this.#asked?.isEarly) return void this.#break("nonsense", new Error("answered before it had been sent everything"));
    this.#break("cut", writeFault ?? errored ?? new Error("closed before the end of the reply"));
  }

  #onQuiet(connectTimeoutMs: number): void {
    const asked = this.#asked;
    const isConnected = this.#isConnected;
    // A process that has stood still finds its timers due before the bytes that came in time: those are read first.
    setImmediate(() => {
      if (this.#asked !== asked || this.#isConnected !== isConnected) return;
      if (!isConnected) this.close("unreached", new Error(`no connection within ${connectTimeoutMs} ms`));
      else if (asked === null) this.close();
      else if (asked.isExhausted && !this.#isEnding && this.#socket.writableLength === 0) {
        this.#isEnding = true;
        this.#socket.write(endSession);
      }
    });
  }

  #break(fault: ExchangeFault, cause: unknown): void {
    const asked = this.#asked;
    if (asked === null) return;
    const received = joined(asked.received);
    const answer = this.#isSession ? (withoutNumber(received, this.#commands) ?? received) : received;
    this.#settle(asked, { kind: "broken", error: new ExchangeError(fault, answer, cause) });
  }

  #settle(asked: Asked, end: ExchangeEnd): void {
    if (asked.isOver) return;
    asked.isOver = true;
    this.#asked = null;
    clearTimeout(asked.graceTimer);
    if (!this.#isSession || end.kind !== "whole") this.#socket.destroy();
    if (asked.sending === null) return void asked.onEnd(end);
    // Whoever asked may take the body away then: nothing reads it any more.
    asked.stop?.();
    void asked.sending.then(() => asked.onEnd(end));
  }

  async #send(request: AsyncIterable<readonly Uint8Array[]>, asked: Asked, before: readonly Uint8Array[]): Promise<void> {
    const stopped = new Promise<false>((resolve) => {
      asked.stop = () => resolve(false);
    });
    let isBegun = false;
    try {
      for await (const pieces of request) {
        // An answer that is there is read first: behind the last write it would pass for one to the whole body.
        if (isBegun) await new Promise(setImmediate);
        if (asked.isOver || asked.isEarly) return;
        const all = isBegun ? pieces : [...before, ...pieces];
        isBegun = true;
        if (!(await Promise.race([this.#written(all), stopped]))) return;
      }
      // An answer to the whole request finds it exhausted: after the last write no other event comes before this.
      asked.isExhausted = true;
    } catch (error) {
      this.#unreadable(asked, error);
    }
  }

  #unreadable(asked: Asked, error: unknown): void {
    asked.sending = null;
    this.#settle(asked, { kind: "unreadable", error });
  }

  /** Resolves with whether the pieces have left this process; where they have not, they may still be in use. */
  #written(pieces: readonly Uint8Array[]): Promise<boolean> {
    return new Promise((resolve) => {
      this.#write(pieces, (error) => resolve(error == null && this.#socket.writeFault === null));
    });
  }

  #write(pieces: readonly Uint8Array[], done?: (error?: Error | null) => void): void {
    const last = pieces.length - 1;
    if (last > 0) this.#socket.cork();
    for (const [index, piece] of pieces.entries()) this.#socket.write(piece, index === last ? done : undefined);
    if (last > 0) this.#socket.uncork();
  }
}

export interface ExchangeOptions extends Pick<ConnectionOptions, "dial" | "address" | "connectTimeoutMs"> {
  /** From the connection to the end of the answer. */
  readonly timeoutMs: number;
  /** Ends the exchange by force. */
  readonly signal?: AbortSignal;
}

/**
 * One command on a connection of its own: resolves with all bytes that clamd sent up to its end of stream (at most `maxReplyBytes`).
 * Stops writing once clamd has begun to answer. Rejects with ExchangeError; with the signal's reason when that aborts; with whatever
 * `request` itself throws.
 */
export async function exchange(
  request: Request,
  { dial, address, connectTimeoutMs, timeoutMs, signal }: ExchangeOptions,
): Promise<Uint8Array> {
  signal?.throwIfAborted();
  let timer: NodeJS.Timeout | undefined;
  const onConnect = () => {
    timer = afterReading(timeoutMs, () => connection.close("late", new Error(`no whole answer within ${timeoutMs} ms`)));
  };
  const connection = new ClamdConnection({ dial, address, connectTimeoutMs, isSession: false, onConnect });
  const onAbort = () => connection.close();
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const end = await new Promise<ExchangeEnd>((resolve) => connection.ask(request, resolve));
    signal?.throwIfAborted();
    if (end.kind !== "whole") throw end.error;
    return end.received;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

/** A process that has stood still finds its timers due before the bytes that came in time: those are read first. */
function afterReading(ms: number, action: () => void): NodeJS.Timeout {
  return setTimeout(() => setImmediate(action), ms);
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces;
  return only !== undefined && pieces.length === 1 ? only : Buffer.concat(pieces);
}
