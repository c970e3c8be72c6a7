/** Which of an origin's headers reach the client (download-proxy.md P40, P41, P45, S17). */

import { type HeaderLines, hopByHopNames, isWritable, listOf, pairs } from "../../egress/header-lines.ts";
import { viaName } from "../../egress/request-headers.ts";
import { staysHere } from "./shared/leads.ts";

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
