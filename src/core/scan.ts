/** The one function behind every front: a body in, one report or one error out. */

import { AgingMap } from "./aging-map.ts";
import type { Clock } from "./clock.ts";
import type { Engine, EngineScan } from "./engine.ts";
import { ClamgateError, toClamgateError } from "./errors.ts";
import type { Emit, FrontName, GatewayEvent } from "./events.ts";
import { ActiveSet } from "./queues/active-set.ts";
import { createTurns, unpackingTurns } from "./queues/turns.ts";
import type { Spool, SpooledBody } from "./spool.ts";
import {
  type EngineVersion,
  namesOf,
  type ScanReport,
  type Unscannable,
  type UnscannableReason,
  type Verdict,
} from "./verdict.ts";
import type { Lease, VerdictCache } from "./verdict-cache.ts";

export interface ScanOptions {
  readonly via: FrontName;
  readonly requestId: string;
  /** The sender's name for the body, as it was sent; for the log. */
  readonly name: string;
  /** Who sends it, as `clientNetwork` has it: clients wait for the engine in turn. */
  readonly client: string;
  /** Ends the wait when the client has gone; a scan that others wait for goes on. */
  readonly signal: AbortSignal;
  /** Overrides the gateway's limit, downwards. */
  readonly maxBytes?: number;
  /** What the sender declared. */
  readonly expectedBytes?: number;
  /** Whether it is unpacked as it is read: few do that at a time. */
  readonly isUnpacked?: boolean;
  /** What is known of the body that the engine cannot see; said in place of clean, unless the body is empty. */
  readonly insteadOfClean?: Unscannable;
}

/** A report and the very bytes it is about. Dispose it when they have been delivered or are not wanted. */
export interface ScannedBody extends AsyncDisposable {
  readonly report: ScanReport;
  readonly decision: Decision;
  readonly body: SpooledBody;
}

/** What passes: clean always, infected never, unscannable only for the reasons that the operator has named. */
export interface Policy {
  /** Reasons of `ON_UNSCANNABLE=allow:…`; empty blocks all that is not clean. */
  readonly allowedReasons: ReadonlySet<UnscannableReason>;
}

export interface Decision {
  readonly isAllowed: boolean;
  /** The relaxation that let a body pass which is not clean; null when none was needed or none applied. */
  readonly relaxedFor: UnscannableReason | null;
}

/**
 * Reads the body to its end, as far as it is there without waiting where it is a `ChunkSource`, then finds its verdict.
 * Rejects with a ClamgateError, or with the error that `body` threw; the body is not read further then, and nothing is kept.
 */
export type Scan = (body: AsyncIterable<Uint8Array>, options: ScanOptions) => Promise<ScannedBody>;

export interface ScanParts {
  readonly spool: Spool;
  readonly engine: Engine;
  readonly cache: VerdictCache;
  readonly policy: Policy;
  readonly emit: Emit;
  readonly clock: Clock;
  /** Bytes of the largest body. */
  readonly maxBytes: number;
  readonly verdictTtlSeconds: number;
  /** Tells of a clean body that the operator has listed its format as one the engine cannot open. */
  readonly isUnsupported?: (body: SpooledBody) => Promise<boolean>;
}

const unsupported: Unscannable = { kind: "unscannable", reason: "unsupported", heuristic: null };

const doNotRetryMs = 10 * 60_000;
const doNotRetryEntries = 10_000;

