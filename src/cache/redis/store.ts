/** A Redis or Valkey as a store sees it: asked while it is there and fast, and what goes wrong told at a bearable rate. */

import type { Clock } from "../../core/clock.ts";
import type { Emit, GatewayEvent } from "../../core/events.ts";
import type { CacheHealth } from "../../core/verdict-cache.ts";
import { Breaker } from "../breaker.ts";
import { systemTimers, type Timers } from "../timers.ts";
import { RedisLink } from "./link.ts";
import { openRedis, textOf } from "./node.ts";
import { type RedisCommand, refusalCode } from "./session.ts";
import { nameOf, type RedisTarget } from "./target.ts";

export interface RedisStoreOptions {
  readonly target: RedisTarget;
  readonly emit: Emit;
  readonly clock: Clock;
  /** Before every key; ends with the version of what is stored. Values of one kind need one of their own. */
  readonly keyPrefix?: string;
  readonly timers?: Timers;
  /** From 0 to below 1. */
  readonly random?: () => number;
  /** What a command may cost a scan; a later answer is dropped. */
  readonly budgetMs?: number;
  readonly open?: typeof openRedis;
}

type Operation = (GatewayEvent & { kind: "cache-failed" })["operation"];

const isLate = Symbol("late");
/** So many late answers in a row, and it is left alone for a while. */
const maxLate = 5;
const pauseMs = 5000;

/** How often the log is told of a fault that goes on. */
const reminderMs = 60_000;

/** Refusals that a new connection may not meet: it may be one to another master, or to where a name points by now. */
const ending: ReadonlySet<string | null> = new Set(["READONLY", "LOADING", "MASTERDOWN", "NOAUTH"]);
/** Nor is it begun anew more often than this: a replica refuses on and on, and may still be read. */
const renewalMs = 5000;

/** Connects at once, and for ever. */
export class RedisStore {
  readonly prefix: string;
  readonly #options: RedisStoreOptions;
  readonly #name: string;
  readonly #link: RedisLink;
  readonly #timers: Timers;
  readonly #budgetMs: number;
  readonly #breaker: Breaker;
  readonly #toldAtMs = new Map<Operation, number>();
  /** How the last ones of each went that redis was asked. */
  #isReading = true;
  #isWriting = true;
  #renewedAtMs = Number.NEGATIVE_INFINITY;
  #isUpTold = false;
  #isClosed = false;

  constructor(options: RedisStoreOptions) {
    const { target, clock, random = Math.random, timers = systemTimers, budgetMs = 50, open = openRedis } = options;
    this.#options = options;
    this.#name = nameOf(target);
    this.#timers = timers;
    this.#budgetMs = budgetMs;
    this.#breaker = new Breaker({ clock, maxFaults: maxLate, pauseMs });
    this.prefix = options.keyPrefix ?? "clamgate:2:";
    this.#link = new RedisLink({
      open: (signal) => open(target, { random, signal }),
      probeKey: `${this.prefix}probe`,
      onUp: () => this.#up(),
      onDown: (reason) => this.#down(reason),
      clock,
      timers,
      random,
    });
  }

  /** The reply; undefined, and told, where there is none in time. Never rejects. */
  async ask(operation: "get" | "set", command: RedisCommand): Promise<unknown> {
    if (!this.#link.isUp || !this.#breaker.tryEnter()) return undefined;
    const { promise: late, resolve } = Promise.withResolvers<typeof isLate>();
    const cancel = this.#timers.after(this.#budgetMs, () => resolve(isLate));
    const reply = await Promise.race([this.#send(operation, command), late]);
    cancel();
    if (reply !== isLate) {
      this.#breaker.succeeded();
      return reply;
    }
    const pause = this.#breaker.failed() ? `; left alone for ${pauseMs} ms` : "";
    this.#options.emit({ kind: "cache-failed", operation, detail: `no answer within ${this.#budgetMs} ms${pause}` });
    return undefined;
  }

  /** Tells of a fault, as a reminder only where it was told a short while ago. */
  fail(operation: Operation, detail: string): void {
    const toldAtMs = this.#toldAtMs.get(operation);
    const now = this.#options.clock();
    const isRepeated = toldAtMs !== undefined && now - toldAtMs < reminderMs;
    if (!isRepeated) this.#toldAtMs.set(operation, now);
    this.#options.emit({ kind: "cache-failed", operation, detail, ...(isRepeated ? { isRepeated } : {}) });
  }

  health(): CacheHealth {
    return this.#link.isWhole && !this.#breaker.isOpen && this.#isReading && this.#isWriting ? "ok" : "degraded";
  }

  /** What has not been answered yet is given up. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#link.close();
  }

  async #send(operation: "get" | "set", command: RedisCommand): Promise<unknown> {
    try {
      const reply = await this.#link.send(command);
      this.#succeeded(operation);
      return reply;
    } catch (thrown) {
      this.#failed(operation, thrown);
      return undefined;
    }
  }

  #up(): void {
    this.#isReading = true;
    this.#breaker.succeeded();
    if (this.#isUpTold) return;
    this.#isUpTold = true;
    this.#options.emit({ kind: "notice", level: "info", message: `verdict cache: connected to ${this.#name}` });
  }

  #down(reason: unknown): void {
    if (this.#isUpTold) this.#toldAtMs.delete("open");
    this.#isUpTold = false;
    this.fail("open", `${this.#name}: ${textOf(reason)}`);
  }

  #succeeded(operation: "get" | "set"): void {
    if (operation === "get") this.#isReading = true;
    else {
      if (!this.#isWriting) this.#toldAtMs.delete("set");
      this.#isWriting = true;
    }
  }

  #failed(operation: "get" | "set", thrown: unknown): void {
    // That the session is gone has been told.
    if (this.#isClosed || !this.#link.isUp) return;
    const code = refusalCode(thrown);
    if (operation === "set") this.#isWriting = false;
    else this.#isReading = code === "WRONGTYPE";
    this.fail(operation, textOf(thrown));
    const now = this.#options.clock();
    if (!ending.has(code) || now - this.#renewedAtMs < renewalMs) return;
    this.#renewedAtMs = now;
    this.#link.renew();
  }
}
