/** Fetches one download: through the gate, along redirects, within the times and limits (download-proxy.md 3.2). */

import { setTimeout as delay } from "node:timers/promises";
import type { Clock } from "../core/clock.ts";
import { ClamgateError } from "../core/errors.ts";
import { checkIsWhole, readFraming, tooLarge, upTo } from "./answer-head.ts";
import { type ExchangeAnswer, exchange } from "./exchange.ts";
import { type HeaderLines, pairs, valuesOf } from "./header-lines.ts";
import type { OriginGate } from "./origin-gate.ts";
import type { OriginPools } from "./origin-pools.ts";
import { brokenAnswer, tookTooLong, UpstreamError } from "./refusal.ts";
import { hasPassedHere, type RequestHeadersOptions, requestHeaders } from "./request-headers.ts";
import { originOf, type Target, targetOf, urlOf } from "./target.ts";

export interface UpstreamRequest {
  readonly method: "GET" | "HEAD";
  readonly target: Target;
  /** The client's, as Node's `rawHeaders`; what may be sent on is chosen here. */
  readonly rawHeaders: HeaderLines;
  /** In whose turn names are looked up. */
  readonly client: string;
  /** Ends the fetch, and the body, with its reason. */
  readonly signal: AbortSignal;
  /** Of the body. */
  readonly maxBytes: number;
}

export interface UpstreamResponse {
  readonly status: number;
  /** As received, but for `carryHeaders`: order, case and repetition kept, bytes as Latin-1 characters; `responseHeaders` chooses from them. */
  readonly rawHeaders: HeaderLines;
  /** By `Content-Length`; see `Framing`. */
  readonly declaredBytes: number | null;
  /**
   * Single use, one reader. Throws `upstream-failed` where the answer breaks off, `upstream-timeout`, `too-large`, or the signal's reason:
   * bytes handed on before that are no download.
   */
  readonly body: AsyncIterable<Uint8Array>;
  /** Canonical, of the last hop. May hold secrets in its query. */
  readonly finalUrl: string;
  /** Heads of the redirects that were followed, in order; as `rawHeaders`. */
  readonly redirects: readonly HeaderLines[];
  /** For whoever does not read the body, or not to its end. May be called at any time, and again. */
  discard(): void;
}

/**
 * Rejects with `forbidden`, `malformed` (a header), `request-loop`, `upstream-failed`, `upstream-timeout`, `queue-full`, `too-large`, or the
 * signal's reason.
 * The caller reads the body or discards it.
 */
export type FetchUpstream = (request: UpstreamRequest) => Promise<UpstreamResponse>;

export interface FetchUpstreamOptions {
  readonly gate: OriginGate;
  readonly pools: OriginPools;
  readonly headers: RequestHeadersOptions;
  /**
   * Names in lower case of what the first origin says of the object in the redirect, where the place that it leads to does not know it. They
   * take the place of that one's.
   */
  readonly carryHeaders: readonly string[];
  readonly maxRedirects: number;
  /** A redirect from https to http is followed. */
  readonly allowDowngrade: boolean;
  readonly times: UpstreamTimes;
  /** After the first attempt; for GET, while nothing has been handed on (P25). */
  readonly maxRetries: number;
  /** Before the first retry, on average; twice as long before the second. */
  readonly retryAfterMs: number;
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly random: () => number;
}

export interface UpstreamTimes {
  readonly headTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** Of everything, body and redirects included; 0: none. */
  readonly totalTimeoutMs: number;
  /** 0: none. */
  readonly minBytesPerSecond: number;
}

