/** How requests reach the engine, how long they wait, what passes, and what is remembered. */

import { allArchives, archiveFormats, type FileFormat, fileFormats } from "../../codec/file-format.ts";
import { absolutePath } from "../addresses.ts";
import { dayMs, duration, longestTimerMs, secondMs, wholeNumber } from "../numbers.ts";
import { choice, list, type Parser, value } from "../parser.ts";
import { derived, setting, written } from "../setting.ts";
import { unscannablePolicy } from "../unscannable-policy.ts";
import { verdictCacheChoice } from "../verdict-cache-choice.ts";

/** What clamd may take beyond its own limit, which it checks only now and then. */
const scanGraceMs = 30 * secondMs;

function unsupportedFormats(): Parser<readonly FileFormat[]> {
  const names = list({ item: choice("a format", [allArchives, ...fileFormats]), separator: "," });
  return {
    allowed: names.allowed,
    parse(text, base) {
      const parsed = names.parse(text, base);
      if (parsed.kind === "wrong") return parsed;
      const formats = parsed.value.flatMap((name): readonly FileFormat[] => (name === allArchives ? archiveFormats : [name]));
      return value([...new Set(formats)]);
    },
  };
}

export const scanningSettings = [
  setting({
    name: "SCAN_PATH_ROOTS",
    group: "Scanning",
    parser: list({ item: absolutePath(), separator: ":" }),
    default: written(""),
    help: "Directories that `/scanFile` and `/scanPath` may read. With none they read nothing; `/` opens all that the gateway's user may read.",
  }),
  setting({
    name: "SCAN_TIMEOUT",
    group: "Scanning",
    parser: duration({ fromMs: 1, toMs: longestTimerMs }),
    default: derived("MAX_SCAN_TIME + 30s", ({ maxScanTimeMs }) => maxScanTimeMs + scanGraceMs),
    help: "A scan that has no answer after this long is answered 503.",
  }),
  setting({
    name: "QUEUE_TIMEOUT",
    group: "Scanning",
    parser: duration({ fromMs: 0, toMs: longestTimerMs }),
    default: written("30s"),
    help: "How long a request waits for a free clamd before it is answered 503.",
  }),
  setting({
    name: "QUEUE_MAX",
    group: "Scanning",
    parser: wholeNumber({ from: 0, to: 1_000_000 }),
    default: written("1000"),
    help: "Requests that may wait; further ones are answered 503 at once.",
  }),
  setting({
    name: "QUEUE_MAX_PER_CLIENT",
    group: "Scanning",
    parser: wholeNumber({ from: 0, to: 1_000_000 }),
    default: written("0"),
    help: "Of those, requests of one address; of IPv6, one /64 network. `0`: QUEUE_MAX alone counts. Addresses take turns, and in a full queue the one with the most requests makes room for others, whatever this says. Behind a web server all requests are one address's. With AUTH it is about clients, of which none has more than half.",
  }),
  setting({
    name: "ON_UNSCANNABLE",
    group: "Scanning",
    parser: unscannablePolicy(),
    default: written("block"),
    help: "What becomes of a body that could not be scanned whole. `allow:encrypted,limit-time` lets those two pass; every one that passes is logged and counted.",
  }),
  setting({
    name: "UNSUPPORTED_FORMATS",
    group: "Scanning",
    parser: unsupportedFormats(),
    default: written(""),
    help: "Formats, told by their first or last bytes, that count as unscannable, in archives too. `archives` is all of the list but 7z, ar, deb, makeself, rpm, xz and zstd, which clamd or the gateway opens.",
  }),
  setting({
    name: "VERDICT_CACHE",
    group: "Verdict cache",
    parser: verdictCacheChoice(),
    default: written("sqlite:"),
    help: "Where verdicts are remembered. `sqlite:` survives a restart; `memory:` does not; a Redis or Valkey is shared by several gateways, and while it is away bodies are scanned as without a cache; `none` scans every body. Encode special characters of a password, as `%40` for `@`.",
  }),
  setting({
    name: "VERDICT_TTL",
    group: "Verdict cache",
    parser: duration({ fromMs: secondMs, toMs: 3650 * dayMs }),
    default: written("24h"),
    help: "How long a verdict is remembered. New signatures end it sooner.",
  }),
  setting({
    name: "VERDICT_CACHE_MAX",
    group: "Verdict cache",
    parser: wholeNumber({ from: 1, to: 1_000_000_000 }),
    default: written("1000000"),
    help: "Verdicts remembered at most. A Redis holds what its own `maxmemory` allows; set its `maxmemory-policy` to `volatile-ttl` or `allkeys-lru`.",
  }),
] as const;
