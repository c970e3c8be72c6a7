/** What a scan ends in when it has no report. */

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

export function toScanError(error: unknown, code: ScanErrorCode = "connection"): ScanError {
  if (error instanceof ScanError) return error;
  return new ScanError(code, error instanceof Error ? error.message : String(error), { cause: error });
}
