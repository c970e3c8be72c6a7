/** One clamd: its slots, its proof of health, and scans over it. */

import { type ClamdReply, isTooLarge } from "../codec/clamd/reply.ts";
import type { Clock } from "../core/clock.ts";
import type { Emit } from "../core/events.ts";
import { Chain, type Link } from "../core/queues/chain.ts";
import type { SpooledBody } from "../core/spool.ts";
import type { EngineVersion, Verdict } from "../core/verdict.ts";
import { instreamBytes, instreamFile, type Request, scanCommand } from "./commands.ts";
import type { Dial } from "./connection.ts";
import { type HealthOptions, type HealthTiming, watchHealth } from "./health.ts";
import type { Clamd } from "./proof.ts";
import { type Cut, openSessions, type ScanEnd } from "./sessions.ts";

export interface BackendOptions extends Clamd, Pick<HealthOptions, "probes" | "isStrict"> {
  /** As it stands in logs. */
  readonly name: string;
  /** Scans at once, from now on; at most clamd's MaxThreads, so that clamd's own queue stays empty and it always answers. */
  readonly slots: () => number;
  /** clamd has one thread more, for a small body: it begins with that while the gateway turns from an answer to the next body. */
  readonly hasSpareSlot: boolean;
  /** True when clamd can open the spool's files by their path. */
  readonly sharesSpool: boolean;
  /** clamd's own MaxScanTime where it is known: an OK that took longer is not believed (clamd.md S3). */
  readonly maxScanTimeMs: number | null;
  /** Asked a turn after the end of each scan that found nothing, with when it began: why the OK must not be believed, or null. */
  readonly doubt?: (startedAt: number) => string | null;
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

/** More of these at once fill the gaps between scans; more of larger ones take the processor's caches from each other. */
const smallBytes = 65_536;

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
  /** Scans at once, now, without the spare one; less than `inFlight` where it has become less while they ran. */
  slots(): number;
  /** Whether a body of so many bytes may be given to it now. */
  hasRoomFor(bytes: number): boolean;
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
   * Takes a slot at once and gives it back; the caller has looked that there is room. Rejects only when the body is disposed.
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

/** One scan, and the slot that it takes. */
interface Running {
  readonly held: SpooledBody;
  /** What clamd had proved to be then. */
  readonly before: EngineVersion | null;
  readonly startedAt: number;
  readonly answer: (outcome: BackendOutcome) => void;
  cut: Cut;
  /** Why it was ended by force. */
  cutReason: string | null;
  /** Late once its time is over, overdue once that has been answered. */
  state: "running" | "late" | "overdue" | "over";
}

export function createBackend(options: BackendOptions): Backend {
  const { clock, onChange, doubt, scanTimeoutMs, timing = backendTiming } = options;
  const { connectTimeoutMs, abandonAfterMs } = timing;
  const dial: Dial = (address) =>
    options
      .dial(address)
      .once("connect", () => health.connected())
      .on("data", () => health.heard());
  const sessions = openSessions({ ...options, dial, connectTimeoutMs, onRefused });
  const health = watchHealth({
    ...options,
    clamd: { ...options, dial },
    proveBody: sessions.prove,
    busyMs: scanTimeoutMs,
    timing,
    onChange: onHealth,
  });
  /** The oldest first. */
  const running = new Chain<Running>();
  let overdue = 0;
  let isClosed = false;
  let timer: NodeJS.Timeout | null = null;

  function onRefused(reason: string): void {
    const message = `${options.name} keeps no sessions, so each scan has a connection of its own: ${reason}`;
    options.emit({ kind: "notice", level: "warn", message });
  }

  /** What comes back may be another clamd. */
  function onHealth(): void {
    if (!health.isUp()) sessions.renew();
    onChange();
  }

  function scan(body: SpooledBody): Promise<BackendOutcome> {
    return new Promise((answer) => {
      const held = body.hold();
      const scanned: Running = {
        held,
        before: health.version(),
        startedAt: clock(),
        answer,
        cut: () => {},
        cutReason: null,
        state: "running",
      };
      const place = running.add(scanned);
      const { request, subject } = requestFor(held, options.sharesSpool);
      scanned.cut = sessions.scan(request, subject, (end) => onScanned(scanned, place, end));
      timer ??= watchTime(scanTimeoutMs);
    });
  }

  function onScanned(scanned: Running, place: Link<Running>, end: ScanEnd): void {
    const finish = (outcome: BackendOutcome) => {
      place.remove();
      if (scanned.state === "overdue") overdue -= 1;
      scanned.state = "over";
      release(outcome);
      void scanned.held[Symbol.asyncDispose]();
      scanned.answer(outcome);
    };
    const outcome = judge(scanned, end);
    if (doubt === undefined || outcome.kind !== "verdict" || outcome.verdict.kind !== "clean") return void finish(outcome);
    setImmediate(() => {
      const reason = doubt(scanned.startedAt);
      finish(reason === null ? outcome : { kind: "failed", reason });
    });
  }

  function judge(scanned: Running, end: ScanEnd): BackendOutcome {
    switch (end.kind) {
      case "answered":
        return judgeReply(scanned, end.reply);
      case "unreadable":
        return end;
      case "broken": {
        const { fault, message: reason } = end.error;
        if (scanned.cutReason !== null) return { kind: "lost", reason: scanned.cutReason };
        if (fault === "unreached") return { kind: "unreached", reason };
        // A refusal stands even when the rest of the body ran into a reset; every other verdict needs a proper end.
        if (end.reply.kind === "error" || isTooLarge(end.reply)) return judgeReply(scanned, end.reply);
        return { kind: fault === "nonsense" ? "failed" : "lost", reason };
      }
    }
  }

  function judgeReply({ before, startedAt }: Running, reply: ClamdReply): BackendOutcome {
    switch (reply.kind) {
      case "error":
      case "garbage":
        return { kind: "failed", reason: reply.text };
      case "nothing":
        return { kind: "lost", reason: "closed without a reply" };
      case "verdict": {
        if (before === null) return { kind: "failed", reason: "answered without ever having proved itself" };
        const isCacheable = health.isUp() && health.isSettled() && health.version()?.tag === before.tag;
        const { maxScanTimeMs } = options;
        const isTooLate = reply.verdict.kind === "clean" && maxScanTimeMs !== null && clock() - startedAt >= maxScanTimeMs;
        const verdict: Verdict = isTooLate ? { kind: "unscannable", reason: "limit-time", heuristic: null } : reply.verdict;
        return { kind: "verdict", verdict, version: before, isCacheable };
      }
    }
  }

  /** Down first: the slot must not go to the next one while the backend still counts as up. */
  function release(outcome: BackendOutcome): void {
    if (!isClosed && (outcome.kind === "lost" || outcome.kind === "unreached")) health.markDown(outcome.reason);
    // An error text may be this body's own fault. Where nothing was reached, the watch tries again after its pause.
    if (outcome.kind === "lost" || outcome.kind === "failed") void health.prove();
    onChange();
  }

  /** One timer for all: it is set for the oldest, and for the next one when it has come. */
  function watchTime(ms: number): NodeJS.Timeout {
    return setTimeout(() => {
      // What has arrived while this process stood still is read first.
      setImmediate(() => {
        timer = null;
        let nextMs = Infinity;
        for (const scanned of running.items()) nextMs = Math.min(nextMs, lookAt(scanned));
        if (nextMs !== Infinity) timer ??= watchTime(nextMs);
      });
    }, ms).unref();
  }

  /** How long it may go on before it is looked at again. */
  function lookAt(scanned: Running): number {
    const ageMs = clock() - scanned.startedAt;
    if (ageMs >= abandonAfterMs) {
      scanned.cut("late", new Error(`no whole answer within ${abandonAfterMs} ms`));
      return Infinity;
    }
    if (ageMs >= scanTimeoutMs && scanned.state === "running") void timeOut(scanned);
    return ageMs < scanTimeoutMs ? Math.min(scanTimeoutMs, abandonAfterMs) - ageMs : abandonAfterMs - ageMs;
  }

  /** It is answered, and its slot stays taken until clamd is done. */
  async function timeOut(scanned: Running): Promise<void> {
    scanned.state = "late";
    const isProved = await health.prove();
    if (scanned.state !== "late") return;
    scanned.state = "overdue";
    overdue += 1;
    scanned.answer({ kind: "timeout", isEngineWell: isProved && health.provenSince() <= scanned.startedAt });
    onChange();
  }

  function cutAll(reason: string): void {
    for (const scanned of running.items()) {
      scanned.cutReason = reason;
      scanned.cut("cut", new Error(reason));
    }
  }

  return {
    name: options.name,
    slots: options.slots,
    hasRoomFor: (bytes) => running.size < options.slots() + (options.hasSpareSlot && bytes <= smallBytes ? 1 : 0),
    isUp: health.isUp,
    isBusy: health.isBusy,
    lacking: health.lacking,
    isSettled: health.isSettled,
    version: () => (health.isUp() ? health.version() : null),
    inFlight: () => running.size,
    overdue: () => overdue,
    scan,
    cutIfSilent() {
      if (health.isSilent()) cutAll("it no longer proved itself");
    },
    prove: health.prove,
    renew: health.renew,
    retire() {
      health.close();
      sessions.close();
    },
    close() {
      isClosed = true;
      health.close();
      sessions.close();
      cutAll("the backend is closed");
      if (timer !== null) clearTimeout(timer);
    },
  };
}

function requestFor(body: SpooledBody, sharesSpool: boolean): { readonly request: Request; readonly subject: string } {
  const { bytes, path } = body;
  if (bytes !== null) return { request: instreamBytes(bytes), subject: "stream" };
  // There is nothing to open, and SCAN has its own ways with empty files (clamd.md 1.4).
  if (path === null || body.size === 0 || !sharesSpool) return { request: instreamFile(body), subject: "stream" };
  return { request: scanCommand(path), subject: path };
}
