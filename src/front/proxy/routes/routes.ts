/** The routes of `DOWNLOAD_ROUTES`, for clients that come without a web server in front: a path prefix or a host name leads to an origin. */

import { parseCarriedField, parseForwardedField } from "../../../codec/field-name.ts";
import { type OriginRule, type PrivateRule, parseOriginRule, parsePrivateRule } from "../../../codec/origin-rule.ts";
import { ClamgateError, messageOf } from "../../../core/errors.ts";
import type { DownloadMode } from "../../../core/events.ts";
import type { Target } from "../../../egress/target.ts";
import { parseBase } from "../download-address.ts";
import type { Replacement } from "./replace-text.ts";

/** At least one of the two; both must fit. */
export interface RouteMatch {
  /** In lower case, without a port. */
  readonly host: string | null;
  /** Begins and ends with a slash; what follows it goes to the origin. */
  readonly path: string | null;
}

export interface Route {
  readonly match: RouteMatch;
  readonly base: Target;
  /** Verdicts are remembered by address. */
  readonly isCacheOn: boolean;
  /** Null: that of `DOWNLOAD_MODE`. */
  readonly mode: DownloadMode | null;
  readonly allowPrivate: readonly PrivateRule[];
  /** Where the origin may redirect to besides itself. */
  readonly redirectOrigins: readonly OriginRule[];
  readonly forwardAuthorization: boolean;
  readonly forwardHeaders: readonly string[];
  /** See `FetchUpstreamOptions`. */
  readonly carryHeaders: readonly string[];
  readonly rewrite: readonly Replacement[];
}

export type RouteTable =
  | { readonly kind: "routes"; readonly routes: readonly Route[] }
  /** All of them, each naming its place. */
  | { readonly kind: "faults"; readonly faults: readonly string[] };

/**
 * `{"routes": [{"path": "/pypi/", "host": "pypi.example", "origin": "https://pypi.org/", "cache": true, "mode": "strict",
 * "allowPrivate": ["10.0.0.0/8"], "redirectOrigins": ["https://*.example.com"], "forwardAuthorization": true, "forwardHeaders": ["cookie"],
 * "carryHeaders": ["x-repo-commit"], "rewrite": [{"from": "https://files.pythonhosted.org/", "to": "https://gateway.example/files/"}]}]}`: `origin` and one of `path` and `host`
 * must be there.
 */
export function parseRouteTable(text: string): RouteTable {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    return { kind: "faults", faults: [`not JSON: ${messageOf(error)}`] };
  }
  const faults: string[] = [];
  const table = new Fields(document, "the file", faults, ["routes"]);
  const routes = table.list("routes", (item, place) => routeOf(item, place, faults));
  if (!table.has("routes")) faults.push('the file: "routes" is missing');
  return faults.length > 0 ? { kind: "faults", faults } : { kind: "routes", routes };
}

/** The part of the request target behind the prefix, beginning with a slash; null where the route does not fit. The first that fits counts. */
export function matchRoute({ host, path }: RouteMatch, requestHost: string, requestTarget: string): string | null {
  if (host !== null && host !== hostNameOf(requestHost)) return null;
  if (path === null) return requestTarget;
  return requestTarget.startsWith(path) ? requestTarget.slice(path.length - 1) : null;
}

const routeKeys = [
  "path",
  "host",
  "origin",
  "cache",
  "mode",
  "allowPrivate",
  "redirectOrigins",
  "forwardAuthorization",
  "forwardHeaders",
  "carryHeaders",
  "rewrite",
];
/** `drip` is the name that `trickle` had before. */
const modes: ReadonlyMap<string, DownloadMode> = new Map([
  ["strict", "strict"],
  ["trickle", "trickle"],
  ["drip", "trickle"],
  ["verified-stream", "verified-stream"],
]);

