/** Which of an origin's headers reach the client, and the head of a delivered object (download-proxy.md P40, P41, P45-P48, S17). */

import { type HeaderLines, hopByHopNames, isWritable, listOf, pairs } from "../../egress/header-lines.ts";
import { viaName } from "../../egress/request-headers.ts";
import type { DownloadHead, Outcome } from "./download.ts";
import type { CacheResult } from "./own-answer.ts";

export interface ObjectHeadersOptions extends ResponseHeadersOptions {
  /** The body is not the origin's: a tag can no longer promise its bytes, and a digest no longer fits. */
  readonly isRewritten: boolean;
}

/** @param bytes null: chunked, or said by nobody. */
export function objectHeaders(head: DownloadHead, bytes: number | null, options: ObjectHeadersOptions): string[] {
  const passed = responseHeaders(head.lines, options);
  const lines = options.isRewritten ? rewritten(passed) : passed;
  if (bytes !== null) lines.push("Content-Length", String(bytes));
  // A part is served to whoever asks, from the copy of its own request. Nobody is invited: each part costs a whole download (P45).
  lines.push("Accept-Ranges", "none");
  return lines;
}

/** Only ever sent after the verdict (P48). */
export function verdictLines({ body, result }: Extract<Outcome, { kind: "passed" }>, cache: CacheResult): string[] {
  const { verdict } = result.report;
  const { relaxedFor } = result.decision;
  const lines = ["X-Clamgate-Verdict", verdict.kind, "X-Clamgate-Cache", cache, "X-Clamgate-Sha256", body.sha256];
  if (relaxedFor !== null) lines.push("X-Clamgate-Allowed", relaxedFor);
  return lines;
}

const ofTheBytes: ReadonlySet<string> = new Set(["content-md5", "digest", "repr-digest", "content-digest"]);

function rewritten(lines: HeaderLines): string[] {
  const kept: string[] = [];
  for (const [name, value] of pairs(lines)) {
    const lower = name.toLowerCase();
    if (ofTheBytes.has(lower)) continue;
    kept.push(name, lower === "etag" && value.startsWith('"') ? `W/${value}` : value);
  }
  return kept;
}

export interface ResponseHeadersOptions {
  /** Cookies of an origin would become those of the proxy's host. */
  readonly passSetCookie: boolean;
  /** See `RequestHeadersOptions`. */
  readonly gatewayId: string;
}

const stripped: ReadonlySet<string> = new Set([
  // Said by whoever sends the body: the front, from the copy it sends.
  "content-length",
  // Said of the front's own ranges (P45); another's promise made uv crash.
  "accept-ranges",
  // Nor of parts that nobody asked the origin for: a client would take a whole for one.
  "content-range",
  // Ours, at the end.
  "via",
  // Where a client, or a script of its page, goes by itself: past the gateway, or to what was not asked of it. Redirects that are to be
  // followed have been; curl goes to the Location of every 3xx.
  "location",
  "refresh",
  "uri",
  "alternates",
  "content-base",
  "speculation-rules",
  "x-xet-hash",
  "x-xet-refresh-route",
  // Commands to a cache or web server in front (P41).
  "edge-control",
  "x-esi",
  "x-compress-hint",
  // About the origin's host, which is not the one the client sees.
  "alt-svc",
  "alternate-protocol",
  "strict-transport-security",
  "public-key-pins",
  "public-key-pins-report-only",
  "clear-site-data",
  "expect-ct",
  "nel",
  "report-to",
  "reporting-endpoints",
  "service-worker-allowed",
  "set-cookie2",
]);

/**
 * Commands to nginx, Apache and others, lighttpd, Perlbal and H2O, LiteSpeed, Envoy, and caches; and our own, which nobody else may set (S17).
 */
const strippedPrefixes = [
  "x-accel-",
  "x-sendfile",
  "x-lighttpd-",
  "x-reproxy-",
  "x-litespeed-",
  "x-envoy-",
  "surrogate-",
  "x-clamgate-",
];
/** RFC 9213: `CDN-Cache-Control`, and each vendor's own. */
const strippedEnd = "cdn-cache-control";

/**
 * End-to-end headers in their order, byte for byte, repeated ones apart; a line that cannot be written as it is, is left out.
 * `Content-Length` and `Accept-Ranges` are left to whoever sends the body: what the origin declared is in `UpstreamResponse.declaredBytes`.
 */
export function responseHeaders(origin: HeaderLines, { passSetCookie, gatewayId }: ResponseHeadersOptions): string[] {
  const forOneHop = hopByHopNames(origin);
  const passed: string[] = [];
  for (const [name, value] of pairs(origin)) {
    const lower = name.toLowerCase();
    if (forOneHop.has(lower) || isStripped(lower, passSetCookie) || !isWritable(name, value)) continue;
    if (!staysHere(lower, value)) continue;
    passed.push(name, value);
  }
  const via = listOf(origin, "via").filter((element) => isWritable("via", element));
  passed.push("Via", [...via, `1.1 ${viaName(gatewayId)}`].join(", "));
  return passed;
}

function isStripped(name: string, passSetCookie: boolean): boolean {
  if (name === "set-cookie") return !passSetCookie;
  return stripped.has(name) || name.endsWith(strippedEnd) || strippedPrefixes.some((prefix) => name.startsWith(prefix));
}

/**
 * False for a Link or Content-Location with an address that is not on this very host: package managers, downloaders and browsers follow
 * `rel=next`, `duplicate`, `preload`, `xet-auth` and others by themselves, and resolve by Content-Location. What is not written as RFC 8288
 * has it is not known to stay.
 * @param name in lower case.
 */
export function staysHere(name: string, value: string): boolean {
  switch (name) {
    case "content-location":
      return isRelative(value);
    case "link":
      return targetsOf(value)?.every(isRelative) ?? false;
    default:
      return true;
  }
}

const here = "http://gateway.invalid";

/** As a browser reads it, too, which takes a backslash for a slash and drops tabs, and as those do that take off any blank first. */
function isRelative(reference: string): boolean {
  const bare = reference.trim();
  if (/^[a-z][a-z0-9+.-]*:/i.test(bare)) return false;
  return URL.parse(bare, `${here}/a/b`)?.origin === here;
}

/** Of `<target>; name="value", <target> …`; null for what is none. */
function targetsOf(value: string): readonly string[] | null {
  const link = /[ \t,]*<([^<>"]*)>((?:[^"<>,]|"(?:[^"\\]|\\.)*")*)(?:,|$)/y;
  const targets: string[] = [];
  while (link.lastIndex < value.length) {
    const [, target] = link.exec(value) ?? [];
    if (target === undefined) return null;
    targets.push(target);
  }
  return targets;
}