export function createFetchUpstream(options: FetchUpstreamOptions): FetchUpstream {
  return async function fetchUpstream(request) {
    if (hasPassedHere(request.rawHeaders, options.headers.gatewayId))
      throw new ClamgateError("request-loop", "The request has passed through this gateway before");
    const deadline = startDeadline(options.times.totalTimeoutMs, request.signal);
    try {
      const followed = await follow({ ...request, signal: deadline.signal });
      const { answer } = followed;
      try {
        const response = responseOf(request, followed);
        void answer.ended.then(deadline.stop);
        return response;
      } catch (error) {
        answer.cut();
        throw error;
      }
    } catch (error) {
      deadline.stop();
      throw error;
    }
  };

  async function follow(request: UpstreamRequest): Promise<Followed> {
    const visited = new Set<string>();
    const redirects: HeaderLines[] = [];
    const carried: string[] = [];
    let target = request.target;
    let isFirstOrigin = true;
    for (;;) {
      visited.add(urlOf(target));
      const kind = redirects.length === 0 ? "request" : "redirect";
      const answer = await askWithRetries({ ...request, target }, kind, isFirstOrigin);
      let next: Target | null;
      try {
        next = redirectOf(target, answer);
        if (next === null) return { answer, target, redirects, carried };
        if (redirects.length === options.maxRedirects) throw brokenAnswer("The origin redirects too often");
        if (visited.has(urlOf(next))) throw brokenAnswer("The origin redirects in a circle");
        if (target.scheme === "https" && next.scheme === "http" && !options.allowDowngrade)
          throw brokenAnswer("The origin redirects to an address without TLS");
      } catch (error) {
        answer.cut();
        throw error;
      }
      answer.discard();
      redirects.push(answer.lines);
      if (isFirstOrigin) carried.push(...carriedBy(answer.lines, carried));
      // Credentials that were dropped once stay dropped, also when a later hop leads back.
      isFirstOrigin &&= originOf(next) === originOf(target);
      target = next;
    }
  }

  /** What has been carried is not carried again. */
  function carriedBy(lines: HeaderLines, carried: HeaderLines): string[] {
    const names = options.carryHeaders.filter((name) => valuesOf(carried, name).length === 0);
    return [...pairs(lines)].filter(([name]) => names.includes(name.toLowerCase())).flat();
  }

  async function askWithRetries(request: UpstreamRequest, kind: "request" | "redirect", isFirstOrigin: boolean) {
    for (let retries = 0; ; retries += 1) {
      const mayRetry = request.method === "GET" && retries < options.maxRetries;
      try {
        const answer = await ask(request, kind, isFirstOrigin);
        if (!mayRetry || !isTransientAnswer(answer)) return answer;
        answer.discard();
      } catch (error) {
        if (!mayRetry || !(error instanceof UpstreamError) || !error.isTransient) throw error;
      }
      const waitMs = options.retryAfterMs * 2 ** retries * (0.5 + options.random());
      await delay(waitMs, undefined, { signal: request.signal }).catch(() => request.signal.throwIfAborted());
    }
  }

  async function ask(request: UpstreamRequest, kind: "request" | "redirect", isFirstOrigin: boolean): Promise<ExchangeAnswer> {
    const { method, target, client, signal } = request;
    const headers = requestHeaders(request.rawHeaders, options.headers, isFirstOrigin);
    const addresses = await options.gate({ target, kind, client, signal });
    const pool = options.pools.borrow(target, addresses);
    const { headTimeoutMs, idleTimeoutMs, minBytesPerSecond } = options.times;
    const limits = { headTimeoutMs, idleTimeoutMs, minBytesPerSecond, signal, clock: options.clock };
    return await exchange(pool.dispatcher, { method, path: target.path, headers }, limits, pool.release);
  }
}

interface Followed {
  readonly answer: ExchangeAnswer;
  /** That gave it. */
  readonly target: Target;
  readonly redirects: readonly HeaderLines[];
  readonly carried: HeaderLines;
}

function responseOf({ method, maxBytes }: UpstreamRequest, { answer, target, redirects, carried }: Followed): UpstreamResponse {
  checkIsWhole(answer.status, answer.lines);
  const { declaredBytes } = readFraming(answer.lines);
  const hasBody = method === "GET" && answer.status !== 304;
  if (hasBody && declaredBytes !== null && declaredBytes > maxBytes) throw tooLarge();
  return {
    status: answer.status,
    rawHeaders: [...without(answer.lines, carried), ...carried],
    declaredBytes,
    body: upTo(maxBytes, answer.body),
    finalUrl: urlOf(target),
    redirects,
    discard: () => answer.discard(),
  };
}

function without(lines: HeaderLines, others: HeaderLines): string[] {
  return [...pairs(lines)].filter(([name]) => valuesOf(others, name.toLowerCase()).length === 0).flat();
}

/** The origin says that it may be well in a moment; one that says when it will be is not pressed. */
function isTransientAnswer({ status, lines }: ExchangeAnswer): boolean {
  return status >= 502 && status <= 504 && valuesOf(lines, "retry-after").length === 0;
}

/** Aborts with the caller's reason, or when the time is up; not by `AbortSignal.any`, which costs more than all else here. */
function startDeadline(totalTimeoutMs: number, caller: AbortSignal): { readonly signal: AbortSignal; readonly stop: () => void } {
  const controller = new AbortController();
  const onAbort = () => controller.abort(caller.reason);
  if (caller.aborted) onAbort();
  else caller.addEventListener("abort", onAbort);
  const onTimeUp = () => controller.abort(tookTooLong("The download took too long"));
  const timer = totalTimeoutMs === 0 ? undefined : setTimeout(onTimeUp, totalTimeoutMs);
  const stop = () => {
    clearTimeout(timer);
    caller.removeEventListener("abort", onAbort);
  };
  return { signal: controller.signal, stop };
}

const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/**
 * Null for an answer that is no redirect, or one that does not say where to: that is an answer like any other.
 * @throws ClamgateError `upstream-failed` for a Location that is no address to go to.
 */
export function redirectOf(from: Target, { status, lines }: Pick<ExchangeAnswer, "status" | "lines">): Target | null {
  if (!redirects.has(status)) return null;
  const [location, ...others] = new Set(valuesOf(lines, "location"));
  if (location === undefined) return null;
  // URL would drop line breaks and tabs without a word (S2).
  const isClear = others.length === 0 && !hasControlCharacter(location);
  const target = isClear ? targetOf(URL.parse(decoded(location), urlOf(from))) : null;
  if (target === null) throw brokenAnswer("The origin redirects to what is no address");
  return target;
}

/** Origins write UTF-8 where they should percent-encode; whatever is not UTF-8 stays as it is, byte for byte. */
function decoded(latin1: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(latin1, "latin1"));
  } catch {
    return latin1; // bytes that are no UTF-8
  }
}

function hasControlCharacter(text: string): boolean {
  return [...text].some((character) => character < " " || character === "\x7f");
}
