/** The download proxy: where it listens, where it may fetch from, and what it lets through when. */

import { parseForwardedField } from "../../codec/field-name.ts";
import { parseOriginRule, parsePrivateRule } from "../../codec/origin-rule.ts";
import { host, ipRanges, path } from "../addresses.ts";
import { duration, longestTimerMs, secondMs, wholeNumber } from "../numbers.ts";
import { choice, list, type Parser, readBy } from "../parser.ts";
import { setting, unset, written } from "../setting.ts";

export const downloadModes = ["strict", "trickle", "verified-stream"] as const;

const origins = list({
  item: readBy(parseOriginRule, "an origin", "`any`, `https://host[:port][/prefix]`, `https://*.example.com` or `*.example.com`"),
  separator: ",",
});
const privateRules = list({
  item: readBy(
    parsePrivateRule,
    "a private address",
    "`host:port`, `address:port`, `[::1]:port` or `CIDR[:port]`, `*` being any port",
  ),
  separator: ",",
});
const fields = list({
  item: readBy(
    parseForwardedField,
    "a header that can be sent on",
    "names of headers that are not about one connection, its body or a part of it, as `Connection`, `Host`, `Content-Type` and `Range` are",
  ),
  separator: ",",
});
const count = wholeNumber({ from: 1, to: 1_000_000 });

/** Where PORT or SSL_PORT has it, the proxy is off. */
export const defaultDownloadProxyPort = 8080;

const group = "Download proxy";

export const downloadSettings = [
  setting({
    name: "DOWNLOAD_PROXY_PORT",
    group,
    parser: portOrOff(),
    default: written(String(defaultDownloadProxyPort)),
    help: "Port of the download proxy. `0` takes any free one; `off`: there is none. Unset, it is off where PORT or SSL_PORT is 8080.",
  }),
  setting({
    name: "DOWNLOAD_PROXY_HOST",
    group,
    parser: host(),
    default: unset,
    help: "Address that the download proxy listens on. Unset: HOST where DOWNLOAD_ORIGINS (other than `any`), DOWNLOAD_TRUSTED_PEERS or DOWNLOAD_ROUTES says what it is for, else 127.0.0.1: this machine alone.",
  }),
  setting({
    name: "DOWNLOAD_ORIGINS",
    group,
    parser: origins,
    default: written("any"),
    help: "Origins that `Download-From` may name. `any` is every origin with a public address on ports 80 and 443.",
  }),
  setting({
    name: "DOWNLOAD_REDIRECT_ORIGINS",
    group,
    parser: origins,
    default: written(""),
    help: "Origins that those may redirect to besides, as the content delivery network of a package mirror.",
  }),
  setting({
    name: "DOWNLOAD_ALLOW_PRIVATE",
    group,
    parser: privateRules,
    default: written(""),
    help: "Private addresses that downloads may come from. Everything that is not public is refused otherwise, whatever name leads there.",
  }),
  setting({
    name: "DOWNLOAD_TRUSTED_PEERS",
    group,
    parser: ipRanges,
    default: written(""),
    help: "Who may say `Download-From`: the web servers in front. None: everybody who reaches the port.",
  }),
  setting({
    name: "DOWNLOAD_FORWARD_HEADERS",
    group,
    parser: fields,
    default: written(""),
    help: "Further headers of a client that are sent to the origin of `Download-From`, as `Cookie`; not past a redirect to another origin. Requests that differ in one share neither download nor verdict.",
  }),
  setting({
    name: "DOWNLOAD_ROUTES",
    group,
    parser: path(),
    default: unset,
    help: "JSON file of routes for clients that come without a web server in front.",
  }),
  setting({
    name: "DOWNLOAD_MODE",
    group,
    parser: choice("a download mode", downloadModes, [["drip", "trickle"]]),
    default: written("strict"),
    help: "`strict` sends nothing before the verdict. `trickle` (or `drip`, its name before) sends up to 64 bytes, slowly, to keep impatient clients. `verified-stream` streams what was clean before, each piece once it has been proved to be the same.",
  }),
  setting({
    name: "DOWNLOAD_TRICKLE_AFTER",
    group,
    parser: duration({ fromMs: 1, toMs: longestTimerMs }),
    default: written("10s"),
    help: "In mode trickle nothing is sent for so long. Shorter than the shortest time-out in front.",
  }),
  setting({
    name: "DOWNLOAD_TRICKLE_INTERVAL",
    group,
    parser: duration({ fromMs: 1, toMs: longestTimerMs }),
    default: written("10s"),
    help: "Between two bytes of a trickle.",
  }),
  setting({
    name: "DOWNLOAD_TIMEOUT",
    group,
    parser: duration({ fromMs: 0, toMs: longestTimerMs }),
    default: written("1h"),
    help: "How long one download may take. `0`: as long as it moves.",
  }),
  setting({
    name: "DOWNLOAD_IDLE_TIMEOUT",
    group,
    parser: duration({ fromMs: secondMs / 10, toMs: longestTimerMs }),
    default: written("60s"),
    help: "An origin that sends nothing for so long is given up.",
  }),
  setting({
    name: "DOWNLOAD_EXTRA_CA",
    group,
    parser: path(),
    default: unset,
    help: "PEM file of certificates that origins may use besides the usual ones.",
  }),
  setting({
    name: "DOWNLOAD_MAX",
    group,
    parser: count,
    default: written("200"),
    help: "Downloads at once; further ones are answered 503.",
  }),
  setting({
    name: "DOWNLOAD_MAX_PER_ORIGIN",
    group,
    parser: count,
    default: written("100"),
    help: "Downloads at once from one origin.",
  }),
  setting({
    name: "DOWNLOAD_MAX_PER_CLIENT",
    group,
    parser: count,
    default: written("1000"),
    help: "Requests at once of one address. Behind a web server all requests are one address's.",
  }),
] as const;

function portOrOff(): Parser<number | null> {
  const port = wholeNumber({ from: 0, to: 65_535 });
  return {
    allowed: `${port.allowed}, or \`off\``,
    parse: (text, base) => (text === "off" ? { kind: "value", value: null } : port.parse(text, base)),
  };
}
