/** Where signatures come from, how often, and how old they may be. */

import { join } from "node:path";
import { path, proxyServer, url, urls } from "../addresses.ts";
import { dayMs, duration, largestCount, longestTimerMs, secondMs, wholeNumber } from "../numbers.ts";
import { name, secret } from "../parser.ts";
import { derived, setting, unset, written } from "../setting.ts";

export const signatureSettings = [
  setting({
    name: "SIGNATURE_CHECKS",
    group: "Signatures",
    parser: wholeNumber({ from: 0, to: largestCount }),
    default: written("2"),
    help: "How often a day freshclam looks for new signatures, 1 to 50; more are run as 50. `0`: never, for machines that are given their signatures as files.",
  }),
  setting({
    name: "PROXY_SERVER",
    group: "Signatures",
    parser: proxyServer(),
    default: unset,
    help: "Proxy through which freshclam fetches.",
  }),
  setting({
    name: "PROXY_PORT",
    group: "Signatures",
    parser: wholeNumber({ from: 1, to: 65_535 }),
    default: unset,
    onlyWith: "PROXY_SERVER",
    help: "Port at PROXY_SERVER.",
  }),
  setting({
    name: "PROXY_USERNAME",
    group: "Signatures",
    parser: name(),
    default: unset,
    onlyWith: "PROXY_SERVER",
    help: "User at PROXY_SERVER. Needs PROXY_PASSWORD.",
  }),
  setting({
    name: "PROXY_PASSWORD",
    group: "Signatures",
    parser: secret(),
    default: unset,
    onlyWith: "PROXY_SERVER",
    help: "Password of PROXY_USERNAME. Never logged.",
  }),
  setting({
    name: "DATABASE_DIRECTORY",
    group: "Signatures",
    parser: path(),
    default: derived("STATE_DIRECTORY/signatures", ({ stateDirectory }) => join(stateDirectory, "signatures")),
    help: "Where the signatures lie. Files put here are noticed within a minute; it may be read-only.",
  }),
  setting({
    name: "DATABASE_MIRROR",
    group: "Signatures",
    parser: url(["http", "https"]),
    default: unset,
    help: "Private mirror to fetch from in place of ClamAV's own servers.",
  }),
  setting({
    name: "DATABASE_CUSTOM_URLS",
    group: "Signatures",
    parser: urls(["http", "https", "ftp", "file"]),
    default: written(""),
    help: "Extra signature files to fetch besides the official ones.",
  }),
  setting({
    name: "FRESHCLAM_CONF",
    group: "Signatures",
    parser: path(),
    default: unset,
    help: "A freshclam.conf of your own, used as it is: PROXY_SERVER, DATABASE_MIRROR and their like are ignored then.",
  }),
  setting({
    name: "FIRST_FETCH_TIMEOUT",
    group: "Signatures",
    parser: duration({ fromMs: 0, toMs: longestTimerMs }),
    default: written("10m"),
    help: "How long a start without signatures waits for the first fetch.",
  }),
  setting({
    name: "MAX_DATABASE_AGE",
    group: "Signatures",
    parser: duration({ fromMs: secondMs, toMs: 3650 * dayMs, plainUnit: "h" }),
    default: unset,
    help: "With signatures older than this the gateway is not ready. Unset: whatever their age.",
  }),
  setting({
    name: "WARN_DATABASE_AGE",
    group: "Signatures",
    parser: duration({ fromMs: 0, toMs: 3650 * dayMs, plainUnit: "h" }),
    default: written("72h"),
    help: "With signatures older than this `/readyz` is degraded. `0`: whatever their age.",
  }),
] as const;
