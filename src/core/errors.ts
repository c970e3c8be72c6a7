/** The one error type that crosses rooms, with a closed set of codes that every front maps to its protocol. */

export const errorCodes = [
  /** The body is larger than the limit that applies to it. */
  "too-large",
  /** The request is not what its protocol says: syntax, lengths, an early end. */
  "malformed",
  /** The body is not whole in the content coding that its sender names, or in one that nobody here knows. */
  "undecodable",
  /** The client went away. */
  "client-gone",
  /** The client sent nothing, or far too little, for too long. */
  "client-slow",
  /** The caller may not have what it asked for. */
  "forbidden",
  /** What was asked for does not exist. */
  "not-found",
  /** A file changed while it was read: what was read of it may never have been there. */
  "source-changed",
  /** No engine has proved itself yet, or none is left. */
  "engine-unavailable",
  /** The engine was lost in mid-scan, and again; that says nothing about the body. */
  "backend-lost",
  /** The engine dies of this body: alone with it, more than once, and of no other. */
  "engine-killed",
  /** The engine answered with an error, or with something that is not a verdict. */
  "engine-error",
  /** The engine did not answer in time. */
  "scan-timeout",
  /** The queue in front of the engine is full. */
  "queue-full",
  /** No engine slot came free in time. */
  "queue-timeout",
  /** The spool has no room left. */
  "spool-full",
  /** The origin of a download could not be reached, broke off, or answered with what is no answer. */
  "upstream-failed",
  /** The origin of a download took too long. */
  "upstream-timeout",
  /** The request has passed through this gateway before. */
  "request-loop",
  /** The record of requests cannot be written, and without it nothing is done. */
  "unrecorded",
  /** The gateway is stopping. */
  "stopping",
  /** A fault of ours. */
  "internal",
] as const;

export type ErrorCode = (typeof errorCodes)[number];

export interface ErrorContext {
  /** For the log only: may name addresses and paths. */
  readonly detail?: string;
  readonly cause?: unknown;
}

export class ClamgateError extends Error {
  override readonly name = "ClamgateError";
  readonly code: ErrorCode;
  /** Safe to show to any client: names no address, path or library. */
  readonly publicMessage: string;
  readonly detail: string | null;

  constructor(code: ErrorCode, publicMessage: string, context: ErrorContext = {}) {
    super(context.detail === undefined ? publicMessage : `${publicMessage} (${context.detail})`, { cause: context.cause });
    this.code = code;
    this.publicMessage = publicMessage;
    this.detail = context.detail ?? null;
  }
}

/** Makes any thrown value a ClamgateError; what is not one already becomes `internal` and keeps its cause. */
export function toClamgateError(thrown: unknown): ClamgateError {
  if (thrown instanceof ClamgateError) return thrown;
  return new ClamgateError("internal", "Internal error", { detail: messageOf(thrown), cause: thrown });
}

/** What an operator can read in any thrown value. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** What the system or Node calls it, as `ENOENT`; null for what has no such name. */
export function systemCodeOf(thrown: unknown): string | null {
  return thrown instanceof Error && "code" in thrown && typeof thrown.code === "string" ? thrown.code : null;
}
