/** The address of a download: how it is put together from a base and a request target, and the short names of what its answer depends on (download-proxy.md P1-P4, P60, P70, P71, S14). */

import { hash } from "node:crypto";
import { type HeaderLines, pairs } from "../../egress/header-lines.ts";
import { malformed } from "../../egress/refusal.ts";
import { forwardedHeaders, type RequestHeadersOptions } from "../../egress/request-headers.ts";
import { directoryOf, isInside, type Target, targetOf, urlOf, withoutDotSegments } from "../../egress/target.ts";
import type { Replacement } from "./routes/replace-text.ts";
import { preconditionNames } from "./selection.ts";

export interface AddressKeys {
  /**
   * The address alone, as its clients see it: what they put together of it, they may ask for with other headers each time. Signed requests
   * have another Authorization for each part.
   */
  readonly address: string;
  /**
   * Of all that the origin is told: what it answers may depend on any of it, whatever it says. Downloads are shared, and verdicts are
   * remembered, under this one; under less, one client could make the answer that another one gets.
   */
  readonly request: string;
  /** That of the same request without a word on how fresh the answer has to be: what is infected there is nothing to have kept, either. */
  readonly object: string;
  /** The origin is told who asks, by Authorization. */
  readonly isAuthorized: boolean;
}

/** They decide whether there is an answer, not which. */
const freshness: ReadonlySet<string> = new Set([
  "if-none-match",
  "if-modified-since",
  "cache-control",
  "pragma",
  ...preconditionNames,
]);

/**
 * Lower-case hexadecimal, the same in every gateway. Credentials are in it as a digest only.
 * @throws ClamgateError `malformed`, as `requestHeaders`.
 */
export function addressKeys(
  target: Target,
  client: HeaderLines,
  headers: RequestHeadersOptions,
  rewrite: readonly Replacement[],
): AddressKeys {
  const sent = [...pairs(forwardedHeaders(client, headers, true))]
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .toSorted(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0));
  const lasting = sent.filter(([name]) => !freshness.has(name));
  const digest = (lines: readonly (readonly [string, string])[]) => hash("sha256", textOf(target, lines, rewrite), "hex");
  const object = digest(lasting);
  const request = lasting.length === sent.length ? object : digest(sent);
  const address = lasting.length === 0 ? object : digest([]);
  return { address, request, object, isAuthorized: lasting.some(([name]) => name === "authorization") };
}

function textOf(target: Target, sent: readonly (readonly [string, string])[], rewrite: readonly Replacement[]): string {
  const replaced = rewrite.length === 0 ? [] : [{ rewrite: rewrite.map(({ from, to }) => [from, to]) }];
  return JSON.stringify([urlOf(target), ...sent, ...replaced]);
}

/**
 * What `Download-From` (or a route) says. Its query is dropped, as the seed does (S14).
 * @throws ClamgateError `malformed`
 */
export function parseBase(text: string): Target {
  // URL drops tabs, takes backslashes for slashes and `https:host` for a URL, and decodes bytes that are no ASCII as if they were UTF-16.
  if (!/^[\x21-\x7e]+$/.test(text) || text.includes("\\")) throw malformed("Download-From is not a URL");
  const parts = /^([a-z][a-z0-9+.-]*):\/\/([^/?]*)/i.exec(text);
  if (parts === null) throw malformed("Download-From is not a URL");
  const [, scheme = "", authority = ""] = parts;
  if (!/^https?$/i.test(scheme)) throw malformed("Download-From is neither http nor https");
  if (authority.includes("@")) throw malformed("Download-From must not hold credentials");
  if (text.includes("#")) throw malformed("Download-From must not have a fragment");
  const target = authority === "" ? null : targetOf(URL.parse(text));
  if (target === null) throw malformed("Download-From is not a URL");
  return { ...target, path: target.path.split("?", 1).join("") };
}

/**
 * RFC 3986 §5.2 on the raw request-target less its one leading slash. What looks like a scheme is a path segment (`./a:b/c`), and what would
 * lead to another host or out of the base's directory is refused.
 * @param requestTarget as it stood in the request line: Node's `request.url`.
 * @throws ClamgateError `malformed`
 */
export function join(base: Target, requestTarget: string): Target {
  if (!requestTarget.startsWith("/")) throw malformed("The request target is not a path");
  if (!/^[\x21-\x7e\x80-\xff]+$/.test(requestTarget) || requestTarget.includes("#"))
    throw malformed("The request target holds characters that must be encoded");
  const reference = requestTarget.slice(1);
  const question = reference.indexOf("?");
  const relative = question < 0 ? reference : reference.slice(0, question);
  const query = question < 0 ? "" : reference.slice(question);
  if (relative.includes("\\") || /^([a-z][a-z0-9+.-]*:(\/|%2f|%5c){2}|\/\/)/i.test(relative))
    throw malformed("The request target names another origin");
  const path = withoutDotSegments(resolve(base.path, relative));
  if (!isInside(path, directoryOf(base.path))) throw malformed("The request target leads out of Download-From's directory");
  return { ...base, path: path + query };
}

function resolve(basePath: string, relative: string): string {
  if (relative === "") return basePath;
  return relative.startsWith("/") ? relative : directoryOf(basePath) + relative;
}