export function createScan(parts: ScanParts): Scan {
  const { spool, engine, cache, policy, emit, clock, isUnsupported } = parts;
  /** Bodies that cost the engine its time or its life, by digest and engine tag: new signatures give each another chance. */
  const doNotRetry = new AgingMap<Unscannable>({ ttlMs: doNotRetryMs, maxEntries: doNotRetryEntries, clock });
  const unpacking = createTurns(unpackingTurns);
  /** Scans under way, which requests with the same bytes share. No Map, for the reason that `ActiveSet` gives. */
  const underWay: Record<string, SharedScan> = Object.create(null);

  return async function scan(source, options) {
    const startedAt = clock();
    try {
      const body = await (options.isUnpacked === true ? takeInTurn(source, options) : takeIn(source, options));
      try {
        const version = engine.version();
        const found = known(body, version) ?? (await find(body, version, options));
        let { verdict } = found;
        if (verdict.kind === "clean" && options.insteadOfClean !== undefined && body.size > 0) verdict = options.insteadOfClean;
        else if (verdict.kind === "clean" && isUnsupported !== undefined && (await isUnsupported(body))) verdict = unsupported;
        const decision = decide(verdict, policy);
        const report: ScanReport = {
          verdict,
          sha256: body.sha256,
          size: body.size,
          engine: found.version,
          isCached: found.scan === null,
          isRemembered: found.source === "cache",
          elapsedMs: clock() - startedAt,
        };
        emit(scannedEvent(options, report, decision, found));
        return { report, decision, body, [Symbol.asyncDispose]: () => body[Symbol.asyncDispose]() };
      } catch (error) {
        await body[Symbol.asyncDispose]();
        throw error;
      }
    } catch (error) {
      const { code, message, cause } = toClamgateError(error);
      const detail = cause instanceof Error ? `${message}: ${cause.message}` : message;
      const { via, requestId, name } = options;
      emit({ kind: "scan-failed", via, requestId, name, code, detail, seconds: (clock() - startedAt) / 1000 });
      throw error;
    }
  };

  function takeIn(
    source: AsyncIterable<Uint8Array>,
    { maxBytes = parts.maxBytes, signal, expectedBytes }: ScanOptions,
  ): Promise<SpooledBody> {
    return spool.take(source, {
      maxBytes: Math.min(maxBytes, parts.maxBytes),
      signal,
      ...(expectedBytes === undefined ? {} : { expectedBytes }),
    });
  }

  async function takeInTurn(source: AsyncIterable<Uint8Array>, options: ScanOptions): Promise<SpooledBody> {
    const endTurn = await unpacking.take(options.client, options.signal);
    try {
      return await takeIn(source, options);
    } finally {
      endTurn();
    }
  }

  /** What is known without asking anybody. While no engine is up that is nothing. */
  function known({ sha256 }: SpooledBody, version: EngineVersion | null): Found | null {
    if (version === null) return null;
    const refused = doNotRetry.get(keyOf(sha256, version)) ?? doNotRetry.get(keyOf(sha256, null));
    if (refused !== null) return { verdict: refused, version, source: "blocklist", scan: null };
    const verdict = cache.peek({ sha256, tag: version.tag });
    return verdict === null ? null : { verdict, version, source: "cache", scan: null };
  }

  function find(body: SpooledBody, version: EngineVersion | null, { client, signal }: ScanOptions): Promise<Found> {
    const key = keyOf(body.sha256, version);
    const joined = underWay[key];
    if (joined === undefined) return launch().join(signal);
    return joined.join(signal).then(shared, (error: unknown) => {
      if (joined.client === client || !isRefusal(error)) throw error;
      // Another client's line was too long for it: this one has a turn of its own.
      const next = underWay[key];
      return next === undefined || next === joined ? launch().join(signal) : next.join(signal).then(shared);
    });

    function launch(): SharedScan {
      const scan = new SharedScan(client, body, () => forget(key, scan));
      underWay[key] = scan;
      void run(scan, key, version);
      return scan;
    }
  }

  function forget(key: string, scan: SharedScan): void {
    if (underWay[key] === scan) delete underWay[key];
  }

  /** Never rejects. Whoever joins before the verdict is remembered has it from the scan. */
  async function run(scan: SharedScan, key: string, version: EngineVersion | null): Promise<void> {
    let lease: Lease | null = null;
    let rememberedTag: string | null = null;
    try {
      const asked = version === null ? null : { sha256: scan.body.sha256, tag: version.tag };
      const stored = asked === null ? null : ((await cache.lookUp?.(asked, scan.signal)) ?? null);
      if (version !== null && stored?.kind === "known") {
        scan.end({ verdict: stored.value, version, source: stored.isAwaited ? "shared" : "cache", scan: null });
      } else {
        lease = stored?.kind === "unknown" ? stored.lease : null;
        const made = await engine.scan(scan.body, scan.signal, scan.client);
        scan.end({ verdict: made.verdict, version: made.version, source: "engine", scan: made });
        rememberedTag = remember(scan.body.sha256, made);
      }
    } catch (error) {
      scan.fail(error);
      refuseNext(key, error);
    }
    lease?.end(rememberedTag !== null && rememberedTag === version?.tag);
    forget(key, scan);
  }

  /** The tag that it is remembered under; null where it is not. */
  function remember(sha256: string, { verdict, version, isCacheable }: EngineScan): string | null {
    if (!isCacheable || verdict.kind === "unscannable") return null;
    cache.set({ sha256, tag: version.tag }, verdict, parts.verdictTtlSeconds);
    return version.tag;
  }

  function refuseNext(key: string, error: unknown): void {
    if (!(error instanceof ClamgateError)) return;
    if (error.code !== "scan-timeout" && error.code !== "engine-killed") return;
    const reason = error.code === "scan-timeout" ? "limit-time" : "poison";
    doNotRetry.set(key, { kind: "unscannable", reason, heuristic: null });
  }
}

