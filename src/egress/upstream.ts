/** Everything between the front and the origins under one policy: the gateway's, or one route's. Policies share nothing but lookups (S13). */

import type { OriginRule, PrivateRule } from "../codec/origin-rule.ts";
import type { Clock } from "../core/clock.ts";
import { type Connect, createDialer } from "./dialer.ts";
import { createFetchUpstream, type FetchUpstream, type UpstreamTimes } from "./fetch-upstream.ts";
import type { NameLookup } from "./name-lookup.ts";
import { createAddressGate, createOriginGate, createOriginRules, type Endpoint } from "./origin-gate.ts";
import { createOriginPools } from "./origin-pools.ts";
import type { RequestHeadersOptions } from "./request-headers.ts";
import type { Target } from "./target.ts";

export interface UpstreamOptions {
  /** See `OriginRulesOptions` for these four, and `AddressGateOptions`. */
  readonly origins: readonly OriginRule[];
  readonly redirectOrigins: readonly OriginRule[];
  readonly allowPrivate: readonly PrivateRule[];
  readonly ownEndpoints: readonly Endpoint[];
  readonly localAddresses: () => readonly string[];
  readonly headers: RequestHeadersOptions;
  /** PEM, trusted besides the usual certificates; null for none. */
  readonly extraCa: string | null;
  /** See `FetchUpstreamOptions`. */
  readonly carryHeaders: readonly string[];
  readonly allowDowngrade: boolean;
  readonly maxRedirects: number;
  readonly maxRetries: number;
  readonly retryAfterMs: number;
  readonly times: UpstreamTimes & ConnectTimes;
  readonly lookup: NameLookup;
  readonly connect: Connect;
  readonly clock: Clock;
  readonly random: () => number;
}

export interface ConnectTimes {
  readonly connectTimeoutMs: number;
  readonly tlsTimeoutMs: number;
  readonly nextAddressMs: number;
}

export interface Upstream {
  /**
   * Checks the target, and waits for the addresses of its host where they are not known, so that `fetch` need not; null where there is
   * nothing to wait for. Throws or rejects as `OriginGate`.
   */
  readonly lookUp: (target: Target, client: string, signal: AbortSignal) => Promise<unknown> | null;
  readonly fetch: FetchUpstream;
  /** Ends every connection; what is still being fetched fails with `stopping`. */
  close(): Promise<void>;
}

/** What download-proxy.md P23-P25 ask for where an operator says nothing. */
export const upstreamDefaults = {
  carryHeaders: [],
  allowDowngrade: false,
  maxRedirects: 5,
  maxRetries: 2,
  retryAfterMs: 200,
  times: {
    connectTimeoutMs: 10_000,
    tlsTimeoutMs: 10_000,
    nextAddressMs: 250,
    headTimeoutMs: 30_000,
    idleTimeoutMs: 60_000,
    totalTimeoutMs: 3_600_000,
    minBytesPerSecond: 0,
  },
} as const satisfies Partial<UpstreamOptions>;

/** For `createNameLookup`. */
export const lookupDefaults = {
  timeoutMs: 5000,
  ttlMs: 30_000,
  staleMs: 5 * 60_000,
  freshWaitMs: 200,
  maxEntries: 1000,
  places: 1024,
  maxWaiting: 512,
} as const;

const keepAliveMs = 4000;
const maxHeaderBytes = 64 * 1024;
const maxPools = 256;

export function createUpstream(options: UpstreamOptions): Upstream {
  const gate = createOriginGate({
    rules: createOriginRules(options),
    lookup: options.lookup,
    addresses: createAddressGate(options),
  });
  const { connectTimeoutMs, tlsTimeoutMs, nextAddressMs } = options.times;
  const { connect, extraCa } = options;
  const dialer = createDialer({ connect, connectTimeoutMs, tlsTimeoutMs, nextAddressMs, extraCa });
  const pools = createOriginPools({ dialer, keepAliveMs, maxHeaderBytes, maxPools });
  return {
    lookUp(target, client, signal) {
      const found = gate({ target, kind: "request", client, signal });
      return found instanceof Promise ? found : null;
    },
    fetch: createFetchUpstream({ ...options, gate, pools }),
    close: () => pools.close(),
  };
}
