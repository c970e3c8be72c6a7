/** What is remembered of bodies and addresses: the interfaces of the caches. None of their functions throws. */

import type { Verdict } from "./verdict.ts";

export interface VerdictKey {
  readonly sha256: string;
  /** `EngineVersion.tag`. */
  readonly tag: string;
}

export interface VerdictCache {
  /** What this gateway knows: in memory, or in a file of its own. */
  peek(key: VerdictKey): Verdict | null;
  /**
   * Asks a store that gateways share for what `peek` does not know; missing where there is none. Of those that ask for what none of them
   * knows, one gets the lease to find it out, and the others wait for its verdict. They scan as well once it takes too long, ends without
   * one, or the store is away. Rejects with the signal's reason alone.
   */
  lookUp?(key: VerdictKey, signal: AbortSignal): Promise<Lookup<Verdict>>;
  /** `peek` knows it at once, for `ttlSeconds`; a store is told meanwhile. */
  set(key: VerdictKey, verdict: Verdict, ttlSeconds: number): void;
  /** Whether verdicts are found and remembered just now. */
  health(): CacheHealth;
  /** Writes what is not written yet. */
  close(): Promise<void>;
}

export type Lookup<Value> =
  | {
      readonly kind: "known";
      readonly value: Value;
      /** Another gateway found it while this one waited. */
      readonly isAwaited: boolean;
    }
  /** With a lease the others wait until it is ended, and no longer than that. */
  | { readonly kind: "unknown"; readonly lease: Lease | null };

export interface Lease {
  /** @param isKnown the value is set: whoever waits finds it. Else they are told not to wait. */
  end(isKnown: boolean): void;
}

export type WaitOutcome = "verdict" | "released" | "lapsed" | "overdue" | "failed";

export type CacheHealth = "ok" | "degraded";

export interface UrlVerdict {
  readonly verdict: Verdict;
  /** Of the body, lower-case hexadecimal. */
  readonly sha256: string;
  /** Of the body. */
  readonly size: number;
}

export interface UrlVerdictKey {
  /** Lower-case hexadecimal SHA-256 of the canonical URL and of whatever else selects the answer. */
  readonly address: string;
  /** `EngineVersion.tag`. */
  readonly tag: string;
}

export interface UrlVerdictCache {
  /** As `VerdictCache.peek`. */
  peek(key: UrlVerdictKey): UrlVerdict | null;
  /** Asks a store that gateways share for what `peek` does not know; missing where there is none. Never rejects. */
  get?(key: UrlVerdictKey): Promise<UrlVerdict | null>;
  /** As `VerdictCache.set`. */
  set(key: UrlVerdictKey, value: UrlVerdict, ttlSeconds: number): void;
  delete(key: UrlVerdictKey): void;
  /** As `VerdictCache.health`. */
  health(): CacheHealth;
  close(): Promise<void>;
}
