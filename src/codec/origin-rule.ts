/** What operators write to say where downloads may go: `DOWNLOAD_ORIGINS`, `DOWNLOAD_REDIRECT_ORIGINS`, `DOWNLOAD_ALLOW_PRIVATE`. */

import { type IpRange, parseIpAddress, parseIpRange } from "./ip-address.ts";

export type Scheme = "http" | "https";

export const defaultPorts = { http: 80, https: 443 } as const satisfies Record<Scheme, number>;

/** One item of `DOWNLOAD_ORIGINS` or `DOWNLOAD_REDIRECT_ORIGINS`. */
export type OriginRule =
  /** Every name and every public address, on the default ports. */
  | { readonly kind: "any" }
  | {
      readonly kind: "origin";
      readonly schemes: readonly Scheme[];
      readonly host: OriginHost;
      /** Null: the scheme's own. */
      readonly port: number | null;
      /** Begins with a slash; `/` is all of the origin. `/a` covers `/a` and `/a/…`, not `/ab`. */
      readonly prefix: string;
    };

export type OriginHost =
  /** Lower-case ASCII without a last dot; IPv6 without brackets. */
  | { readonly kind: "exact"; readonly name: string }
  /** Everything below the domain, not the domain itself. */
  | { readonly kind: "subdomains"; readonly domain: string };

/** One item of `DOWNLOAD_ALLOW_PRIVATE`. */
export type PrivateRule =
  | { readonly kind: "host"; readonly host: string; readonly port: number | "any" }
  /** `default`: the scheme's own port, or one that an origin rule names. */
  | { readonly kind: "range"; readonly range: IpRange; readonly port: number | "any" | "default" };

/** `any`, `https://host[:port][/prefix]`, `https://*.example.com[:port][/prefix]` or `*.example.com`; null when it is none of these. */
export function parseOriginRule(text: string): OriginRule | null {
  if (text === "any") return { kind: "any" };
  if (!isPlain(text)) return null;
  if (text.startsWith("*.")) {
    const host = parseHost(text);
    return host === null ? null : { kind: "origin", schemes: ["http", "https"], host, port: null, prefix: "/" };
  }
  const [, scheme = "", authority = "", prefix = "/"] = /^(https?):\/\/([^/]+)(\/.*)?$/i.exec(text) ?? [];
  const written = splitPort(authority);
  const host = parseHost(written?.host ?? "");
  if (written === null || host === null || written.port === "any" || !isPrefix(prefix)) return null;
  return { kind: "origin", schemes: [scheme.toLowerCase() === "https" ? "https" : "http"], host, port: written.port, prefix };
}

/** `host:port`, `address:port`, `[::1]:port` or `CIDR[:port]`, where `*` is any port; null when it is none of these. */
export function parsePrivateRule(text: string): PrivateRule | null {
  if (!isPlain(text)) return null;
  if (text.includes("/")) {
    const parts = /^\[?([^[\]/]+)\]?(\/\d+)(?::(.+))?$/.exec(text);
    const [, address = "", bits = "", portText] = parts ?? [];
    const range = parts === null ? null : parseIpRange(address + bits);
    const port = portText === undefined ? "default" : parsePort(portText);
    return range === null || port === null ? null : { kind: "range", range, port };
  }
  const lone = parseIpRange(text);
  if (lone !== null) return { kind: "range", range: lone, port: "default" };
  const written = splitPort(text);
  const host = written === null ? null : parseHost(written.host);
  if (written === null || written.port === null || host?.kind !== "exact") return null;
  const range = parseIpRange(host.name);
  return range === null ? { kind: "host", host: host.name, port: written.port } : { kind: "range", range, port: written.port };
}

/** URL drops some control characters and takes a backslash for a slash: what it made of such a text would not be what was written. */
function isPlain(text: string): boolean {
  return !/[\s\p{Cc}\\]/u.test(text);
}

/** It is compared with paths that have no dot segments and no query. */
function isPrefix(text: string): boolean {
  return !/[?#]/.test(text) && text.split("/").every((segment) => !/^(\.|%2e){1,2}$/i.test(segment));
}

function splitPort(authority: string): { readonly host: string; readonly port: number | "any" | null } | null {
  const parts = /^(\[[^\]]*\]|[^:[\]]+)(?::(.*))?$/.exec(authority);
  if (parts === null) return null;
  const [, host = "", portText] = parts;
  if (portText === undefined) return { host, port: null };
  const port = parsePort(portText);
  return port === null ? null : { host, port };
}

function parsePort(text: string): number | "any" | null {
  if (text === "*") return "any";
  const port = Number(text);
  return /^\d{1,5}$/.test(text) && port >= 1 && port <= 65_535 ? port : null;
}

/** As WHATWG URL writes it, so that it is compared with what URL made of a request: lower case, punycode, one spelling per address. */
function parseHost(text: string): OriginHost | null {
  if (/[@%?#/]/.test(text)) return null;
  const isWildcard = text.startsWith("*.");
  const written = isWildcard ? text.slice(2) : text;
  const hostname = URL.parse(`http://${written}/`)?.hostname.replace(/\.$/, "");
  if (hostname === undefined || hostname === "") return null;
  if (hostname.startsWith("[")) {
    const address = isWildcard ? null : parseIpAddress(hostname.slice(1, -1));
    return address === null ? null : { kind: "exact", name: address.text };
  }
  if (!isHostName(hostname)) return null;
  if (!isWildcard) return { kind: "exact", name: hostname };
  return parseIpAddress(hostname) === null ? { kind: "subdomains", domain: hostname } : null;
}

/** Of a name in ASCII: no empty label, nothing that DNS could not hold. Names in compose files may have an underscore. */
export function isHostName(name: string): boolean {
  return name.length <= 253 && name.split(".").every((label) => /^[a-z0-9_-]{1,63}$/.test(label));
}
