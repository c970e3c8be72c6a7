/** The ICAP server: where it listens, to whom, and what it says where there is no verdict. */

import { parseIpRange } from "../../codec/ip-address.ts";
import { path } from "../addresses.ts";
import { duration, longestTimerMs, secondMs, wholeNumber } from "../numbers.ts";
import { choice, list, type Parser, readBy, value, wrong } from "../parser.ts";
import { setting, unset, written } from "../setting.ts";

const group = "ICAP";
const port = wholeNumber({ from: 0, to: 65_535 });
const failureWords = ["reset", "page", "status"] as const;

type FailureWord = (typeof failureWords)[number];

interface FailureAnswers {
  readonly forAll: FailureWord;
  readonly forPath: ReadonlyMap<string, FailureWord>;
}

const services = list({
  item: readBy(
    (text) => (/^[^\s/?#][^\s?#]*$/.test(text) ? text : null),
    "a path",
    "`any`, or paths without their first slash, as `avscan`",
  ),
  separator: ",",
});

export const icapSettings = [
  setting({
    name: "ICAP_PORT",
    group,
    parser: orOff(port),
    default: written("off"),
    help: "Port of the ICAP server; 1344 is customary. `0` takes any free one; `off`: there is none.",
  }),
  setting({
    name: "ICAP_SSL_PORT",
    group,
    parser: orOff(port),
    default: written("off"),
    help: "The same over TLS, with SSL_CERT and SSL_KEY; 11344 is customary.",
  }),
  setting({
    name: "ICAP_CLIENT_CA",
    group,
    parser: path(),
    default: unset,
    help: "PEM file of authorities: over TLS, a client must have a certificate of one of them.",
  }),
  setting({
    name: "ICAP_CLIENTS",
    group,
    parser: list({
      item: readBy(parseIpRange, "a range of addresses", "addresses and ranges such as `10.0.0.0/8`"),
      separator: ",",
    }),
    default: written(""),
    help: "Who may connect: the proxies and applications that ask. None: everybody who reaches the port.",
  }),
  setting({
    name: "ICAP_SERVICES",
    group,
    parser: anyOrServices(),
    default: written("any"),
    help: "Paths that are served, all in the same way; `any` is every path. Some clients take 404 for clean.",
  }),
  setting({
    name: "ICAP_PREVIEW",
    group,
    parser: orOff(wholeNumber({ from: 0, to: 65_535 })),
    default: written("4096"),
    help: "Bytes that clients are asked to send first: a smaller body needs no second turn. `off`: all at once.",
  }),
  setting({
    name: "ICAP_MAX_CONNECTIONS",
    group,
    parser: wholeNumber({ from: 1, to: 1_000_000 }),
    default: written("1000"),
    help: "Connections at once; clients are told the number, further ones are reset.",
  }),
  setting({
    name: "ICAP_IDLE_TIMEOUT",
    group,
    parser: duration({ fromMs: secondMs / 10, toMs: longestTimerMs }),
    default: written("10m"),
    help: "How long a connection is kept between requests, and how long a client may send nothing in the middle of a body.",
  }),
  setting({
    name: "ICAP_MODE",
    group,
    parser: choice("a mode of the ICAP server", ["strict", "trickle"]),
    default: written("strict"),
    help: "`strict` sends nothing back before the verdict. `trickle` sends up to 64 bytes of a response, slowly, to clients that cannot be told 204.",
  }),
  setting({
    name: "ICAP_TRICKLE_AFTER",
    group,
    parser: duration({ fromMs: 1, toMs: longestTimerMs }),
    default: written("10s"),
    help: "In mode trickle nothing is sent for so long.",
  }),
  setting({
    name: "ICAP_TRICKLE_INTERVAL",
    group,
    parser: duration({ fromMs: 1, toMs: longestTimerMs }),
    default: written("10s"),
    help: "Between two bytes of a trickle.",
  }),
  setting({
    name: "ICAP_ON_ERROR",
    group,
    parser: failureAnswers(),
    default: written("reset,proxy=page"),
    help: "What a client is told where there is no verdict: a word for all paths, then `path=word`. `reset` cuts the connection; `page` is a page with status 503, for web proxies alone; `status` is a status of ICAP, which some clients take for clean.",
  }),
] as const;

function orOff(number: Parser<number>): Parser<number | null> {
  return {
    allowed: `${number.allowed}, or \`off\``,
    parse: (text, base) => (text === "off" ? value(null) : number.parse(text, base)),
  };
}

/** Null: any. */
function anyOrServices(): Parser<readonly string[] | null> {
  return {
    allowed: services.allowed,
    parse(text, base) {
      if (text === "any") return value(null);
      const parsed = services.parse(text, base);
      return parsed.kind === "value" && parsed.value.length === 0 ? wrong(text, "names no path") : parsed;
    },
  };
}

function failureAnswers(): Parser<FailureAnswers> {
  return {
    allowed: "one of `reset`, `page` and `status`, and `path=word` for other paths, separated by commas, as `reset,proxy=page`",
    parse(text) {
      let forAll: FailureWord | null = null;
      const forPath = new Map<string, FailureWord>();
      for (const piece of text.split(",").map((one) => one.trim())) {
        const equals = piece.lastIndexOf("=");
        const service = equals < 0 ? null : piece.slice(0, equals).trim();
        const word = failureWords.find((known) => known === piece.slice(equals + 1).trim());
        if (word === undefined) return wrong(piece, "is no such word");
        if (service === null ? forAll !== null : forPath.has(service)) return wrong(piece, "is there twice");
        if (service === null) forAll = word;
        else forPath.set(service, word);
      }
      return forAll === null ? wrong(text, "has no word for all paths") : value({ forAll, forPath });
    },
  };
}
