/** One clamd: its slots, its proof of health, and scans over it. */

import { type ClamdReply, parseScanReply } from "../codec/clamd/reply.ts";
import type { Clock } from "../core/clock.ts";
import type { Emit } from "../core/events.ts";
import type { SpooledBody } from "../core/spool.ts";
import type { EngineVersion, Verdict } from "../core/verdict.ts";
import { instreamBytes, instreamFile, type Request, scanCommand } from "./commands.ts";
import { ExchangeError, exchange } from "./exchange.ts";
import { type HealthOptions, type HealthTiming, watchHealth } from "./health.ts";
import type { Clamd } from "./proof.ts";

export interface BackendOptions extends Clamd, Pick<HealthOptions, "probes" | "isStrict"> {
  /** As it stands in logs. */
  readonly name: string;
  /** Scans at once, from now on; at most clamd's MaxThreads, so that clamd's own queue stays empty and it always answers. */
  readonly slots: () => number;
  /** True when clamd can open the spool's files by their path. */
  readonly sharesSpool: boolean;
  /** clamd's own MaxScanTime where it is known: an OK that took longer is not believed (clamd.md S3). */
  readonly maxScanTimeMs: number | null;
  /** Asked at the end of each scan that found nothing, with when it began: why the OK must not be believed, or null. */
  readonly doubt?: (startedAt: number) => Promise<string | null>;
  /** After this a scan is answered as timed out; its slot stays taken until clamd is done. */
  readonly scanTimeoutMs: number;
  readonly clock: Clock;
  readonly emit: Emit;
  /** Told when a slot comes free or the state changes. */
  readonly onChange: () => void;
  readonly timing?: BackendTiming;
}

export interface BackendTiming extends HealthTiming {
  readonly connectTimeoutMs: number;
  /** An answer that has not come by then never will: the connection is cut and the slot is free again. */
  readonly abandonAfterMs: number;
}

export const backendTiming: BackendTiming = {
  connectTimeoutMs: 3_000,
  proofTimeoutMs: 3_000,
  proofIntervalMs: 2_000,
  proofRetryMs: 500,
  abandonAfterMs: 30 * 60_000,
};

export type BackendOutcome =
  | { readonly kind: "verdict"; readonly verdict: Verdict; readonly version: EngineVersion; readonly isCacheable: boolean }
  /** No connection: clamd cannot have seen the body. */
  | { readonly kind: "unreached"; readonly reason: string }
  /** The connection ended without a whole answer. */
  | { readonly kind: "lost"; readonly reason: string }
  /** clamd answered, but not with a verdict; or not what it was asked. */
  | { readonly kind: "failed"; readonly reason: string }
  /** The body itself could not be read: no fault of clamd's. */
  | { readonly kind: "unreadable"; readonly error: unknown }
  /** No answer in time; `isEngineWell` where clamd has proved itself all the while, and now: then it is the body that takes so long. */
  | { readonly kind: "timeout"; readonly isEngineWell: boolean };

export interface Backend {
  readonly name: string;
  /** Scans at once, now; less than `inFlight` where it has become less while they ran. */
  slots(): number;
  isUp(): boolean;
  /** As `Health.isBusy`: it is not to be given more, and may be up all the same. */
  isBusy(): boolean;
  /** Of the last proof; null while the backend is down. */
  version(): EngineVersion | null;
  /** As `Health.lacking`. */
  lacking(): readonly string[];
  /** As `Health.isSettled`. */
  isSettled(): boolean;
  inFlight(): number;
  /** Scans that were answered as timed out and still run: their slots are not free. */
  overdue(): number;
  /**
   * Takes a slot at once and gives it back; the caller has looked that one is free. Rejects only when the body is disposed.
   * After a loss the backend is down, and has to prove itself again, before its slot is free.
   */
  scan(body: SpooledBody): Promise<BackendOutcome>;
  /** Where the last proof has failed: ends every scan as lost, for another backend to do. Nobody can say when they would be answered. */
  cutIfSilent(): void;
  /** Asks for a new proof now; resolves with whether it was given. */
  prove(): Promise<boolean>;
  /** To be told when clamd changes its signatures: no verdict from before is asked for any more. Asks for a new proof, as `prove`. */
  renew(): Promise<boolean>;
  /** Ends the watch; scans that run go on to their answers. */
  retire(): void;
  /** Ends the watch and cuts every exchange. */
  close(): void;
}

