/** Where a download goes: one parse, whose outcome is what is checked, what is connected to and what is sent (download-proxy.md P1-P4, S2, S14, S15). */

import { parseIpAddress } from "../codec/ip-address.ts";
import { defaultPorts, isHostName, type Scheme } from "../codec/origin-rule.ts";

export interface Target {
  readonly scheme: Scheme;
  /** A lower-case ASCII name without a last dot, or an address in its one spelling; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** Path and query byte for byte as they are sent: bytes as Latin-1 characters, without dot segments, fragment or spaces. */
  readonly path: string;
}

/** Null for what is no http or https URL with a host of its own and without credentials. The path is URL's, as a browser would send it. */
export function targetOf(url: URL | null): Target | null {
  if (url === null || url.username !== "" || url.password !== "") return null;
  const scheme = url.protocol === "https:" ? "https" : "http";
  if (url.protocol !== `${scheme}:`) return null;
  const bare = url.hostname.startsWith("[") ? url.hostname.slice(1, -1) : url.hostname.replace(/\.$/, "");
  const host = parseIpAddress(bare)?.text ?? bare;
  if (!host.includes(":") && !isHostName(host)) return null;
  const port = url.port === "" ? defaultPorts[scheme] : Number(url.port);
  return { scheme, host, port, path: url.pathname + url.search };
}

/** `https://host[:port]` with brackets where they belong: what undici, the pool and rules are keyed by. */
export function originOf({ scheme, host, port }: Target): string {
  const bracketed = host.includes(":") ? `[${host}]` : host;
  return `${scheme}://${bracketed}${port === defaultPorts[scheme] ? "" : `:${port}`}`;
}

/** The canonical absolute URL, fit for a key (P60). It may hold secrets in its query: never for the log. */
export function urlOf(target: Target): string {
  return originOf(target) + target.path;
}

/**
 * RFC 3986 §5.2.4 on undecoded text; `%2e` counts as a dot, as WHATWG URL and origins have it. All other bytes stay as they are.
 * A path that climbs above the root stays at the root.
 */
export function withoutDotSegments(path: string): string {
  const kept: string[] = [];
  const segments = path.split("/").slice(1);
  for (const [index, segment] of segments.entries()) {
    const dots = segment.replaceAll(/%2e/gi, ".");
    if (dots === "..") kept.pop();
    else if (dots !== ".") kept.push(segment);
    // A last dot segment names a directory.
    if ((dots === "." || dots === "..") && index === segments.length - 1) kept.push("");
  }
  return `/${kept.join("/")}`;
}

/** Everything up to the last slash. */
export function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1);
}

/**
 * Also for an origin that decodes `%2F`, `%5C` or the percent sign itself before it looks for dots, that takes a backslash for a slash, reads
 * overlong, full-width or `%u` forms of them, or drops control characters, spaces at a segment's end, or what follows a semicolon or NUL:
 * what is sent is not changed for any of them, it only must not lead outside for one.
 * @param path without query.
 * @param directory ends with a slash.
 */
export function isInside(path: string, directory: string): boolean {
  const [loose, looseDirectory] = [loosest(path), loosest(directory)];
  if (loose === null || looseDirectory === null) return false;
  return withoutDotSegments(path).startsWith(directory) && loose.startsWith(looseDirectory);
}

/** Whoever needs more turns hides something. */
const maxTurns = 4;

/** Null for what is encoded too often. */
function loosest(path: string): string | null {
  let text = path;
  for (let turn = 0; ; turn += 1) {
    // However often the percent sign itself was encoded.
    const decoded = decodedOnce(text.replaceAll(/%(25)+/g, "%"));
    if (decoded === text) break;
    if (turn === maxTurns) return null;
    text = decoded;
  }
  const kept: string[] = [];
  let isDirectory = true;
  for (const segment of text.replaceAll(/[\\\u2044\u2215\u2216]/g, "/").split("/")) {
    const bare = bareOf(segment);
    isDirectory = bare === "" || bare === "." || bare === "..";
    if (bare === "..") kept.pop();
    else if (!isDirectory) kept.push(bare);
  }
  return ["", ...kept, ...(isDirectory ? [""] : [])].join("/");
}

/** The name that is left of a segment. What may be `..` to anybody is that. */
function bareOf(segment: string): string {
  const shown = [...segment].filter((character) => character > " " && character !== "\x7f").join("");
  const [name] = shown.split(";", 1);
  const begin = /^[^;\0]*/.exec(segment)?.[0].trim() ?? "";
  return name === ".." || begin === ".." ? ".." : begin;
}

/** One turn of percent-decoding, then of UTF-8 as decoders have it that do not look for overlong forms (RFC 3629 §10). */
function decodedOnce(text: string): string {
  const bytes = text
    .replaceAll(/%u([0-9a-f]{4})/gi, (_, digits: string) => asUtf8(String.fromCharCode(Number.parseInt(digits, 16))))
    .replaceAll(/%([0-9a-f]{2})/gi, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
  return bytes
    .replaceAll(/[\xc0-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf7][\x80-\xbf]{3}/g, characterOf)
    .replaceAll("\xc1\x1c", "/")
    .replaceAll(/[\xc0\xc1](?=[./])/g, "");
}

/** Full-width forms and their like as the ASCII that they stand for. */
function characterOf(sequence: string): string {
  const [first = 0, ...more] = Buffer.from(sequence, "latin1");
  const bits = first & (0x7f >> sequence.length);
  const code = more.reduce((value, byte) => (value << 6) | (byte & 0x3f), bits);
  return code > 0x10ffff ? sequence : String.fromCodePoint(code).normalize("NFKC");
}

function asUtf8(character: string): string {
  return Buffer.from(character).toString("latin1");
}
