/** Names of HTTP header fields, and which of them an operator may let through the download proxy (download-proxy.md P11, P20, P40). */

/** Meant for one connection only (RFC 9110 §7.6.1), besides what `Connection` lists. In lower case. */
export const hopByHopFields: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "proxy-authentication-info",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Ours to set, about a connection, about the client's side, or about a body, a part or a change that is not asked for (P45). */
const ownRequestFields: ReadonlySet<string> = new Set([
  "host",
  "expect",
  "via",
  "forwarded",
  "x-real-ip",
  "max-forwards",
  "http2-settings",
  "accept-encoding",
  "range",
  "if-range",
  "a-im",
  "download-from",
  "cache-scan",
]);
const ownRequestPrefixes = ["content-", "proxy-", "x-forwarded-", "x-clamgate-"];

/** Whether a client's field may be sent on to an origin. @param name in lower case. */
export function mayBeForwarded(name: string): boolean {
  if (hopByHopFields.has(name) || ownRequestFields.has(name)) return false;
  return !ownRequestPrefixes.some((prefix) => name.startsWith(prefix));
}

/** In lower case; null for what is no name, or is never sent on. */
export function parseForwardedField(text: string): string | null {
  const name = nameOf(text);
  return name !== null && mayBeForwarded(name) ? name : null;
}

/** About the redirect itself, or about bytes and a copy that are not its own. */
const ofOneAnswer: ReadonlySet<string> = new Set(["location", "set-cookie", "via", "accept-ranges", "etag", "last-modified"]);

/** Of a field that a redirect's answer may give to the one it leads to: in lower case; null for what is no name, or is never given. */
export function parseCarriedField(text: string): string | null {
  const name = nameOf(text);
  if (name === null || hopByHopFields.has(name) || ofOneAnswer.has(name)) return null;
  return name.startsWith("content-") || name.startsWith("x-clamgate-") ? null : name;
}

function nameOf(text: string): string | null {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text) ? text.toLowerCase() : null;
}
