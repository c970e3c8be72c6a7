/** Fetches one download: through the gate, along redirects, within the times and limits (download-proxy.md 3.2). */

import { setTimeout as delay } from "node:timers/promises";
import type { Clock } from "../core/clock.ts";
import { ClamgateError } from "../core/errors.ts";
import { checkIsWhole, readFraming } from "./answer-head.ts";
import { type ExchangeAnswer, exchange } from "./exchange.ts";
import { type HeaderLines, pairs, valuesOf } from "./header-lines.ts";
import type { OriginGate } from "./origin-gate.ts";
import type { OriginPools } from "./origin-pools.ts";
import { brokenAnswer, tooLarge, UpstreamError } from "./refusal.ts";
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
  readonly body: AsyncIterableIterator<Uint8Array, undefined>;
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
  const { times, clock } = options;
  return async function fetchUpstream(request) {
    const { method, signal } = request;
    if (hasPassedHere(request.rawHeaders, options.headers.gatewayId))
      throw new ClamgateError("request-loop", "The request has passed through this gateway before");
    const endsAt = times.totalTimeoutMs === 0 ? Number.POSITIVE_INFINITY : clock() + times.totalTimeoutMs;
    const path: Path = { target: request.target, isFirstOrigin: true, visited: [], redirects: [], carried: [] };
    for (let retries = 0; ; ) {
      const mayRetry = method === "GET" && retries < options.maxRetries;
      try {
        const answer = await send(request, path, endsAt);
        if (!mayRetry || !isTransientAnswer(answer)) {
          if (!follow(path, answer)) return responseOf(request, path, answer);
          retries = 0;
          continue;
        }
        answer.discard();
      } catch (error) {
        if (!mayRetry || !(error instanceof UpstreamError) || !error.isTransient) throw error;
      }
      const waitMs = Math.min(options.retryAfterMs * 2 ** retries * (0.5 + options.random()), endsAt - clock());
      retries += 1;
      await delay(waitMs, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  };

  function send(request: UpstreamRequest, path: Path, endsAt: number): Promise<ExchangeAnswer> {
    const { method, rawHeaders, client, maxBytes, signal } = request;
    const { target, isFirstOrigin } = path;
    const headers = requestHeaders(rawHeaders, options.headers, isFirstOrigin);
    const kind = path.redirects.length === 0 ? "request" : "redirect";
    const found = options.gate({ target, kind, client, signal });
    return found instanceof Promise ? found.then(ask) : ask(found);

    function ask(addresses: readonly string[]): Promise<ExchangeAnswer> {
      const pool = options.pools.borrow(target, addresses);
      const limits = { ...times, endsAt, maxBytes, signal, clock };
      return exchange(pool.dispatcher, { method, path: target.path, headers }, limits, pool.release);
    }
  }

  /** False for an answer that leads nowhere else. One that leads where nobody may go is cut. */
  function follow(path: Path, answer: ExchangeAnswer): boolean {
    const { target, redirects } = path;
    try {
      const next = redirectOf(target, answer);
      if (next === null) return false;
      path.visited.push(urlOf(target));
      if (redirects.length === options.maxRedirects) throw brokenAnswer("The origin redirects too often");
      if (path.visited.includes(urlOf(next))) throw brokenAnswer("The origin redirects in a circle");
      if (target.scheme === "https" && next.scheme === "http" && !options.allowDowngrade)
        throw brokenAnswer("The origin redirects to an address without TLS");
      answer.discard();
      redirects.push(answer.lines);
      if (path.isFirstOrigin) path.carried.push(...carriedBy(answer.lines, path.carried));
      // Credentials that were dropped once stay dropped, also when a later hop leads back.
      path.isFirstOrigin &&= originOf(next) === originOf(target);
      path.target = next;
      return true;
    } catch (error) {
      answer.cut();
      throw error;
    }
  }

  /** What has been carried is not carried again. */
  function carriedBy(lines: HeaderLines, carried: HeaderLines): string[] {
    const names = options.carryHeaders.filter((name) => valuesOf(carried, name).length === 0);
    return [...pairs(lines)].filter(([name]) => names.includes(name.toLowerCase())).flat();
  }
}

/** From the target that was asked for to the one that answers. */
interface Path {
  target: Target;
  /** Until a redirect has led to another origin. */
  isFirstOrigin: boolean;
  readonly visited: string[];
  readonly redirects: HeaderLines[];
  readonly carried: string[];
}

function responseOf(
  { method, maxBytes }: UpstreamRequest,
  { target, redirects, carried }: Path,
  answer: ExchangeAnswer,
): UpstreamResponse {
  const { status, lines, body } = answer;
  try {
    checkIsWhole(status, lines);
    const { declaredBytes } = readFraming(lines);
    const hasBody = method === "GET" && status !== 304;
    if (hasBody && declaredBytes !== null && declaredBytes > maxBytes) throw tooLarge();
    const rawHeaders = carried.length === 0 ? lines : [...without(lines, carried), ...carried];
    return { status, rawHeaders, declaredBytes, body, finalUrl: urlOf(target), redirects, discard: () => answer.discard() };
  } catch (error) {
    answer.cut();
    throw error;
  }
}

function without(lines: HeaderLines, others: HeaderLines): string[] {
  return [...pairs(lines)].filter(([name]) => valuesOf(others, name.toLowerCase()).length === 0).flat();
}

/** The origin says that it may be well in a moment; one that says when it will be is not pressed. */
function isTransientAnswer({ status, lines }: ExchangeAnswer): boolean {
  return status >= 502 && status <= 504 && valuesOf(lines, "retry-after").length === 0;
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
