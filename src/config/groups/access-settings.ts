/** Who may ask over HTTP, and the record of what was asked. */

import { path } from "../addresses.ts";
import { choice, list, type Parser, value, wrong, yesOrNo } from "../parser.ts";
import { setting, unset, written } from "../setting.ts";

export const authWords = ["keys", "mtls"] as const;
export type AuthWord = (typeof authWords)[number];

const group = "Access";

export const accessSettings = [
  setting({
    name: "AUTH",
    group,
    parser: authWays(),
    default: written("none"),
    help: "How clients show over HTTP who they are: `keys`, `mtls` (a certificate), or both, of which one suffices; `none`: whoever reaches the port may use it. ICAP and the clamd door have lists of their own. See docs/access.md.",
  }),
  setting({
    name: "API_KEYS_FILE",
    group,
    parser: path(),
    default: unset,
    help: "JSON file of the clients: digests of their keys, scopes, networks. Changes count within 10 s; a broken file leaves the old ones in place. `clamgate keys` edits it.",
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
