/** The report on one body, as the gateway writes it and the library gives it. */

import { type UnscannableReason, unscannableReasons, type Verdict } from "../../src/core/verdict.ts";
import { ScanError } from "./errors.ts";

export type { UnscannableReason, Verdict };

/** What one scan came to. */
export interface Report {
  /** All that has to be read: whether the bytes may pass. */
  readonly allowed: boolean;
  /** Why they may: found clean, or by a policy that lets this kind of unscannable body pass. Null where they may not. */
  readonly allowedBy: "clean" | "policy" | "allow-list" | null;
  readonly verdict: Verdict;
  /** As the caller named the body; null where nobody did. */
  readonly name: string | null;
  /** Media type by the first bytes; null where it is not known. */
  readonly type: string | null;
  /** Bytes; null where only the digest was given. */
  readonly size: number | null;
  /** Lower-case hexadecimal SHA-256. */
  readonly sha256: string;
  readonly engine: EngineInfo;
  /** True when this very body had been scanned before. */
  readonly cached: boolean;
  readonly elapsedMs: number;
}

/** Who scanned, with which signatures. */
export interface EngineInfo {
  /** The engine's release, as `1.4.6`. */
  readonly engine: string;
  /** Number of the daily database; 0 when none is loaded. */
  readonly database: number;
  /** ISO 8601; null where it is not known. */
  readonly databaseTime: string | null;
  /** One short id of engine, signatures and limits; empty where the target tells none. */
  readonly tag: string;
  /** Only built-in test signatures are loaded: they find test files, and nothing else. */
  readonly testOnly: boolean;
}

/** What the target says of itself. */
export interface Status {
  readonly engine: EngineInfo | null;
  /** Seconds since the signatures were built; null where that is not known. */
  readonly signatureAgeSeconds: number | null;
  readonly slots: { readonly total: number; readonly busy: number } | null;
  readonly queued: number | null;
  /** `degraded`: verdicts are not remembered; null where that is not told. */
  readonly cache: "ok" | "degraded" | null;
  /** Bytes of the largest file that is scanned; null where that is not told. */
  readonly maxBytes: number | null;
  /** What an operator should look at, and what this target cannot promise. */
  readonly warnings: readonly string[];
}

/** The bytes may not pass: something was found in them, or they could not be looked into. */
export class BlockedError extends Error {
  override readonly name = "BlockedError";
  readonly report: Report;

  constructor(report: Report) {
    super(`blocked: ${reasonOf(report)}`);
    this.report = report;
  }
}

/** Returns the report where its bytes are allowed. @throws BlockedError where they are not. */
export function requireAllowed(report: Report): Report {
  if (!report.allowed) throw new BlockedError(report);
  return report;
}

/** What was found, or why the body could not be looked into. */
export function reasonOf({ verdict }: Report): string {
  switch (verdict.kind) {
    case "clean":
      return "clean";
    case "infected":
      return verdict.signatures.join(", ");
    case "unscannable":
      return verdict.heuristic ?? verdict.reason;
  }
}

/** @throws ScanError `protocol` where it is not a report: what cannot be read is never taken for clean. */
export function parseReport(value: unknown): Report {
  if (!isRecord(value) || !isRecord(value.engine)) throw notAReport();
  const { allowed, allowedBy, name, type, size, sha256, cached, elapsedMs } = value;
  const verdict = parseVerdict(value.verdict);
  const isWhole =
    typeof allowed === "boolean" &&
    (name === null || typeof name === "string") &&
    (type === null || typeof type === "string") &&
    (size === null || isCount(size)) &&
    typeof sha256 === "string" &&
    /^[0-9a-f]{64}$/.test(sha256) &&
    typeof cached === "boolean" &&
    typeof elapsedMs === "number";
  if (!isWhole || verdict === null || !isReason(allowed, allowedBy, verdict)) throw notAReport();
  return { allowed, allowedBy, verdict, name, type, size, sha256, engine: parseEngine(value.engine), cached, elapsedMs };
}

/** @throws ScanError `protocol` */
export function parseStatus(value: unknown): Status {
  if (!isRecord(value) || !Array.isArray(value.warnings)) throw notAReport();
  const { engine, signatureAgeSeconds, slots, queued, cache, maxBytes, warnings } = value;
  return {
    engine: isRecord(engine) ? parseEngine(engine) : null,
    signatureAgeSeconds: typeof signatureAgeSeconds === "number" ? signatureAgeSeconds : null,
    slots: isRecord(slots) && isCount(slots.total) && isCount(slots.busy) ? { total: slots.total, busy: slots.busy } : null,
    queued: isCount(queued) ? queued : null,
    cache: cache === "ok" || cache === "degraded" ? cache : null,
    maxBytes: isCount(maxBytes) ? maxBytes : null,
    warnings: warnings.filter((warning) => typeof warning === "string"),
  };
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseVerdict(value: unknown): Verdict | null {
  if (!isRecord(value)) return null;
  if (value.kind === "clean") return { kind: "clean" };
  if (value.kind === "infected") {
    const { signatures } = value;
    if (!Array.isArray(signatures) || !signatures.every((name) => typeof name === "string")) return null;
    return { kind: "infected", signatures };
  }
  if (value.kind !== "unscannable") return null;
  const reason = unscannableReasons.find((known) => known === value.reason);
  const { heuristic } = value;
  if (reason === undefined || (heuristic !== null && typeof heuristic !== "string")) return null;
  return { kind: "unscannable", reason, heuristic };
}

/** Infected bytes pass by an allow list alone, and what is allowed says why. */
function isReason(allowed: boolean, by: unknown, { kind }: Verdict): by is Report["allowedBy"] {
  if (!allowed) return by === null && kind !== "clean";
  if (by === "clean") return kind === "clean";
  if (by === "policy") return kind === "unscannable";
  return by === "allow-list" && kind === "infected";
}

function parseEngine(value: Readonly<Record<string, unknown>>): EngineInfo {
  const { engine, database, databaseTime, tag, testOnly } = value;
  if (typeof engine !== "string" || !isCount(database) || typeof tag !== "string") throw notAReport();
  return {
    engine,
    database,
    databaseTime: typeof databaseTime === "string" ? databaseTime : null,
    tag,
    testOnly: testOnly === true,
  };
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function notAReport(): ScanError {
  return new ScanError("protocol", "the answer is not a report");
}
