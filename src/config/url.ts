/** Addresses that freshclam is given: mirrors, extra databases, its proxy. */

import { list } from "./list.ts";
import { hasControlCharacter, type Parser, value, wrong } from "./parser.ts";

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
