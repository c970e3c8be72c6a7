/** One clamd: its slots, its proof of health, and scans over it. */

import { setTimeout as delay } from "node:timers/promises";
import { type ClamdReply, parseScanReply } from "../codec/clamd-reply.ts";
import type { Clock, Observe, SpooledBody } from "../core/ports.ts";
import type { EngineVersion, Verdict } from "../core/verdict.ts";
import { instreamBytes, instreamFile, type Request, scanCommand } from "./commands.ts";
import { ExchangeError, exchange } from "./exchange.ts";
import { type Clamd, proveClamd } from "./proof.ts";

export interface BackendOptions extends Clamd {
  /** As it stands in logs. */
  readonly name: string;
  /** Scans at once; at most clamd's MaxThreads, so that clamd's own queue stays empty and it always answers. */
  readonly slots: number;
  /** True when clamd can open the spool's files by their path. */
  readonly sharesSpool: boolean;
  /** clamd's own MaxScanTime where it is known: an OK that took longer is not believed (clamd.md S3). */
  readonly maxScanTimeMs: number | null;
  /** After this a scan is answered as timed out; its slot stays taken until clamd is done. */
  readonly scanTimeoutMs: number;
  readonly clock: Clock;
  readonly observe: Observe;
  /** Told when a slot comes free or the state changes. */
  readonly onChange: () => void;
}

export type BackendOutcome =
  | { readonly kind: "verdict"; readonly verdict: Verdict; readonly version: EngineVersion; readonly isCacheable: boolean }
  /** No connection: clamd cannot have seen the body. */
  | { readonly kind: "unreached"; readonly reason: string }
  /** The connection ended without a whole answer. */
  | { readonly kind: "lost"; readonly reason: string }
  /** clamd answered, but not with a verdict. */
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "timeout" };

export interface Backend {
  readonly name: string;
  readonly slots: number;
  isUp(): boolean;
  /** Of the last proof; null while the backend is down. */
  version(): EngineVersion | null;
  inFlight(): number;
  /** Scans that were answered as timed out and still run: their slots are not free. */
  overdue(): number;
  /** Takes a slot and gives it back; the caller has looked that one is free. Never rejects. */
  scan(body: SpooledBody): Promise<BackendOutcome>;
  /** Asks for a new proof now; resolves with whether it was given. */
  prove(): Promise<boolean>;
  /** Not to be used until it has proved itself again. */
  markDown(reason: string): void;
  /** Ends the watch; scans that run go on to their answers. */
  retire(): void;
  /** Ends the watch and cuts every exchange. */
  close(): void;
}

const connectTimeoutMs = 3_000;
const proofIntervalMs = 2_000;
const proofRetryMs = 500;
/** An answer that has not come by then never will: the connection is cut and the slot is free again. */
const abandonAfterMs = 30 * 60_000;

