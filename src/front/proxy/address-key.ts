/** What an answer depends on, as one short name: the address, all that is sent along with it, and what is replaced in it (download-proxy.md P60, P70, P71). */

import { hash } from "node:crypto";
import { type HeaderLines, pairs } from "../../egress/header-lines.ts";
import { forwardedHeaders, type RequestHeadersOptions } from "../../egress/request-headers.ts";
import { type Target, urlOf } from "../../egress/target.ts";
import { preconditionNames } from "./preconditions.ts";
import type { Replacement } from "./routes/replace-text.ts";

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
  return { address: digest([]), request: lasting.length === sent.length ? object : digest(sent), object };
}

function textOf(target: Target, sent: readonly (readonly [string, string])[], rewrite: readonly Replacement[]): string {
  const replaced = rewrite.length === 0 ? [] : [{ rewrite: rewrite.map(({ from, to }) => [from, to]) }];
  return JSON.stringify([urlOf(target), ...sent, ...replaced]);
}