function routeOf(item: unknown, place: string, faults: string[]): Route {
  const fields = new Fields(item, place, faults, routeKeys);
  const path = fields.text("path", (text) => (/^\/([\x21-\x7e]*\/)?$/.test(text) && !/[?#\\]/.test(text) ? text : null));
  const host = fields.text("host", (text) => (/^[a-z0-9.-]+$/i.test(text) ? text.toLowerCase() : null));
  if (!fields.has("path") && !fields.has("host")) faults.push(`${place}: neither "path" nor "host" is there`);
  const base = fields.text("origin", baseOf);
  if (!fields.has("origin")) faults.push(`${place}: "origin" is missing`);
  const rewrite = fields.list("rewrite", (pair, where) => replacementOf(pair, where, faults));
  const mode = fields.text("mode", (text) => modes.get(text) ?? null);
  if (rewrite.length > 0 && mode !== null && mode !== "strict")
    faults.push(`${place}: "rewrite" goes with "mode": "strict" only`);
  return {
    match: { host, path },
    base: base ?? { scheme: "https", host: "", port: 0, path: "/" },
    isCacheOn: fields.flag("cache"),
    mode: rewrite.length > 0 ? "strict" : mode,
    allowPrivate: fields.texts("allowPrivate", parsePrivateRule),
    redirectOrigins: fields.texts("redirectOrigins", parseOriginRule),
    forwardAuthorization: fields.flag("forwardAuthorization"),
    forwardHeaders: fields.texts("forwardHeaders", parseForwardedField),
    carryHeaders: fields.texts("carryHeaders", parseCarriedField),
    rewrite,
  };
}

function replacementOf(item: unknown, place: string, faults: string[]): Replacement {
  const fields = new Fields(item, place, faults, ["from", "to"]);
  const from = fields.text("from", (text) => (text === "" ? null : text));
  const to = fields.text("to", (text) => text);
  for (const key of ["from", "to"]) if (!fields.has(key)) faults.push(`${place}: "${key}" is missing`);
  return { from: from ?? "", to: to ?? "" };
}

/** Whatever stands in the query would be dropped without a word. */
function baseOf(text: string): Target | null {
  if (text.includes("?")) return null;
  try {
    return parseBase(text);
  } catch (error) {
    if (error instanceof ClamgateError) return null;
    throw error;
  }
}

function hostNameOf(header: string): string {
  return header.replace(/:\d*$/, "").replace(/\.$/, "").toLowerCase();
}

/** One object of the file: each field is read by what it should be, and each that is not is told. */
class Fields {
  readonly #values: ReadonlyMap<string, unknown>;
  readonly #place: string;
  readonly #faults: string[];

  constructor(item: unknown, place: string, faults: string[], known: readonly string[]) {
    const isObject = typeof item === "object" && item !== null && !Array.isArray(item);
    this.#values = new Map(isObject ? Object.entries(item) : []);
    this.#place = place;
    this.#faults = faults;
    if (!isObject) faults.push(`${place}: not an object`);
    for (const key of this.#values.keys()) if (!known.includes(key)) faults.push(`${place}: "${key}" is unknown`);
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  text<T>(key: string, parse: (text: string) => T | null): T | null {
    const given = this.#values.get(key);
    if (given === undefined) return null;
    const parsed = typeof given === "string" ? parse(given) : null;
    if (parsed === null) this.#faults.push(`${this.#place}: "${key}" is not allowed to be ${JSON.stringify(given)}`);
    return parsed;
  }

  flag(key: string): boolean {
    const given = this.#values.get(key) ?? false;
    if (typeof given === "boolean") return given;
    this.#faults.push(`${this.#place}: "${key}" is neither true nor false`);
    return false;
  }

  list<T>(key: string, read: (item: unknown, place: string) => T): readonly T[] {
    const given = this.#values.get(key) ?? [];
    if (Array.isArray(given)) return given.map((item: unknown, index) => read(item, `${this.#place}, ${key}[${index}]`));
    this.#faults.push(`${this.#place}: "${key}" is not a list`);
    return [];
  }

  texts<T>(key: string, parse: (text: string) => T | null): readonly T[] {
    const read = (item: unknown, place: string): T | null => {
      const parsed = typeof item === "string" ? parse(item) : null;
      if (parsed === null) this.#faults.push(`${place}: ${JSON.stringify(item)} is not allowed`);
      return parsed;
    };
    return this.list(key, read).filter((parsed) => parsed !== null);
  }
}
