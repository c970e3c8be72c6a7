/** What a scan ends in when it has no report, and what blocked bytes end in. */

import type { Report } from "./report.ts";

/**
 * `aborted`: by the caller's signal; `timeout`: no end within `timeoutMs`, or nothing moved for `idleTimeoutMs`; `connection`: the
 * target cannot be reached, or broke off; `unavailable`: it cannot scan now; `too-large`: for its limit, or for `maxBytes`;
 * `protocol`: it answered what no such target answers; `unauthenticated`, `forbidden`, `rate-limited`: who asks; `not-found`: there
 * is no such file; `unfetchable`: the gateway could not fetch it; `unsupported`: not by this target, or not on this platform;
 * `input`: the body itself cannot be read.
 */
export type ScanErrorCode =
  | "aborted"
  | "timeout"
  | "connection"
  | "unavailable"
  | "too-large"
  | "protocol"
  | "unauthenticated"
  | "forbidden"
  | "rate-limited"
  | "not-found"
  | "unfetchable"
  | "unsupported"
  | "input";

export interface ScanErrorOptions {
  readonly cause?: unknown;
  readonly retryAfterMs?: number | null;
}

/** There is no verdict: the bytes are neither clean nor blocked. */
export class ScanError extends Error {
  override readonly name = "ScanError";
  readonly code: ScanErrorCode;
  /** When the target asked to be tried again; null where it did not say. */
  readonly retryAfterMs: number | null;

  constructor(code: ScanErrorCode, message: string, { cause, retryAfterMs = null }: ScanErrorOptions = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
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

export function toScanError(error: unknown, code: ScanErrorCode = "connection"): ScanError {
  if (error instanceof ScanError) return error;
  return new ScanError(code, error instanceof Error ? error.message : String(error), { cause: error });
}