export function createBackend(options: BackendOptions): Backend {
  const { name, address, slots, dial, clock, observe, onChange } = options;
  const retired = new AbortController();
  const closed = new AbortController();
  let version: EngineVersion | null = null;
  let isUp = false;
  let hasReported = false;
  let inFlight = 0;
  let overdue = 0;
  let proof: Promise<boolean> | null = null;

  function markDown(reason: string): void {
    if (!isUp && hasReported) return;
    isUp = false;
    hasReported = true;
    observe({ kind: "backend-down", backend: name, reason });
    onChange();
  }

  function markUp(next: EngineVersion): void {
    const isNews = !isUp || version?.tag !== next.tag;
    version = next;
    isUp = true;
    hasReported = true;
    if (!isNews) return;
    observe({ kind: "backend-up", backend: name, version: next });
    onChange();
  }

  async function proveOnce(): Promise<boolean> {
    try {
      const { version: proven } = await proveClamd(options, retired.signal);
      if (retired.signal.aborted) return false;
      markUp(proven);
      return true;
    } catch (error) {
      if (!retired.signal.aborted) markDown(error instanceof Error ? error.message : String(error));
      return false;
    }
  }

  function prove(): Promise<boolean> {
    proof ??= proveOnce().finally(() => {
      proof = null;
    });
    return proof;
  }

  async function watch(): Promise<void> {
    while (!retired.signal.aborted) {
      const isProven = await prove();
      await delay(isProven ? proofIntervalMs : proofRetryMs, undefined, { signal: retired.signal, ref: false }).catch(() => {}); // retired
    }
  }

  /** The whole exchange, however long clamd takes. */
  async function run(body: SpooledBody): Promise<BackendOutcome> {
    const before = version;
    const startedAt = clock();
    const isByPath = body.path !== null && options.sharesSpool;
    const subject = isByPath ? body.path : "stream";
    try {
      const signal = AbortSignal.any([closed.signal, AbortSignal.timeout(abandonAfterMs)]);
      const reply = parseScanReply(
        await exchange(requestFor(body, isByPath), { dial, address, connectTimeoutMs, signal }),
        subject,
      );
      return judge(reply, before, clock() - startedAt);
    } catch (error) {
      if (!(error instanceof ExchangeError))
        return { kind: "lost", reason: error instanceof Error ? error.message : String(error) };
      if (!error.wasConnected) return { kind: "unreached", reason: error.message };
      const reply = parseScanReply(error.received, subject);
      // A refusal stands even when the rest of the body ran into a reset; OK and FOUND need a proper end.
      const isRefusal = reply.kind === "error" || (reply.kind === "verdict" && reply.verdict.kind === "unscannable");
      return isRefusal ? judge(reply, before, clock() - startedAt) : { kind: "lost", reason: error.message };
    }
  }

  function judge(reply: ClamdReply, before: EngineVersion | null, scanMs: number): BackendOutcome {
    switch (reply.kind) {
      case "error":
        return { kind: "failed", reason: reply.text };
      case "garbage":
        return reply.text === "closed without a reply"
          ? { kind: "lost", reason: reply.text }
          : { kind: "failed", reason: reply.text };
      case "verdict": {
        if (before === null) return { kind: "failed", reason: "answered without ever having proved itself" };
        const isCacheable = isUp && version?.tag === before.tag;
        const isTooLate = reply.verdict.kind === "clean" && options.maxScanTimeMs !== null && scanMs >= options.maxScanTimeMs;
        const verdict: Verdict = isTooLate ? { kind: "unscannable", reason: "limit-time", heuristic: null } : reply.verdict;
        return { kind: "verdict", verdict, version: before, isCacheable };
      }
    }
  }

  async function scan(body: SpooledBody): Promise<BackendOutcome> {
    inFlight += 1;
    const held = body.hold();
    let isOverdue = false;
    const finished = run(held).finally(async () => {
      inFlight -= 1;
      if (isOverdue) overdue -= 1;
      onChange();
      await held[Symbol.asyncDispose]();
    });
    const timer = new AbortController();
    const timeout = delay(options.scanTimeoutMs, { kind: "timeout" } as const, { signal: timer.signal, ref: false });
    timeout.catch(() => {}); // the answer came first
    const outcome = await Promise.race([finished, timeout]);
    timer.abort();
    if (outcome.kind === "timeout") {
      isOverdue = true;
      overdue += 1;
      onChange();
    }
    return outcome;
  }

  void watch();
  return {
    name,
    slots,
    isUp: () => isUp,
    version: () => (isUp ? version : null),
    inFlight: () => inFlight,
    overdue: () => overdue,
    scan,
    prove,
    markDown,
    retire: () => retired.abort(),
    close() {
      retired.abort();
      closed.abort(new Error("the backend is closed"));
    },
  };

  function requestFor(body: SpooledBody, isByPath: boolean): Request {
    if (body.bytes !== null) return instreamBytes(body.bytes);
    return isByPath && body.path !== null ? scanCommand(body.path) : instreamFile(body);
  }
}