/** What is found out about a body, and how. */
interface Found {
  readonly verdict: Verdict;
  readonly version: EngineVersion;
  readonly source: (GatewayEvent & { kind: "scanned" })["source"];
  /** Null where the engine was not asked for it. */
  readonly scan: EngineScan | null;
}

interface Waiter {
  readonly resolve: (found: Found) => void;
  readonly reject: (error: unknown) => void;
}

/** One search for a verdict that any number of requests with the same bytes wait for. */
class SharedScan {
  /** In whose turn it waits for the engine. */
  readonly client: string;
  /** Its own until the search ends, so the request that brought it may leave. */
  readonly body: SpooledBody;
  readonly #onCalledOff: () => void;
  readonly #calledOff = new AbortController();
  readonly #waiters = new ActiveSet<Waiter>();
  #settle: ((waiter: Waiter) => void) | null = null;

  /** @param onCalledOff told once, when the last waiter has left: nobody may join from then on. */
  constructor(client: string, body: SpooledBody, onCalledOff: () => void) {
    this.client = client;
    this.body = body.hold();
    this.#onCalledOff = onCalledOff;
  }

  /** Aborts when the last waiter has left. */
  get signal(): AbortSignal {
    return this.#calledOff.signal;
  }

  /** Waits for the end; rejects with the signal's reason when that comes first. */
  join(signal: AbortSignal): Promise<Found> {
    return new Promise((resolve, reject) => {
      if (this.#settle !== null) return this.#settle({ resolve, reject });
      const leave = (): void => {
        remove();
        signal.removeEventListener("abort", onAbort);
      };
      const onAbort = (): void => {
        leave();
        reject(signal.reason);
        if (this.#waiters.size === 0) this.#callOff();
      };
      const remove = this.#waiters.add({
        resolve(found) {
          leave();
          resolve(found);
        },
        reject(error) {
          leave();
          reject(error);
        },
      });
      if (signal.aborted) onAbort();
      else signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  end(found: Found): void {
    this.#tell((waiter) => waiter.resolve(found));
  }

  fail(error: unknown): void {
    this.#tell((waiter) => waiter.reject(error));
  }

  #tell(settle: (waiter: Waiter) => void): void {
    if (this.#settle !== null) return;
    this.#settle = settle;
    // It never rejects, and whoever closes the spool waits for it.
    void this.body[Symbol.asyncDispose]();
    for (const waiter of this.#waiters.items()) settle(waiter);
  }

  #callOff(): void {
    this.#onCalledOff();
    this.#calledOff.abort(new ClamgateError("client-gone", "Every client has gone"));
  }
}

/** For whoever joined, the engine was not asked: it was for the one that began the scan. */
function shared(found: Found): Found {
  return found.source === "engine" ? { ...found, source: "shared", scan: null } : found;
}

/** Nothing but the queue was in the way. */
function isRefusal(error: unknown): boolean {
  return error instanceof ClamgateError && (error.code === "queue-full" || error.code === "queue-timeout");
}

function keyOf(sha256: string, version: EngineVersion | null): string {
  return `${sha256}:${version?.tag ?? ""}`;
}

export function decide(verdict: Verdict, policy: Policy): Decision {
  switch (verdict.kind) {
    case "clean":
      return { isAllowed: true, relaxedFor: null };
    case "infected":
      return { isAllowed: false, relaxedFor: null };
    case "unscannable": {
      const isAllowed = policy.allowedReasons.has(verdict.reason);
      return { isAllowed, relaxedFor: isAllowed ? verdict.reason : null };
    }
  }
}

/** The names under which a body was found, most telling first; empty when it may pass. */
export function findings({ report, decision }: Scanned): readonly string[] {
  if (decision.isAllowed) return [];
  // A clean body is allowed. Said so that no change of policy ever answers OK by accident.
  return report.verdict.kind === "clean" ? ["Heuristics.Clamgate.Policy"] : namesOf(report.verdict);
}

interface Scanned {
  readonly report: Pick<ScanReport, "verdict">;
  readonly decision: Decision;
}

function scannedEvent(
  { via, requestId, name }: ScanOptions,
  report: ScanReport,
  { isAllowed }: Decision,
  { source, scan }: Found,
): GatewayEvent {
  return {
    kind: "scanned",
    via,
    requestId,
    name,
    sha256: report.sha256,
    size: report.size,
    verdict: report.verdict,
    isAllowed,
    source,
    backend: scan?.backend ?? null,
    queueSeconds: (scan?.queueMs ?? 0) / 1000,
    scanSeconds: (scan?.scanMs ?? 0) / 1000,
    seconds: report.elapsedMs / 1000,
  };
}
