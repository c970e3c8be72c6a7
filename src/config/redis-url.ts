/** Where a Redis or Valkey is, as one text: a server, the sentinels that watch over several, or the nodes of a cluster. */

import { resolve } from "node:path";
import { type HostPort, readHostPort } from "./addresses.ts";
import { isDigits } from "./numbers.ts";
import { hasControlCharacter, type Parsed, value, wrong } from "./parser.ts";

export interface RedisUrl {
  readonly place:
    | ({ readonly kind: "standalone" } & HostPort)
    | { readonly kind: "sentinel"; readonly sentinels: readonly HostPort[]; readonly masterName: string }
    | { readonly kind: "cluster"; readonly nodes: readonly HostPort[] };
  readonly username: string | null;
  readonly password: string | null;
  readonly database: number;
  /** Null without TLS; else absolute paths. */
  readonly tls: { readonly ca: string | null; readonly cert: string | null; readonly key: string | null } | null;
}

export const redisForms = [
  "`redis://[user:password@]host[:port][/database]`",
  "`redis-sentinel://[user:password@]host[:port],…/master-name[/database]`",
  "`redis-cluster://[user:password@]host[:port],…`",
  "the same with `rediss` for TLS and then `?ca=PATH&cert=PATH&key=PATH`",
].join(", ");

type Kind = RedisUrl["place"]["kind"];

const schemes: ReadonlyMap<string, { readonly kind: Kind; readonly isTls: boolean }> = new Map([
  ["redis", { kind: "standalone", isTls: false }],
  ["rediss", { kind: "standalone", isTls: true }],
  ["redis-sentinel", { kind: "sentinel", isTls: false }],
  ["rediss-sentinel", { kind: "sentinel", isTls: true }],
  ["redis-cluster", { kind: "cluster", isTls: false }],
  ["rediss-cluster", { kind: "cluster", isTls: true }],
]);
const tlsFiles = ["ca", "cert", "key"] as const;
const redisPort = 6379;
const sentinelPort = 26_379;
/** More than anybody configures (redis.conf `databases`, 16). */
const largestDatabase = 65_535;

interface Pieces {
  readonly kind: Kind;
  readonly isTls: boolean;
  readonly credentials: string | null;
  readonly hosts: readonly string[];
  readonly path: readonly string[];
  readonly query: string;
}

export function isRedisUrl(text: string): boolean {
  const [scheme] = cut(text, ":");
  return schemes.has(scheme.toLowerCase());
}

/** Relative paths are resolved against `cwd`. A text that is wrong is shown up to its scheme where it may hold a password. */
export function parseRedisUrl(text: string, cwd: string): Parsed<RedisUrl> {
  const shown = withoutSecrets(text);
  const pieces = hasControlCharacter(text) ? null : split(text);
  if (pieces === null) return wrong(shown, "is not a Redis URL");
  const credentials = readCredentials(pieces.credentials);
  if (credentials === null) return wrong(shown, "lacks a password after the user's colon, or has it badly encoded");
  const place = readPlace(pieces);
  if (typeof place === "string") return wrong(shown, place);
  const database = readDatabase(pieces);
  if (database === null) return wrong(shown, "does not end with a database");
  const tls = readTls(pieces, cwd);
  if (typeof tls === "string") return wrong(shown, tls);
  return value({ place, ...credentials, database, tls });
}

/** Where a password ends cannot be told from a text that is wrong, nor that it is none if anything but a port follows a colon. */
function withoutSecrets(text: string): string {
  const [scheme, rest = ""] = cut(text, ":");
  const [authority] = cut(rest.replace(/^\/\//, ""), "/");
  const isPlain = !text.includes("@") && authority.split(",").every((host) => /^[^:]*(:[0-9]*)?$/.test(host));
  return isPlain && rest.startsWith("//") ? text : `${scheme}:${rest === "" ? "" : "//***"}`;
}

function split(text: string): Pieces | null {
  const [scheme, rest] = cut(text, "://");
  const form = schemes.get(scheme.toLowerCase());
  if (form === undefined || rest === undefined) return null;
  const [location, query = ""] = cut(rest, "?");
  const [authority, path = ""] = cut(location, "/");
  const at = authority.lastIndexOf("@");
  return {
    ...form,
    credentials: at === -1 ? null : authority.slice(0, at),
    hosts: authority.slice(at + 1).split(","),
    path: path === "" ? [] : path.split("/"),
    query,
  };
}

function cut(text: string, separator: string): readonly [before: string, after?: string] {
  const index = text.indexOf(separator);
  return index === -1 ? [text] : [text.slice(0, index), text.slice(index + separator.length)];
}

/** A user without a password, or none of both, is mostly a secret that was not filled in. */
function readCredentials(text: string | null): Pick<RedisUrl, "username" | "password"> | null {
  if (text === null) return { username: null, password: null };
  const colon = text.indexOf(":");
  const [username, password] = [decoded(text.slice(0, Math.max(colon, 0))), decoded(text.slice(colon + 1))];
  if (colon === -1 || username === null || password === null || password === "") return null;
  return { username: username === "" ? null : username, password };
}

function readPlace({ kind, hosts, path }: Pieces): RedisUrl["place"] | string {
  const addresses = hosts.map((host) => readAddress(host, kind === "sentinel" ? sentinelPort : redisPort));
  const known = addresses.filter((address) => address !== null);
  const [first] = known;
  if (first === undefined || known.length < addresses.length) return "names no host, or one that is none";
  switch (kind) {
    case "standalone":
      return known.length === 1 ? { kind, ...first } : "names several hosts: redis-sentinel:// or redis-cluster:// may";
    case "sentinel": {
      const masterName = decoded(path[0] ?? "") ?? "";
      return masterName === "" ? "lacks the master's name after the hosts" : { kind, sentinels: known, masterName };
    }
    case "cluster":
      return { kind, nodes: known };
  }
}

function readAddress(text: string, defaultPort: number): HostPort | null {
  return readHostPort(text) ?? readHostPort(`${text}:${defaultPort}`);
}

function readDatabase({ kind, path }: Pieces): number | null {
  const [text, ...more] = kind === "sentinel" ? path.slice(1) : path;
  const database = Number(text ?? "0");
  if (more.length > 0 || (text !== undefined && !isDigits(text)) || database > largestDatabase) return null;
  // A cluster has database 0 only.
  return kind === "cluster" && database !== 0 ? null : database;
}

function readTls({ isTls, query }: Pieces, cwd: string): RedisUrl["tls"] | string {
  const given = new URLSearchParams(query);
  const unknown = [...given.keys()].some((name) => !tlsFiles.some((file) => file === name));
  if (unknown || (!isTls && query !== "")) return "has options; only rediss:// has some: ca, cert, key";
  const [ca = null, cert = null, key = null] = tlsFiles.map((name) => {
    const path = given.get(name) ?? "";
    return path === "" ? null : resolve(cwd, path);
  });
  if ((cert === null) !== (key === null)) return "has one of cert and key; they go together";
  return isTls ? { ca, cert, key } : null;
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    // A per cent sign that encodes nothing.
    return null;
  }
}
