/** Verdicts that several gateways share: what none of them knows, one of them has the lease to find out, and the others wait for it. */

import { randomUUID } from "node:crypto";
import type { Clock } from "../../core/clock.ts";
import type { Emit } from "../../core/events.ts";
import { untilAborted } from "../../core/until-aborted.ts";
import type { Lease, Lookup, VerdictKey, WaitOutcome } from "../../core/verdict-cache.ts";
import { systemTimers, type Timers } from "../timers.ts";
import { type Claim, leaseMs, type RedisCache } from "./cache.ts";

export interface FleetCacheOptions<Value> {
  /** Closed with this one. */
  readonly cache: RedisCache<Value>;
  /** For another gateway's verdict, at most. */
  readonly maxWaitMs: number;
  readonly emit: Emit;
  readonly clock: Clock;
  readonly timers?: Timers;
}

export interface FleetCache<Value> extends Pick<RedisCache<Value>, "get" | "set" | "health" | "close"> {
  /** As `VerdictCache.lookUp`. */
  lookUp(key: VerdictKey, signal: AbortSignal): Promise<Lookup<Value>>;
}

const renewalMs = 1_000;
/** Pauses between looks. They grow slowly, so that a wait is at most half as long again as the scan that it is for. */
const firstPauseMs = 5;
const pauseGrowth = 1.5;
const maxPauseMs = 250;

const outcomes = {
  known: "verdict",
  leased: "lapsed",
  taken: "overdue",
  released: "released",
  late: "failed",
  failed: "failed",
} as const satisfies Record<Claim<unknown>["kind"], WaitOutcome>;

export function fleetCache<Value>(options: FleetCacheOptions<Value>): FleetCache<Value> {
  const { cache, maxWaitMs, emit, clock, timers = systemTimers } = options;

  function holdLease(key: VerdictKey, token: string): Lease {
    let isEnded = false;
    let cancel = timers.after(renewalMs, renew);
    async function renew(): Promise<void> {
      const isOurs = await cache.renew(key, token);
      if (!isEnded && isOurs) cancel = timers.after(renewalMs, renew);
    }
    return {
      end(isKnown) {
        isEnded = true;
        cancel();
        // The value has taken the lease's place.
        if (!isKnown) void cache.release(key, token);
      },
    };
  }

  function pause(ms: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = timers.after(ms, resolve);
    return untilAborted(promise, signal).finally(cancel);
  }

  return {
    ...cache,
    async lookUp(key, signal) {
      const token = randomUUID();
      const startedAt = clock();
      /** When another's lease was last seen. */
      let takenAt: number | null = null;
      for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * pauseGrowth, maxPauseMs)) {
        const claim = await cache.claim(key, token);
        const now = clock();
        const waitedMs = now - startedAt;
        if (claim.kind === "taken") takenAt = now;
        // One late answer ends no wait: the lease that was seen stands until it lapses.
        const isLate = claim.kind === "late" && takenAt !== null && now - takenAt < leaseMs && cache.health() === "ok";
        if ((isLate || claim.kind === "taken") && waitedMs < maxWaitMs) {
          await pause(Math.min(pauseMs, maxWaitMs - waitedMs), signal);
          continue;
        }
        const outcome = outcomes[claim.kind];
        if (pauseMs > firstPauseMs) emit({ kind: "scan-awaited", outcome, seconds: waitedMs / 1000 });
        if (claim.kind === "known") return { kind: "known", value: claim.value, isAwaited: pauseMs > firstPauseMs };
        const mayBeOurs = claim.kind === "leased" || claim.kind === "late";
        return { kind: "unknown", lease: mayBeOurs ? holdLease(key, token) : null };
      }
    },
  };
}
