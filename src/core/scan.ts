/** The one function behind every front: a body in, one report or one error out. */

import type { Clock } from "./clock.ts";
import { createDoNotRetry } from "./do-not-retry.ts";
import type { Engine, EngineScan } from "./engine.ts";
import { ClamgateError, toClamgateError } from "./errors.ts";
import type { Emit, FrontName, GatewayEvent } from "./events.ts";
import { createFlight, type Finding, type Flight } from "./flight.ts";
import { type Decision, decide, type Policy } from "./policy.ts";
import type { Spool, SpooledBody } from "./spool.ts";
import { untilAborted } from "./until-aborted.ts";
import type { EngineVersion, ScanReport, Unscannable, Verdict } from "./verdict.ts";
import type { Lease, Lookup, VerdictCache, VerdictKey } from "./verdict-cache.ts";

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
  /** What is known of the body that the engine cannot see; said in place of clean, unless the body is empty. */
  readonly insteadOfClean?: Unscannable;
}

/** A report and the very bytes it is about. Dispose it when they have been delivered or are not wanted. */
export interface ScannedBody extends AsyncDisposable {
  readonly report: ScanReport;
  readonly decision: Decision;
  readonly body: SpooledBody;
}

/**
 * Reads the body to its end, then finds its verdict.
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

const doNotRetryMs = 10 * 60_000;
const doNotRetryEntries = 10_000;

export function createScan(parts: ScanParts): Scan {
  const { spool, engine, cache, policy, emit, clock } = parts;
  const doNotRetry = createDoNotRetry({ ttlMs: doNotRetryMs, maxEntries: doNotRetryEntries, clock });
  /** No Map, for the reason that `ActiveSet` gives. */
  const inFlight: Record<string, Flight> = Object.create(null);

  return async function scan(source, options) {
    const startedAt = clock();
    try {
      const body = await spool.take(source, {
        maxBytes: Math.min(options.maxBytes ?? parts.maxBytes, parts.maxBytes),
        signal: options.signal,
        ...(options.expectedBytes === undefined ? {} : { expectedBytes: options.expectedBytes }),
      });
      try {
        const finding = await find(body, options);
        const verdict = await withUnsupported(finding.verdict, body, options.insteadOfClean);
        const decision = decide(verdict, policy);
        const elapsedMs = clock() - startedAt;
        emit(scannedEvent(options, body, { ...finding, verdict }, decision, elapsedMs));
        const report: ScanReport = {
          verdict,
          sha256: body.sha256,
          size: body.size,
          engine: finding.version,
          isCached: finding.scan === null,
          isRemembered: finding.source === "cache",
          elapsedMs,
        };
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

  async function find(body: SpooledBody, { signal, client }: ScanOptions): Promise<Finding> {
    const version = engine.version();
    // While no engine is up nothing is known about the body; the engine decides how long it is worth waiting for one.
    const key = `${body.sha256}:${version?.tag ?? ""}`;
    if (version !== null) {
      const refused = doNotRetry.find(key) ?? doNotRetry.find(`${body.sha256}:`);
      if (refused !== null) return { verdict: refused, version, source: "blocklist", scan: null };
      const known = cache.peek?.({ sha256: body.sha256, tag: version.tag }) ?? null;
      if (known !== null) return { verdict: known, version, source: "cache", scan: null };
    }
    const joined = inFlight[key];
    if (joined === undefined) return await launch(key, body, version, client).join(signal);
    try {
      return shared(await joined.join(signal));
    } catch (error) {
      if (joined.client === client || !isRefusal(error)) throw error;
      // Another client's line was too long for it: this one has a turn of its own.
      const next = inFlight[key];
      return next === undefined || next === joined
        ? await launch(key, body, version, client).join(signal)
        : shared(await next.join(signal));
    }
  }

  function launch(key: string, body: SpooledBody, version: EngineVersion | null, client: string): Flight {
    let lease: Lease | null = null;
    const flight = createFlight({ client, body, run, onCalledOff: forget });
    inFlight[key] = flight;
    void settle();
    return flight;

    async function run(held: SpooledBody, signal: AbortSignal): Promise<Finding> {
      if (version !== null) {
        const found = await lookUp({ sha256: body.sha256, tag: version.tag }, signal);
        if (found.kind === "known") {
          return { verdict: found.value, version, source: found.isAwaited ? "shared" : "cache", scan: null };
        }
        lease = found.lease;
      }
      const scan = await engine.scan(held, signal, client);
      return { verdict: scan.verdict, version: scan.version, source: "engine", scan };
    }

    async function settle(): Promise<void> {
      let rememberedTag: string | null = null;
      try {
        const { scan } = await flight.outcome;
        if (scan !== null) rememberedTag = await remember(body.sha256, scan);
      } catch (error) {
        refuseNext(key, error);
      }
      lease?.end(rememberedTag !== null && rememberedTag === version?.tag);
      forget();
    }

    function forget(): void {
      if (inFlight[key] === flight) delete inFlight[key];
    }
  }

  /** A cache that breaks its promise never to fail must cost no scan, and no rejection may go unheard. */
  async function lookUp(key: VerdictKey, signal: AbortSignal): Promise<Lookup<Verdict>> {
    try {
      if (cache.lookUp !== undefined) return await cache.lookUp(key, signal);
      const value = await untilAborted(cache.get(key), signal);
      if (value !== null) return { kind: "known", value, isAwaited: false };
    } catch (error) {
      signal.throwIfAborted();
      emit({ kind: "cache-failed", operation: "get", detail: toClamgateError(error).message });
    }
    return { kind: "unknown", lease: null };
  }

  /** The tag that it is remembered under; null where it is not. */
  async function remember(sha256: string, { verdict, version, isCacheable }: EngineScan): Promise<string | null> {
    if (!isCacheable || verdict.kind === "unscannable") return null;
    try {
      await cache.set({ sha256, tag: version.tag }, verdict, parts.verdictTtlSeconds);
      return version.tag;
    } catch (error) {
      emit({ kind: "cache-failed", operation: "set", detail: toClamgateError(error).message });
      return null;
    }
  }

  function refuseNext(key: string, error: unknown): void {
    if (!(error instanceof ClamgateError)) return;
    if (error.code === "scan-timeout") doNotRetry.add(key, "limit-time");
    if (error.code === "engine-killed") doNotRetry.add(key, "poison");
  }

  async function withUnsupported(verdict: Verdict, body: SpooledBody, insteadOfClean?: Unscannable): Promise<Verdict> {
    if (verdict.kind === "clean" && insteadOfClean !== undefined && body.size > 0) return insteadOfClean;
    if (verdict.kind !== "clean" || !(await parts.isUnsupported?.(body))) return verdict;
    return { kind: "unscannable", reason: "unsupported", heuristic: null };
  }
}

/** Of whoever joined a flight, which is told of the engine once. */
function shared(finding: Finding): Finding {
  return finding.source === "engine" ? { ...finding, source: "shared", scan: null } : finding;
}

/** Nothing but the queue was in the way. */
function isRefusal(error: unknown): boolean {
  return error instanceof ClamgateError && (error.code === "queue-full" || error.code === "queue-timeout");
}

function scannedEvent(
  { via, requestId, name }: ScanOptions,
  { sha256, size }: SpooledBody,
  { verdict, source, scan }: Finding,
  { isAllowed }: Decision,
  elapsedMs: number,
): GatewayEvent {
  return {
    kind: "scanned",
    via,
    requestId,
    name,
    sha256,
    size,
    verdict,
    isAllowed,
    source,
    backend: scan?.backend ?? null,
    queueSeconds: (scan?.queueMs ?? 0) / 1000,
    scanSeconds: (scan?.scanMs ?? 0) / 1000,
    seconds: elapsedMs / 1000,
  };
}
