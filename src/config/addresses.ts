/** Where something is: hosts and ports, clamd addresses, URLs, paths. */

import { isIPv4, isIPv6 } from "node:net";
import { basename, isAbsolute, resolve } from "node:path";
import { parseIpRange } from "../codec/ip-address.ts";
import { isDigits } from "./numbers.ts";
import { hasControlCharacter, list, type Parser, readBy, value, wrong } from "./parser.ts";

export interface HostPort {
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

export function host(): Parser<string> {
  return {
    allowed: "IP addresses and host names",
    parse(text) {
      const bare = withoutBrackets(text);
      return isIPv6(bare) || isHostName(text) ? value(bare) : wrong(text, "is not a host");
    },
  };
}

/** Reads `host:port`, `1.2.3.4:port` or `[::1]:port`; null when it is none of these. */
export function readHostPort(text: string): HostPort | null {
  const colon = text.lastIndexOf(":");
  const hostText = text.slice(0, Math.max(colon, 0));
  const port = readPort(text.slice(colon + 1));
  const bare = withoutBrackets(hostText);
  // Without its brackets an IPv6 address swallows the port: `::1:3310` is an address.
  const isHost = bare === hostText ? isHostName(bare) : isIPv6(bare);
  return port === null || !isHost ? null : { host: bare, port };
}

/** 1 to 65535, else null. */
export function readPort(text: string): number | null {
  const port = Number(text);
  return isDigits(text) && port >= 1 && port <= 65_535 ? port : null;
}

/** Also of IPv4 addresses; four numbers that are no address are no name either. Names in compose files may have an underscore. */
function isHostName(text: string): boolean {
  if (text.length > 253) return false;
  const labels = text.replace(/\.$/, "").split(".");
  if (labels.every(isDigits)) return isIPv4(text);
  return labels.every((label) => label.length <= 63 && /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?$/i.test(label));
}

function withoutBrackets(text: string): string {
  return text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1) : text;
}

export type ClamdAddress =
  | ({ readonly kind: "tcp" } & HostPort)
  /** Absolute path of the socket. */
  | { readonly kind: "unix"; readonly path: string };

/** At least one address, none twice: a backend listed twice would get twice the scans it has slots for. */
export function clamdAddresses(): Parser<readonly ClamdAddress[]> {
  const addresses = list({ item: clamdAddress(), separator: "," });
  return {
    allowed: addresses.allowed,
    parse(text, base) {
      const parsed = addresses.parse(text, base);
      if (parsed.kind === "wrong") return parsed;
      if (parsed.value.length === 0) return wrong(text, "holds no address");
      const isUnique = new Set(parsed.value.map(keyOf)).size === parsed.value.length;
      return isUnique ? parsed : wrong(text, "names an address twice");
    },
  };
}

function clamdAddress(): Parser<ClamdAddress> {
  return {
    allowed: "`tcp://host:port`, `unix:///path`, `/path`, `host:port`, `[IPv6]:port` or a port of this machine",
    parse(text) {
      const address = readAddress(text);
      return address === null ? wrong(text, "is not an address of a clamd") : value(address);
    },
  };
}

function readAddress(text: string): ClamdAddress | null {
  if (hasControlCharacter(text)) return null;
  if (text.startsWith("unix://")) return unixAddress(text.slice("unix://".length));
  if (text.startsWith("tcp://")) return tcpAddress(readHostPort(text.slice("tcp://".length)));
  if (isAbsolute(text)) return unixAddress(text);
  const port = readPort(text);
  // Not `localhost`: that may be two addresses, and every address is a backend of its own.
  return tcpAddress(port === null ? readHostPort(text) : { host: "127.0.0.1", port });
}

function unixAddress(path: string): ClamdAddress | null {
  return isAbsolute(path) ? { kind: "unix", path: resolve(path) } : null;
}

function tcpAddress(hostPort: HostPort | null): ClamdAddress | null {
  return hostPort === null ? null : { kind: "tcp", ...hostPort };
}

