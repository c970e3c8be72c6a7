/** Who may ask over HTTP, and the record of what was asked. */

import { isLoopbackHost } from "../../codec/ip-address.ts";
import { scopes } from "../../core/scope.ts";
import { path } from "../addresses.ts";
import { choice, list, name, type Parser, readBy, value, wrong, yesOrNo } from "../parser.ts";
import { setting, unset, written } from "../setting.ts";

export const authWords = ["keys", "jwt", "mtls"] as const;
export type AuthWord = (typeof authWords)[number];

const group = "Access";

export const accessSettings = [
  setting({
    name: "AUTH",
    group,
    parser: authWays(),
    default: written("none"),
    help: "How clients show over HTTP who they are: any of `keys`, `jwt` (tokens of an identity provider) and `mtls` (a certificate), of which one suffices; `none`: whoever reaches the port may use it. ICAP and the clamd door have lists of their own. See docs/access.md.",
  }),
  setting({
    name: "API_KEYS_FILE",
    group,
    parser: path(),
    default: unset,
    help: "JSON file of the clients: digests of their keys, scopes, networks. Changes count within 10 s; a broken file leaves the old ones in place. `clamgate keys` edits it.",
  }),
  setting({
    name: "JWT_ISSUER",
    group,
    parser: name(),
    default: unset,
    help: "`iss` of the tokens that `AUTH=jwt` takes.",
  }),
  setting({
    name: "JWT_AUDIENCE",
    group,
    parser: name(),
    default: unset,
    help: "What must be among a token's `aud`.",
  }),
  setting({
    name: "JWT_JWKS",
    group,
    parser: readBy(readKeySetUrl, "such an address", "addresses with https://, or with http:// on loopback"),
    default: unset,
    help: "Where the issuer's public keys are fetched from. No redirects are followed.",
  }),
  setting({
    name: "JWT_DEFAULT_SCOPES",
    group,
    parser: list({ item: choice("a scope", scopes), separator: "; ," }),
    default: written("scan"),
    help: "What a token may do that has neither `scope` nor `scp`.",
  }),
  setting({
    name: "METRICS_AUTH",
    group,
    parser: yesOrNo(),
    default: written("no"),
    help: "Whether `/metrics` and `/healthcheck` need the scope `status`. `/livez` and `/readyz` are always open.",
  }),
  setting({
    name: "SSL_CLIENT_CA",
    group,
    parser: path(),
    default: unset,
    help: "PEM file of the authorities whose certificates clients may show on SSL_PORT, for `AUTH=mtls`.",
  }),
  setting({
    name: "AUDIT",
    group,
    parser: auditPlace(),
    default: unset,
    help: "Where the record of who asked what goes, a line of JSON each: `stdout`, or a file. SIGHUP begins the file anew, after it was moved.",
  }),
  setting({
    name: "AUDIT_NAMES",
    group,
    parser: choice("a way to write names", ["plain", "hash", "none"]),
    default: written("plain"),
    help: "How the record writes the names of files and the addresses of downloads, which may tell of persons: as they are, as their SHA-256, or not at all.",
  }),
  setting({
    name: "AUDIT_REQUIRED",
    group,
    parser: yesOrNo(),
    default: written("no"),
    help: "Whether requests are answered 503 while the record cannot be written.",
  }),
] as const;

export type AuditPlace = { readonly kind: "stdout" } | { readonly kind: "file"; readonly path: string };

function auditPlace(): Parser<AuditPlace> {
  const file = path();
  return {
    allowed: `\`stdout\`, or ${file.allowed}`,
    parse(text, base) {
      if (text === "stdout") return value({ kind: "stdout" });
      const parsed = file.parse(text, base);
      return parsed.kind === "value" ? value({ kind: "file", path: parsed.value }) : parsed;
    },
  };
}

/** None is an empty list. */
function authWays(): Parser<readonly AuthWord[]> {
  const ways = list({ item: choice("a way to show who one is", authWords), separator: "," });
  return {
    allowed: `none, or any of ${authWords.join(", ")}, separated by commas`,
    parse(text, base) {
      if (text.toLowerCase() === "none") return value([]);
      const parsed = ways.parse(text, base);
      return parsed.kind === "value" && parsed.value.length === 0 ? wrong(text, "names no way") : parsed;
    },
  };
}

/** Whoever can change what comes on its way can make tokens. */
function readKeySetUrl(text: string): string | null {
  const url = URL.parse(text);
  if (url === null || url.username !== "" || url.password !== "" || /\s/.test(text)) return null;
  const host = url.hostname.replace(/^\[|\]$/g, "");
  return url.protocol === "https:" || (url.protocol === "http:" && isLoopbackHost(host)) ? text : null;
}
