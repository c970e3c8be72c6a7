/** Verdicts in a Redis or Valkey, which several gateways share. While it is not there, all is a miss at once. */

import type { Cache, CacheHealth, Clock, Fact, Observe, VerdictCache, VerdictKey } from "../core/ports.ts";
import { admit, keyId, type Parse, parseJson, parseVerdict } from "./admission.ts";
import { openRedis } from "./open-redis.ts";
import { RedisLink } from "./redis-link.ts";
import { textOf } from "./redis-node.ts";
import { refusalCode } from "./redis-session.ts";
import { nameOf, type RedisTarget } from "./redis-target.ts";
import { systemTimers, type Timers } from "./timers.ts";

export interface RedisCacheOptions {
  readonly target: RedisTarget;
  readonly observe: Observe;
  readonly clock: Clock;
  /** Before every key; ends with the version of what is stored. */
  readonly keyPrefix?: string;
  readonly timers?: Timers;
  /** From 0 to below 1. */
  readonly random?: () => number;
}

type Operation = (Fact & { kind: "cache-failed" })["operation"];

/** How often the log is told of a fault that goes on. */
const reminderMs = 60_000;

/** Refusals that a new connection may not meet: it may be one to another master, or to where a name points by now. */
const ending: ReadonlySet<string | null> = new Set(["READONLY", "LOADING", "MASTERDOWN", "NOAUTH"]);
/** Nor is it begun anew more often than this: a replica refuses on and on, and may still be read. */
const renewalMs = 5000;

/**
 * Connects at once, and for ever. Nothing is kept in front of redis: what another gateway stores or deletes counts with the next
 * `get`. Expiry is redis's own; how much it holds is for its `maxmemory` to say.
 */
export function redisCache(options: RedisCacheOptions): VerdictCache {
  return redisCacheOf(parseVerdict, options);
}

/** Values of one kind need a prefix of their own. */
export function redisCacheOf<Value>(parse: Parse<Value>, options: RedisCacheOptions): Cache<Value> {
  return new RedisCache(parse, options);
}

class RedisCache<Value> implements Cache<Value> {
  readonly #parse: Parse<Value>;
  readonly #options: RedisCacheOptions;
  readonly #name: string;
  readonly #prefix: string;
  readonly #link: RedisLink;
  readonly #toldAtMs = new Map<Operation, number>();
  /** How the last ones of each went that redis was asked. */
  #isReading = true;
  #isWriting = true;
  #renewedAtMs = Number.NEGATIVE_INFINITY;
  #isUpTold = false;
  #isClosed = false;

  constructor(parse: Parse<Value>, options: RedisCacheOptions) {
    this.#parse = parse;
    const { target, clock, random = Math.random, timers = systemTimers } = options;
    this.#options = options;
    this.#name = nameOf(target);
    this.#prefix = options.keyPrefix ?? "clamgate:1:";
    this.#link = new RedisLink({
      open: (signal) => openRedis(target, { random, signal }),
      probeKey: `${this.#prefix}probe`,
      onUp: () => this.#up(),
      onDown: (reason) => this.#down(reason),
      clock,
      timers,
      random,
    });
  }

  async get(key: VerdictKey): Promise<Value | null> {
    const id = keyId(key);
    if (id === null || !this.#link.isUp) return null;
    try {
      const text = await this.#link.send(["GET", this.#prefix + id]);
      this.#isReading = true;
      const value = parseJson(text, this.#parse);
      if (value === null && text !== null) this.#fail("get", "a key holds nothing that belongs there");
      return value;
    } catch (thrown) {
      this.#failed("get", thrown);
      return null;
    }
  }

  async set(key: VerdictKey, value: Value, ttlSeconds: number): Promise<void> {
    const admission = admit(key, value, ttlSeconds, this.#parse);
    const seconds = Math.floor((admission?.ttlMs ?? 0) / 1000);
    if (admission === null || seconds === 0 || !this.#link.isUp) return;
    try {
      await this.#link.send(["SET", this.#prefix + admission.id, JSON.stringify(admission.value), "EX", String(seconds)]);
      if (!this.#isWriting) this.#toldAtMs.delete("set");
      this.#isWriting = true;
    } catch (thrown) {
      this.#failed("set", thrown);
    }
  }

  health(): CacheHealth {
    return this.#link.isWhole && this.#isReading && this.#isWriting ? "ok" : "degraded";
  }

  /** What has not been answered yet is given up. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#link.close();
  }

  #up(): void {
    this.#isReading = true;
    if (this.#isUpTold) return;
    this.#isUpTold = true;
    this.#options.observe({ kind: "notice", level: "info", message: `verdict cache: connected to ${this.#name}` });
  }

  #down(reason: unknown): void {
    if (this.#isUpTold) this.#toldAtMs.delete("open");
    this.#isUpTold = false;
    this.#fail("open", `${this.#name}: ${textOf(reason)}`);
  }

  #failed(operation: "get" | "set", thrown: unknown): void {
    // That the session is gone has been told.
    if (this.#isClosed || !this.#link.isUp) return;
    const code = refusalCode(thrown);
    if (operation === "set") this.#isWriting = false;
    else this.#isReading = code === "WRONGTYPE";
    this.#fail(operation, textOf(thrown));
    const now = this.#options.clock();
    if (!ending.has(code) || now - this.#renewedAtMs < renewalMs) return;
    this.#renewedAtMs = now;
    this.#link.renew();
  }

  #fail(operation: Operation, detail: string): void {
    const toldAtMs = this.#toldAtMs.get(operation);
    const now = this.#options.clock();
    const isRepeated = toldAtMs !== undefined && now - toldAtMs < reminderMs;
    if (!isRepeated) this.#toldAtMs.set(operation, now);
    this.#options.observe({ kind: "cache-failed", operation, detail, ...(isRepeated ? { isRepeated } : {}) });
  }
}
