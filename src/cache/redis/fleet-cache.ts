/** Verdicts that several gateways share: what none of them knows, one of them has the lease to find out, and the others wait for it. */

import { randomUUID } from "node:crypto";
import { untilAborted } from "../../core/until-aborted.ts";
import type { Cache, Lease, Lookup, VerdictKey, WaitOutcome } from "../../core/verdict-cache.ts";
import type { Parse } from "../cacheable.ts";
import { Guard, type GuardOptions } from "../guard.ts";
import { guardedBy } from "../guarded-cache.ts";
import { systemTimers } from "../timers.ts";

/** A store with leases on what it does not hold. Of each key there is a value, or a lease, or neither. */
export interface LeasingCache<Value> extends Cache<Value> {
  /** The value; where nothing is known of the key, the lease goes to the token, which may have it already. */
  claim(key: VerdictKey, token: string): Promise<Claim<Value>>;
  /** Extends the lease. False where it is the token's no more, true where that is not known. */
  renew(key: VerdictKey, token: string): Promise<boolean>;
  /** Ends the lease, if it is still the token's; for a moment whoever claims is told so. */
  release(key: VerdictKey, token: string): Promise<void>;
}

export type Claim<Value> =
  | { readonly kind: "known"; readonly value: Value }
  | { readonly kind: "leased" }
  /** Another token has the lease. */
  | { readonly kind: "taken" }
  /** Another's lease was released. */
  | { readonly kind: "released" }
  /** The store is away, or what stands there is nothing of ours. */
  | { readonly kind: "failed" };

export interface FleetCacheOptions<Value> extends GuardOptions {
  /** Closed with this one. */
  readonly cache: LeasingCache<Value>;
  /** For another gateway's verdict, at most. */
  readonly maxWaitMs: number;
}

export interface FleetCache<Value> extends Cache<Value> {
  /** As `VerdictCache.lookUp`. */
  lookUp(key: VerdictKey, signal: AbortSignal): Promise<Lookup<Value>>;
}

/** A gateway that is killed holds the others up for so long; one that stands still for longer loses its lease. */
export const leaseMs = 3_000;
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
  failed: "failed",
} as const satisfies Record<Claim<unknown>["kind"], WaitOutcome>;

export function fleetCacheOf<Value>(parse: Parse<Value>, options: FleetCacheOptions<Value>): FleetCache<Value> {
  const { cache, maxWaitMs, emit, clock, timers = systemTimers } = options;
  const guard = new Guard(options);

  function holdLease(key: VerdictKey, token: string): Lease {
    let isEnded = false;
    let cancel = timers.after(renewalMs, renew);
    async function renew(): Promise<void> {
      const isOurs = await guard.attempt("set", () => cache.renew(key, token));
      if (!isEnded && isOurs !== false) cancel = timers.after(renewalMs, renew);
    }
    return {
      end(isKnown) {
        isEnded = true;
        cancel();
        // The value has taken the lease's place.
        if (!isKnown) void guard.attempt("set", () => cache.release(key, token));
      },
    };
  }

  function pause(ms: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = timers.after(ms, resolve);
    return untilAborted(promise, signal).finally(cancel);
  }

  const store = guardedBy(guard, parse, cache);
  return {
    ...store,
    async lookUp(key, signal) {
      const token = randomUUID();
      const startedAt = clock();
      /** When another's lease was last seen. */
      let takenAt: number | null = null;
      for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * pauseGrowth, maxPauseMs)) {
        const claim = await guard.attempt("get", () => cache.claim(key, token));
        const now = clock();
        const waitedMs = now - startedAt;
        if (claim?.kind === "taken") takenAt = now;
        // One late answer ends no wait: the lease that was seen stands until it lapses.
        const isLate = claim === null && takenAt !== null && now - takenAt < leaseMs && store.health?.() !== "degraded";
        if ((isLate || claim?.kind === "taken") && waitedMs < maxWaitMs) {
          await pause(Math.min(pauseMs, maxWaitMs - waitedMs), signal);
          continue;
        }
        const outcome = outcomes[claim?.kind ?? "failed"];
        if (pauseMs > firstPauseMs) emit({ kind: "scan-awaited", outcome, seconds: waitedMs / 1000 });
        if (claim?.kind === "known") return { kind: "known", value: claim.value, isAwaited: pauseMs > firstPauseMs };
        // What came too late may have been granted all the same.
        return { kind: "unknown", lease: claim === null || claim.kind === "leased" ? holdLease(key, token) : null };
      }
    },
  };
}
