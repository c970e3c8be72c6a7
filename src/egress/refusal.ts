/** The one answer to whoever asks for what the gateway will not fetch, and the errors that an origin is to blame for. */

import { ClamgateError, type ErrorContext, messageOf } from "../core/errors.ts";

/**
 * One text whatever the reason, so that nobody learns from it which names exist inside (download-proxy.md S16).
 * @param detail for the log: which rule, which host, which kind of address.
 */
export function refused(detail: string): ClamgateError {
  return new ClamgateError("forbidden", "This origin is not allowed", { detail });
}

/** The request itself cannot be understood. */
export function malformed(publicMessage: string, detail?: string): ClamgateError {
  return new ClamgateError("malformed", publicMessage, detail === undefined ? {} : { detail });
}

/** What went wrong between the gateway and an origin. */
export class UpstreamError extends ClamgateError {
  /** The same request may well succeed a moment later: no connection came about, or it broke before an answer began. */
  readonly isTransient: boolean;

  constructor(
    code: "upstream-failed" | "upstream-timeout",
    publicMessage: string,
    context: ErrorContext & { readonly isTransient?: boolean } = {},
  ) {
    super(code, publicMessage, context);
    this.isTransient = context.isTransient ?? false;
  }
}

/** One text for a name that does not resolve, a port that is closed and a handshake that failed (S16). */
export function unreachable(cause: unknown, { isTransient }: { readonly isTransient: boolean }): UpstreamError {
  return new UpstreamError("upstream-failed", "The origin could not be reached", { ...context(cause), isTransient });
}

/** @param publicMessage names what was not as the protocol has it, never what the origin said. */
export function brokenAnswer(publicMessage: string, cause?: unknown): UpstreamError {
  return new UpstreamError("upstream-failed", publicMessage, context(cause));
}

export function tooLarge(): ClamgateError {
  return new ClamgateError("too-large", "The download is too large");
}

export function tookTooLong(publicMessage: string): UpstreamError {
  return new UpstreamError("upstream-timeout", publicMessage);
}

function context(cause: unknown): ErrorContext {
  if (cause === undefined) return {};
  return { detail: messageOf(cause), cause };
}