export function createBackend(options: BackendOptions): Backend {
  const { address, dial, clock, onChange, timing = backendTiming } = options;
  const health = watchHealth({ ...options, clamd: options, busyMs: options.scanTimeoutMs, timing });
  const closed = new AbortController();
  /** Ends the scans that run now. */
  let cut = new AbortController();
  let inFlight = 0;
  let overdue = 0;

  /** The whole exchange, however long clamd takes. */
  async function run(body: SpooledBody): Promise<BackendOutcome> {
    const before = health.version();
    const startedAt = clock();
    // There is nothing to open, and SCAN has its own ways with empty files (clamd.md 1.4).
    const path = options.sharesSpool && body.size > 0 ? body.path : null;
    const subject = path ?? "stream";
    const { signal } = cut;
    try {
      const { connectTimeoutMs, abandonAfterMs: timeoutMs } = timing;
      const request = requestFor(body, path);
      const received = await exchange(request, { dial, address, connectTimeoutMs, timeoutMs, signal });
      health.heard();
      const reply = parseScanReply(received, subject);
      const scanMs = clock() - startedAt;
      const isClean = reply.kind === "verdict" && reply.verdict.kind === "clean";
      const doubt = isClean ? ((await options.doubt?.(startedAt)) ?? null) : null;
      return doubt === null ? judge(reply, before, scanMs) : { kind: "failed", reason: doubt };
    } catch (error) {
      if (closed.signal.aborted) return { kind: "lost", reason: "the backend is closed" };
      if (signal.aborted) return { kind: "lost", reason: "it no longer proved itself" };
      if (!(error instanceof ExchangeError)) return { kind: "unreadable", error };
      if (error.fault === "unreached") return { kind: "unreached", reason: error.message };
      const reply = parseScanReply(error.received, subject);
      // A refusal stands even when the rest of the body ran into a reset; every other verdict needs a proper end.
      if (reply.kind === "error" || isTooLarge(reply)) return judge(reply, before, clock() - startedAt);
      return { kind: error.fault === "nonsense" ? "failed" : "lost", reason: error.message };
    }
  }

  function judge(reply: ClamdReply, before: EngineVersion | null, scanMs: number): BackendOutcome {
    switch (reply.kind) {
      case "error":
      case "garbage":
        return { kind: "failed", reason: reply.text };
      case "nothing":
        return { kind: "lost", reason: "closed without a reply" };
      case "verdict": {
        if (before === null) return { kind: "failed", reason: "answered without ever having proved itself" };
        const isCacheable = health.isUp() && health.isSettled() && health.version()?.tag === before.tag;
        const isTooLate = reply.verdict.kind === "clean" && options.maxScanTimeMs !== null && scanMs >= options.maxScanTimeMs;
        const verdict: Verdict = isTooLate ? { kind: "unscannable", reason: "limit-time", heuristic: null } : reply.verdict;
        return { kind: "verdict", verdict, version: before, isCacheable };
      }
    }
  }

  async function scan(body: SpooledBody): Promise<BackendOutcome> {
    const held = body.hold();
    const startedAt = clock();
    inFlight += 1;
    let isOverdue = false;
    const finished = run(held).then(async (outcome) => {
      inFlight -= 1;
      if (isOverdue) overdue -= 1;
      release(outcome);
      await held[Symbol.asyncDispose]();
      return outcome;
    });
    const timedOut = Promise.withResolvers<BackendOutcome>();
    // A plain timer: taking back one that listens to a signal costs an error with its stack for every scan.
    const timer = setTimeout(async () => {
      const isProved = await health.prove();
      timedOut.resolve({ kind: "timeout", isEngineWell: isProved && health.provenSince() <= startedAt });
    }, options.scanTimeoutMs).unref();
    const outcome = await Promise.race([finished, timedOut.promise]);
    clearTimeout(timer);
    if (outcome.kind === "timeout") {
      isOverdue = true;
      overdue += 1;
      onChange();
    }
    return outcome;
  }

  /** Down first: the slot must not go to the next one while the backend still counts as up. */
  function release(outcome: BackendOutcome): void {
    if (!closed.signal.aborted && (outcome.kind === "lost" || outcome.kind === "unreached")) health.markDown(outcome.reason);
    // An error text may be this body's own fault. Where nothing was reached, the watch tries again after its pause.
    if (outcome.kind === "lost" || outcome.kind === "failed") void health.prove();
    onChange();
  }

  return {
    name: options.name,
    slots: options.slots,
    isUp: health.isUp,
    isBusy: health.isBusy,
    lacking: health.lacking,
    isSettled: health.isSettled,
    version: () => (health.isUp() ? health.version() : null),
    inFlight: () => inFlight,
    overdue: () => overdue,
    scan,
    cutIfSilent() {
      if (!health.isSilent()) return;
      const before = cut;
      cut = new AbortController();
      before.abort(new Error("it no longer proved itself"));
    },
    prove: health.prove,
    renew: health.renew,
    retire: health.close,
    close() {
      health.close();
      closed.abort(new Error("the backend is closed"));
      cut.abort(closed.signal.reason);
    },
  };
}

function requestFor(body: SpooledBody, path: string | null): Request {
  const { bytes } = body;
  if (bytes !== null) return instreamBytes(bytes);
  return path === null ? instreamFile(body) : scanCommand(path);
}

function isTooLarge(reply: ClamdReply): boolean {
  return reply.kind === "verdict" && reply.verdict.kind === "unscannable" && reply.verdict.reason === "too-large";
}
