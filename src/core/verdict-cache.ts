/** What is remembered of bodies and addresses: the interfaces of the stores. */

import type { Verdict } from "./verdict.ts";

export interface VerdictKey {
  readonly sha256: string;
  /** `EngineVersion.tag`. */
  readonly tag: string;
}

export interface Cache<Value> {
  get(key: VerdictKey): Promise<Value | null>;
  /** What memory holds of it. Asks nobody; null does not say that `get` finds nothing. */
  peek?(key: VerdictKey): Value | null;
  set(key: VerdictKey, value: Value, ttlSeconds: number): Promise<void>;
  /** Whether verdicts are found and remembered just now; without it they always are. Asks nobody. */
  health?(): CacheHealth;
  close(): Promise<void>;
}

export interface VerdictCache extends Cache<Verdict> {
  /**
   * As `get`, where gateways share the store: of those that ask for what none of them knows, one gets the lease to find it out, and the
   * others wait for its verdict. They scan as well once it takes too long, ends without one, or the store is away. Rejects with the
   * signal's reason alone.
   */
  lookUp?(key: VerdictKey, signal: AbortSignal): Promise<Lookup<Verdict>>;
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
  get(key: UrlVerdictKey): Promise<UrlVerdict | null>;
  set(key: UrlVerdictKey, value: UrlVerdict, ttlSeconds: number): Promise<void>;
  delete(key: UrlVerdictKey): Promise<void>;
  close(): Promise<void>;
}
