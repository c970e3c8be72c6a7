/** The socket of one clamd client: whole answers out, an end that the client gets to read, and one timer for all that may take too long. */

import type { Socket } from "node:net";
import type { Clock } from "../../core/clock.ts";

/** Who talks over it. */
export interface Talk {
  /** @param chunk is the talk's own. */
  bytes(chunk: Buffer): void;
  /** The client has half-closed. */
  inputOver(): void;
  /** When something may have taken too long, of the clock; Infinity: nothing can. Sooner than it was only after `Wire.wake`. */
  due(): number;
  /** Then, or before: ends what has taken too long by now. */
  late(now: number): void;
  /** The client has taken what had filled up. */
  roomAgain(): void;
  closed(): void;
}

/** What a client may still send behind its last answer: a close on unread bytes is a reset, and takes the answer along. */
export interface LingerBounds {
  readonly maxMs: number;
  /** Without a byte. */
  readonly idleMs: number;
  readonly maxBytes: number;
}

/** Behind a whole command or body: some clients send a second end of the body, or a line feed. */
export const shortLinger: LingerBounds = { maxMs: 2_000, idleMs: 2_000, maxBytes: 64 * 1024 };

export interface WireOptions {
  readonly clock: Clock;
  /** For an answer to be taken. */
  readonly answerTimeoutMs: number;
}

export class Wire {
  readonly #socket: Socket;
  readonly #talk: Talk;
  readonly #clock: Clock;
  readonly #answerTimeoutMs: number;
  #lastByteAt: number;
  /** Answers that have not left this process, and since when there are some. */
  #unsent = 0;
  #unsentSince = 0;
  /** Set when our last word has been said. */
  #linger: (LingerBounds & { readonly since: number }) | null = null;
  #droppedBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(socket: Socket, talk: Talk, { clock, answerTimeoutMs }: WireOptions) {
    this.#socket = socket;
    this.#talk = talk;
    this.#clock = clock;
    this.#answerTimeoutMs = answerTimeoutMs;
    this.#lastByteAt = clock();
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("end", () => {
      if (this.#linger === null) talk.inputOver();
    });
    socket.on("drain", () => {
      if (this.#linger === null) talk.roomAgain();
    });
    socket.on("error", () => {}); // "close" follows
    socket.on("close", () => {
      clearTimeout(this.#timer);
      talk.closed();
    });
  }

  /** Of the clock. */
  get lastByteAt(): number {
    return this.#lastByteAt;
  }

  /** True when nothing can be said any more. */
  get isOver(): boolean {
    return this.#linger !== null || this.#socket.destroyed;
  }

  /** True while the client does not take what is written. */
  get isFull(): boolean {
    return this.#socket.writableNeedDrain;
  }

  /** One answer in one write: some clients judge each piece that they read by itself. */
  send(text: string): void {
    if (this.isOver) return;
    this.#noteUnsent();
    this.#socket.write(text, "latin1", this.#onSent);
  }

  /** Resolves when the client has taken what was written, or has gone. */
  async room(): Promise<void> {
    if (!this.isFull || this.#socket.destroyed) return;
    await new Promise<void>((resolve) => {
      const settle = () => {
        this.#socket.off("drain", settle).off("close", settle);
        resolve();
      };
      this.#socket.on("drain", settle).on("close", settle);
    });
  }

  /** Says the last word, if there is one, and ends; reads on within the bounds and drops what comes. */
  end(text: string | null, bounds: LingerBounds): void {
    if (this.isOver) return;
    this.#linger = { ...bounds, since: this.#clock() };
    this.#noteUnsent();
    if (text === null) this.#socket.end(this.#onSent);
    else this.#socket.end(text, "latin1", this.#onSent);
    this.#socket.resume();
  }

  /** Has the talk get bytes, or leaves them with the system. */
  read(isWanted: boolean): void {
    if (this.#linger !== null) return;
    if (isWanted) this.#socket.resume();
    else this.#socket.pause();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** To be called when something may be due sooner than before. */
  wake(): void {
    const at = this.#due();
    if (at >= this.#timerAt || this.#socket.destroyed) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    // A process that has stood still finds its timers due before the bytes that came in time: those are read first.
    this.#timer = setTimeout(() => setImmediate(this.#ring), Math.max(1, Math.ceil(at - this.#clock())));
  }

  readonly #onSent = (): void => {
    this.#unsent -= 1;
    this.#unsentSince = this.#clock();
    this.wake();
  };

  readonly #ring = (): void => {
    if (this.#socket.destroyed) return;
    this.#timerAt = Number.POSITIVE_INFINITY;
    const now = this.#clock();
    if (this.#unsent === 0 && this.#linger === null) this.#talk.late(now);
    else if (this.#due() <= now) this.#socket.destroy();
    this.wake();
  };

  #due(): number {
    if (this.#unsent > 0) return this.#unsentSince + this.#answerTimeoutMs;
    if (this.#linger === null) return this.#talk.due();
    return Math.min(this.#linger.since + this.#linger.maxMs, this.#lastByteAt + this.#linger.idleMs);
  }

  #noteUnsent(): void {
    if (this.#unsent === 0) this.#unsentSince = this.#clock();
    this.#unsent += 1;
    this.wake();
  }

  #receive(chunk: Buffer): void {
    this.#lastByteAt = this.#clock();
    if (this.#linger === null) {
      this.#talk.bytes(chunk);
      return;
    }
    this.#droppedBytes += chunk.length;
    if (this.#droppedBytes > this.#linger.maxBytes) this.#socket.destroySoon();
  }
}
