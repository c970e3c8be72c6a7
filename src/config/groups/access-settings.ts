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
    help: "How clients show over HTTP who they are: `keys`, `mtls` (a certificate), or both, of which one suffices; `none`: whoever reaches the port may use it. ICAP and the clamd door have lists of their own. See [docs/access.md](docs/access.md).",
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
] as const;

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