function keyOf(address: ClamdAddress): string {
  switch (address.kind) {
    case "tcp":
      return `${address.host.toLowerCase()} ${address.port}`;
    case "unix":
      return address.path;
  }
}

const proxySchemes = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/** The value is the text as written: freshclam reads it, not we. */
export function url(schemes: readonly string[]): Parser<string> {
  return {
    allowed: `URLs with ${schemes.map((scheme) => `${scheme}://`).join(", ")}`,
    parse: (text) => (isUrl(text, schemes) ? value(text) : wrong(withoutCredentials(text), "is not such a URL")),
  };
}

/** Separated by commas. */
export function urls(schemes: readonly string[]): Parser<readonly string[]> {
  const several = list({ item: url(schemes), separator: "," });
  return {
    allowed: several.allowed,
    parse(text, base) {
      const parsed = several.parse(text, base);
      if (parsed.kind === "value" || !text.includes("@")) return parsed;
      // A comma in a password cuts it in two, and neither half may be shown.
      return { kind: "wrong", wrongs: parsed.wrongs.map(({ text: piece, why }) => ({ text: masked(piece), why })) };
    },
  };
}

/** A host, or one with the scheme that tells freshclam the kind of proxy (freshclam.conf(5) HTTPProxyServer). */
export function proxyServer(): Parser<string> {
  return {
    allowed: `a host, alone or with ${proxySchemes.map((scheme) => `${scheme}://`).join(", ")} before it`,
    parse(text) {
      const withScheme = text.includes("://") ? text : `http://${text}`;
      return isUrl(withScheme, proxySchemes) ? value(text) : wrong(withoutCredentials(text), "is not a proxy");
    },
  };
}

function isUrl(text: string, schemes: readonly string[]): boolean {
  // URL would silently drop line breaks and encode spaces; freshclam.conf would not.
  if (hasControlCharacter(text) || /\s/.test(text)) return false;
  const parsed = URL.parse(text);
  const scheme = schemes.find((allowed) => text.toLowerCase().startsWith(`${allowed}://`));
  if (parsed === null || scheme === undefined) return false;
  if (scheme === "file") return parsed.hostname === "" && parsed.pathname.length > 1;
  // URL takes https:///x and https://\\x for host x; curl, which freshclam fetches with, does not.
  return parsed.hostname !== "" && !/^[/\\]/.test(text.slice(`${scheme}://`.length));
}

function withoutCredentials(text: string): string {
  return text.includes("@") ? masked(text) : text;
}

/** Nothing but the scheme: where a password ends cannot be told from a text that is wrong. */
function masked(text: string): string {
  const [scheme] = /^[a-z0-9]+:\/\//i.exec(text) ?? [""];
  return `${scheme}***`;
}

/** Relative to the working directory. */
export function path(): Parser<string> {
  return {
    allowed: "paths without quotes, absolute or relative to the working directory",
    parse: (text, { cwd }) => (isUsable(text) ? value(resolve(cwd, text)) : wrong(text, "is not a usable path")),
  };
}

/**
 * For what says who may read where: there a relative path is more likely a mistake than a wish.
 * @param name that the file must have.
 */
export function absolutePath(name: string | null = null): Parser<string> {
  return {
    allowed: `absolute paths without quotes${name === null ? "" : `, of a file named ${name}`}`,
    parse(text) {
      if (!isUsable(text) || !isAbsolute(text)) return wrong(text, "is not an absolute path");
      return name === null || basename(text) === name ? value(resolve(text)) : wrong(text, "names another file");
    },
  };
}

/** Neither clamd.conf nor freshclam.conf can hold a quote in a path: they have no escape for it. */
function isUsable(text: string): boolean {
  return !hasControlCharacter(text) && !text.includes('"');
}

export const ipRanges = list({
  item: readBy(parseIpRange, "a range of addresses", "addresses and ranges such as `10.0.0.0/8`"),
  separator: ",",
});
