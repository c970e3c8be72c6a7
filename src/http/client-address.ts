/** Whose request it is: the peer, or whom the proxies in front name that are trusted to (RFC 7239, X-Forwarded-For). */

import { clientNetwork, type IpAddress, type IpRange, isInRange, parseIpAddress } from "../codec/ip-address.ts";
import type { RawRequest } from "./raw.ts";

export interface Forwarding {
  readonly forwarded?: string | undefined;
  readonly "x-forwarded-for"?: string | string[] | undefined;
}

/** Whose request it is, as `ScanOptions.client`: behind a web server that is not trusted to name them all are one client's. */
export function clientOf(request: RawRequest, trusted: readonly IpRange[]): string {
  return clientNetwork(addressOf(request, trusted));
}

/** As `clientAddress`. */
export function addressOf({ socket, headers }: RawRequest, trusted: readonly IpRange[]): string {
  const peer = socket.remoteAddress ?? "";
  return trusted.length === 0 ? peer : clientAddress(peer, headers, trusted);
}

/** Whether the connection comes from one of them. */
export function isFromProxy({ socket }: RawRequest, trusted: readonly IpRange[]): boolean {
  const peer = trusted.length === 0 ? null : parseIpAddress(socket.remoteAddress ?? "");
  return peer !== null && isTrusted(peer, trusted);
}

/** A chain of more proxies than this is none. */
const longestChain = 32;

/**
 * Read from its end, where the nearest proxy has written: the first address that is no trusted proxy's. Most proxies write one of the two
 * headers and pass the other one on as the client sent it: where both are there and disagree, the peer is what is known.
 * @param peer of the connection, as Node writes it.
 */
export function clientAddress(peer: string, headers: Forwarding, trusted: readonly IpRange[]): string {
  const address = parseIpAddress(peer);
  if (address === null) return peer;
  if (trusted.length === 0 || !isTrusted(address, trusted)) return address.text;
  const { forwarded, "x-forwarded-for": listed } = headers;
  const named = [
    ...(forwarded === undefined ? [] : [behind(address, forwardedFor(forwarded), trusted)]),
    ...(listed === undefined ? [] : [behind(address, listOf([listed].flat().join(",")), trusted)]),
  ];
  const [first, second = first] = named;
  return first === undefined || first !== second ? address.text : first;
}

function behind(peer: IpAddress, chain: readonly string[], trusted: readonly IpRange[]): string {
  let known = peer;
  for (const text of chain.slice(-longestChain).toReversed()) {
    const address = parseIpAddress(withoutPort(text));
    // `unknown`, or a name that hides it: whoever stands before that is the last one known.
    if (address === null) break;
    known = address;
    if (!isTrusted(address, trusted)) break;
  }
  return known.text;
}

function isTrusted(address: IpAddress, trusted: readonly IpRange[]): boolean {
  return trusted.some((range) => isInRange(address, range));
}

/** The `for` of each element; empty where one has none, which nobody can be found behind. */
function forwardedFor(header: string): readonly string[] {
  return listOf(header).map((element) => {
    const pair = element.split(";").find((one) => /^\s*for=/i.test(one)) ?? "";
    return pair.slice(pair.indexOf("=") + 1).trim();
  });
}

function listOf(header: string): readonly string[] {
  return header.split(",").map((one) => one.trim());
}

/** `192.0.2.1:4711`, `"[2001:db8::1]:4711"`, `2001:db8::1`. */
function withoutPort(text: string): string {
  const bare = text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text;
  if (bare.startsWith("[")) return bare.slice(1, Math.max(1, bare.indexOf("]")));
  const [host = "", port, ...more] = bare.split(":");
  return port !== undefined && more.length === 0 ? host : bare;
}
