/** The key or token that a request's head shows: in Authorization as Bearer or as Basic's password, or in X-API-Key. Never from a query. */

import { looksLikeKey } from "./key.ts";

export type Credentials =
  | { readonly kind: "none" }
  /** As it was sent: never to be logged. */
  | { readonly kind: "token"; readonly token: string }
  /** Two that differ: nobody can tell which one counts. */
  | { readonly kind: "conflict" };

/** @param rawHeaders as Node has them: names and values in turn. `headers` would show one line of several. */
export function credentialsIn(rawHeaders: readonly string[]): Credentials {
  let found: string | null = null;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const token = tokenIn(rawHeaders[at] ?? "", rawHeaders[at + 1] ?? "");
    if (token === null || token === found) continue;
    if (found !== null) return { kind: "conflict" };
    found = token;
  }
  return found === null ? { kind: "none" } : { kind: "token", token: found };
}

/**
 * For a door behind which `Authorization` and `X-API-Key` may be meant for somebody else: what looks like a key of ours is ours, and must
 * not be sent on.
 */
export function splitKeys(rawHeaders: readonly string[]): {
  readonly ours: readonly string[];
  readonly others: readonly string[];
} {
  const ours: string[] = [];
  const others: string[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name = "", value = ""] = rawHeaders.slice(at, at + 2);
    const token = tokenIn(name, value);
    (token !== null && looksLikeKey(token) ? ours : others).push(name, value);
  }
  return { ours, others };
}

/** Null for a line that shows none. */
function tokenIn(name: string, value: string): string | null {
  // Of every line of every request: most are told by their length.
  if (name.length === apiKey.length && name.toLowerCase() === apiKey) return value === "" ? null : value;
  if (name.length !== authorization.length || name.toLowerCase() !== authorization) return null;
  const blank = value.indexOf(" ");
  const rest = value.slice(blank + 1).trim();
  if (blank < 0 || rest === "") return null;
  switch (value.slice(0, blank).toLowerCase()) {
    case "bearer":
      return rest;
    case "basic":
      return passwordIn(rest);
    default:
      return null;
  }
}

const apiKey = "x-api-key";
const authorization = "authorization";

/** RFC 7617 §2. What has no colon has no password; it is no key, which the client is told. */
function passwordIn(base64: string): string {
  const pair = Buffer.from(base64, "base64").toString("latin1");
  return pair.slice(pair.indexOf(":") + 1);
}
