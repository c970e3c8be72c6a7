/** Where the log's lines go: an open descriptor, which is never waited for. */

import { constants, fstatSync, openSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { isatty } from "node:tty";
import type { LogDestination, LogUrgency } from "./log.ts";

/** How long, and how much, is kept for one write. */
const keepMs = 10;
const maxKeptLength = 64 * 1024;

/** UTF-16 units that wait for a reader who has stopped reading. What may come later fills half of it at most. */
const maxHeldLength = 2 * 1024 * 1024;

/** A descriptor that refuses lines is tried again after `keepMs`, then after twice as long, and so on up to this. */
const maxRetryMs = 160;

/** At its end the process gives a slow reader this long, once. */
const maxFlushMs = 500;
const flushStepMs = 5;

/**
 * Lines to an open descriptor, as 1 for standard output. They go together within `keepMs`: a system call that wakes the reader of a
 * pipe is the dearest part of a small request (130 µs of 550, measured), and only an end without `exit` (SIGKILL, no memory) loses them.
 * Written at once are those that are to be written now, and of those that are to be soon the first in each `keepMs`, with all before it.
 * A reader that stalls or went away, and a full disk, cost lines, never time: what does not fit is left out and counted.
 */
export function logTo(descriptor: number): LogDestination {
  const writer = new DescriptorWriter(neverBlocking(descriptor));
  process.once("exit", () => writer.flush());
  return writer;
}

type Outcome = "written" | "full" | "refused";

class DescriptorWriter implements LogDestination {
  readonly #descriptor: number;
  /** What the descriptor has not taken yet; it may begin within a line. */
  #head: Buffer = Buffer.alloc(0);
  #kept = "";
  #timer: NodeJS.Timeout | undefined;
  #retryMs = keepMs;
  #isRefusing = false;
  /** When something to be written soon was last written at once. */
  #soonMs = Number.NEGATIVE_INFINITY;
  #hasGivenUp = false;
  #lostLines = 0;
  #toldLines = 0;
  #tellLost: (lines: number) => void = () => {};

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  get lostLines(): number {
    return this.#lostLines;
  }

  onLost(tell: (lines: number) => void): void {
    this.#tellLost = tell;
  }

  write(line: string, urgency: LogUrgency): void {
    const heldLength = this.#head.length + this.#kept.length + line.length;
    if (heldLength > (urgency === "later" ? maxHeldLength / 2 : maxHeldLength)) {
      this.#lostLines += 1;
      return;
    }
    this.#kept += line;
    // While lines are refused, each try would cost the time of an exception.
    if (!this.#isRefusing && (this.#kept.length > maxKeptLength || this.#isDue(urgency))) this.#writeKept();
    else this.#writeLater(keepMs);
  }

  #isDue(urgency: LogUrgency): boolean {
    if (urgency !== "soon") return urgency === "now";
    const nowMs = performance.now();
    const isFirst = nowMs - this.#soonMs >= keepMs;
    if (isFirst) this.#soonMs = nowMs;
    return isFirst;
  }

  flush(): void {
    const endMs = performance.now() + maxFlushMs;
    const pause = new Int32Array(new SharedArrayBuffer(4));
    while (this.#writeKept() === "full" && !this.#hasGivenUp) {
      if (performance.now() >= endMs) this.#hasGivenUp = true;
      else Atomics.wait(pause, 0, 0, flushStepMs);
    }
  }

  #writeLater(delayMs: number): void {
    this.#timer ??= setTimeout(() => this.#writeKept(), delayMs).unref();
  }

  #writeKept(): Outcome {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const outcome = this.#tryWriting();
    this.#isRefusing = outcome !== "written";
    if (this.#isRefusing) {
      this.#writeLater(this.#retryMs);
      this.#retryMs = Math.min(2 * this.#retryMs, maxRetryMs);
    } else if (this.#lostLines > this.#toldLines) {
      const lines = this.#lostLines - this.#toldLines;
      this.#toldLines = this.#lostLines;
      this.#tellLost(lines);
      return this.#writeKept();
    }
    return outcome;
  }

  /** In the order in which lines came, a piece at a time if need be. */
  #tryWriting(): Outcome {
    try {
      while (this.#head.length > 0 || this.#kept !== "") {
        if (this.#head.length === 0) {
          this.#head = Buffer.from(this.#kept);
          this.#kept = "";
        }
        this.#head = this.#head.subarray(writeSync(this.#descriptor, this.#head));
        this.#retryMs = keepMs;
        this.#hasGivenUp = false;
      }
      return "written";
    } catch (error) {
      return error instanceof Error && "code" in error && error.code === "EAGAIN" ? "full" : "refused";
    }
  }
}

/**
 * A descriptor for the same thing whose writes fail with EAGAIN where they would wait. Opened anew where that can be done: O_NONBLOCK set
 * on the one we were given would hold for every process that shares it. Where there is none the one we were given has to do: a regular
 * file knows no reader, and a terminal that belongs to somebody else may stop us.
 */
function neverBlocking(descriptor: number): number {
  const stats = fstatSync(descriptor);
  if (stats.isFIFO()) return openAnew(`/proc/self/fd/${descriptor}`) ?? madeNonblocking(descriptor);
  if (stats.isSocket()) return madeNonblocking(descriptor);
  if (isatty(descriptor)) return openAnew(`/proc/self/fd/${descriptor}`) ?? openAnew("/dev/tty") ?? descriptor;
  return descriptor;
}

function openAnew(path: string): number | null {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return null; // not on this system, or not for this user
  }
}

/** Node has no call for it; it does so to each pipe and socket that it takes over, and none of this one's other methods are used. */
function madeNonblocking(descriptor: number): number {
  try {
    new Socket({ fd: descriptor, readable: false, writable: true }).on("error", () => {}).unref();
  } catch {
    // Neither a pipe nor a socket that Node knows.
  }
  return descriptor;
}
