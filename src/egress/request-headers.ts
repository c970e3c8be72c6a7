/** Which of a client's headers reach the origin, and the ones that are ours (download-proxy.md P11, P20, P21, P29, S15, S20). */

import { mayBeForwarded } from "../codec/field-name.ts";
import { type HeaderLines, hopByHopNames, isWritable, listOf, pairs } from "./header-lines.ts";
import { malformed } from "./refusal.ts";

export interface RequestHeadersOptions {
  /** Sends Authorization on. */
  readonly forwardAuthorization: boolean;
  /** Names of further headers to send on to the first origin, as the setting or a route lists them. Those that are never sent stay unsent. */
  readonly forwardHeaders: readonly string[];
  /** Of this gateway, in `Via: 1.1 clamgate-<id>`: letters, digits, dots and hyphens. */
  readonly gatewayId: string;
}

/** They say what the client wants, not who it is. */
const alwaysForwarded = [
  "accept",
  "accept-language",
  "user-agent",
  "if-none-match",
  "if-modified-since",
  "if-match",
  "if-unmodified-since",
  "cache-control",
  "pragma",
];

/** All that is sent besides the target. What is ours is the same for every request, so no key needs it. */
export function requestHeaders(client: HeaderLines, options: RequestHeadersOptions, isFirstOrigin: boolean): string[] {
  // What the origin sends is what is scanned and what is delivered: no coding is asked for (P21).
  const own = ["Accept-Encoding", "identity", "Via", `1.1 ${viaName(options.gatewayId)}`];
  return [...forwardedHeaders(client, options, isFirstOrigin), ...own];
}

/**
 * All that an origin is told of a client and what it wants, so all that its answer can depend on: `addressKeys` has every line of it.
 * @param isFirstOrigin false once a redirect has led to another origin: then nothing is sent that could be a credential (S9).
 * @throws ClamgateError `malformed` for a value that would not stay one header line.
 */
export function forwardedHeaders(
  client: HeaderLines,
  { forwardAuthorization, forwardHeaders }: RequestHeadersOptions,
  isFirstOrigin: boolean,
): string[] {
  const forwarded = new Set(alwaysForwarded);
  if (isFirstOrigin && forwardAuthorization) forwarded.add("authorization");
  if (isFirstOrigin) for (const name of forwardHeaders) forwarded.add(name.toLowerCase());
  const forOneHop = hopByHopNames(client);
  const sent: string[] = [];
  for (const [name, value] of pairs(client)) {
    const lower = name.toLowerCase();
    if (!forwarded.has(lower) || forOneHop.has(lower) || !mayBeForwarded(lower)) continue;
    if (!isWritable(name, value)) throw malformed("A header holds control characters", name);
    sent.push(name, value);
  }
  const gateways = ownKind(client);
  if (gateways.length > 0) sent.push("Via", gateways.join(", "));
  return sent;
}

/** Whether the request has been sent by this very gateway: answering it would ask ourselves for ever. */
export function hasPassedHere(client: HeaderLines, gatewayId: string): boolean {
  return listOf(client, "via").some((element) => receivedBy(element) === viaName(gatewayId).toLowerCase());
}

export function viaName(gatewayId: string): string {
  return `clamgate-${gatewayId}`;
}

/** The client's way here is nobody's business, but gateways that ask each other in a circle must see themselves. */
function ownKind(client: HeaderLines): string[] {
  return listOf(client, "via").filter((element) => /^\S+ clamgate-[A-Za-z0-9.-]+$/.test(element));
}

/** RFC 9110 §7.6.3: protocol, then who received it, then perhaps a comment. */
function receivedBy(element: string): string | undefined {
  return element.split(/[ \t]+/)[1]?.toLowerCase();
}
