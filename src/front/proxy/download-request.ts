/** What a request asks for: an origin by `Download-From` or by a route, a path there, and whether its verdict may be remembered (P2-P5, P12). */

import { type IpRange, isInRange, parseIpAddress } from "../../codec/ip-address.ts";
import { ClamgateError } from "../../core/errors.ts";
import type { DownloadMode } from "../../core/events.ts";
import { type HeaderLines, soleValue } from "../../egress/header-lines.ts";
import { malformed } from "../../egress/refusal.ts";
import type { Target } from "../../egress/target.ts";
import { type AddressKeys, join, parseBase } from "./download-address.ts";
import type { Replacement } from "./routes/replace-text.ts";
import { matchRoute } from "./routes/routes.ts";
import type { RoutedSource, Source } from "./routes/sources.ts";

export interface DownloadRequestOptions {
  /** For `Download-From`. */
  readonly source: Source;
  readonly routes: readonly RoutedSource[];
  /** `DOWNLOAD_TRUSTED_PEERS`: who may say `Download-From`; empty: everybody. */
  readonly trustedPeers: readonly IpRange[];
}

/** A request as it came. */
export interface IncomingDownload {
  readonly id: string;
  /** As `ScanOptions.client`: of a download that others share, the one who began it. */
  readonly client: string;
  /** The address of the connection's other end. */
  readonly peer: string;
  readonly lines: HeaderLines;
  /** As it stood in the request line. */
  readonly requestTarget: string;
}

export interface ReadDownload extends IncomingDownload {
  readonly source: Source;
  readonly target: Target;
  readonly isCacheOn: boolean;
  readonly mode: DownloadMode;
  readonly rewrite: readonly Replacement[];
  /** A Cache-Scan that is neither true nor false: an operator's slip, which turns caching off. */
  readonly oddCacheScan: string | null;
}

export interface DownloadRequest extends ReadDownload {
  /** For the log: the address without its query. */
  readonly name: string;
  readonly keys: AddressKeys;
}

/** @throws ClamgateError `malformed` or `forbidden` */
export function readDownload(incoming: IncomingDownload, { source, routes, trustedPeers }: DownloadRequestOptions): ReadDownload {
  const { lines, requestTarget, peer } = incoming;
  if (!requestTarget.startsWith("/")) throw malformed("The request target is not a path");
  const from = soleValue(lines, "download-from");
  switch (from.kind) {
    case "repeated":
      throw malformed("Download-From is there more than once");
    case "value": {
      if (!isTrusted(peer, trustedPeers)) {
        const detail = `${peer} is not in the list of trusted peers`;
        throw new ClamgateError("forbidden", "Download-From is not taken from this client", { detail });
      }
      const target = join(parseBase(from.value), requestTarget);
      return { ...incoming, source, target, mode: source.mode, rewrite: [], ...readCacheScan(lines) };
    }
    case "absent":
      return routed(incoming, routes);
  }
}

function routed(incoming: IncomingDownload, routes: readonly RoutedSource[]): ReadDownload {
  const host = soleValue(incoming.lines, "host");
  if (host.kind === "repeated") throw malformed("Host is there more than once");
  for (const route of routes) {
    const rest = matchRoute(route.match, host.kind === "value" ? host.value : "", incoming.requestTarget);
    if (rest === null) continue;
    const { isCacheOn, mode, rewrite } = route;
    return { ...incoming, source: route, target: join(route.base, rest), isCacheOn, mode, rewrite, oddCacheScan: null };
  }
  throw malformed("Download-From is missing");
}

/** P5: the seed took every text but a missing one for true. */
function readCacheScan(lines: HeaderLines): Pick<ReadDownload, "isCacheOn" | "oddCacheScan"> {
  const header = soleValue(lines, "cache-scan");
  const text = header.kind === "value" ? header.value.toLowerCase() : "false";
  const isKnown = header.kind !== "repeated" && (text === "true" || text === "false");
  return { isCacheOn: header.kind === "value" && text === "true", oddCacheScan: isKnown ? null : text.slice(0, 50) };
}

function isTrusted(peer: string, trustedPeers: readonly IpRange[]): boolean {
  if (trustedPeers.length === 0) return true;
  const address = parseIpAddress(peer);
  return address !== null && trustedPeers.some((range) => isInRange(address, range));
}
