/** Where the clamd door listens, to whom, and how long it waits for them (clamd-front.md 5). */

import { isAbsolute, resolve } from "node:path";
import { onErrorChoices } from "../../codec/clamd/answer.ts";
import type { ListenAddress } from "../../codec/clamd/listen-address.ts";
import { parsePeerRule } from "../../codec/clamd/peer-rule.ts";
import { readHostPort, readPort } from "../addresses.ts";
import { duration, hourMs, wholeNumber } from "../numbers.ts";
import { list, type Parsed, type Parser, readBy, value, wrong } from "../parser.ts";
import { setting, unset, written } from "../setting.ts";

/** A socket's path ends within 104 bytes on macOS and 108 on Linux (unix(7) sun_path); it is made under a longer name first. */
const largestSocketPathBytes = 100;
const defaultMode = 0o660;

const group = "clamd door";

export const clamdDoorSettings = [
  setting({
    name: "CLAMD_LISTEN",
    group,
    parser: listenAddresses(),
    default: unset,
    help: "Where the gateway answers as a clamd does. What a client is told of a body without a verdict is `?on-error=error` (a line that ends in ERROR), `close` (nothing) or `found`; a socket's permissions are `?mode=660`. Unset: nowhere. Not to be confused with CLAMD_PORT, which is where the engine is.",
  }),
  setting({
    name: "CLAMD_ALLOW_FROM",
    group,
    parser: list({
      item: readBy(parsePeerRule, "an address or a range", "IP addresses, ranges such as `10.0.0.0/8`, `private` or `any`"),
      separator: ",",
    }),
    default: written(""),
    help: "Who may connect to CLAMD_LISTEN over TCP, besides this machine. An address beyond loopback cannot be listened on without it.",
  }),
  setting({
    name: "CLAMD_MAX_CONNECTIONS",
    group,
    parser: wholeNumber({ from: 1, to: 1_000_000 }),
    default: written("1000"),
    help: "Connections to CLAMD_LISTEN at once, all addresses together; one more is told so and closed.",
  }),
  setting({
    name: "CLAMD_COMMAND_TIMEOUT",
    group,
    parser: duration({ fromMs: 1, toMs: hourMs }),
    default: written("30s"),
    help: "How long a new connection may take to its first whole command, as clamd's CommandReadTimeout.",
  }),
  setting({
    name: "CLAMD_READ_TIMEOUT",
    group,
    parser: duration({ fromMs: 1, toMs: hourMs }),
    default: written("120s"),
    help: "How long a client may send nothing within a body or between the commands of a session, as clamd's ReadTimeout; CLIENT_MIN_RATE is measured over it.",
  }),
] as const;

/** At least one address, none twice. */
function listenAddresses(): Parser<readonly ListenAddress[]> {
  const addresses = list({ item: listenAddress(), separator: "," });
  return {
    allowed: addresses.allowed,
    parse(text, base) {
      const parsed = addresses.parse(text, base);
      if (parsed.kind === "wrong") return parsed;
      const all = parsed.value.flat();
      if (all.length === 0) return wrong(text, "holds no address");
      const keys = all.flatMap((address) => (address.kind === "tcp" && address.port === 0 ? [] : [keyOf(address)]));
      return new Set(keys).size === keys.length ? value(all) : wrong(text, "names an address twice");
    },
  };
}

function listenAddress(): Parser<readonly ListenAddress[]> {
  return {
    allowed:
      "a port of this machine, `host:port`, `[IPv6]:port`, `tcp://host:port`, `unix:///path` or `/path`, each with or without `?on-error=…`, the last two also `&mode=…`",
    parse: readAddress,
  };
}

function readAddress(text: string): Parsed<readonly ListenAddress[]> {
  const [place = "", query = "", ...more] = text.split("?");
  const options = new URLSearchParams(query);
  const onErrorText = options.get("on-error") ?? "error";
  const onError = onErrorChoices.find((choice) => choice === onErrorText);
  const unknown = [...options.keys()].find((name) => name !== "on-error" && name !== "mode");
  if (more.length > 0 || unknown !== undefined || options.size !== new Set(options.keys()).size)
    return wrong(text, "has options that are none");
  if (onError === undefined) return wrong(text, `has an on-error that is none of ${onErrorChoices.join(", ")}`);
  const path = place.startsWith("unix://") ? place.slice("unix://".length) : place;
  if (isAbsolute(path)) return readUnix(text, resolve(path), options.get("mode"), onError);
  if (options.has("mode")) return wrong(text, "has a mode and is no socket");
  const port = place === "0" ? 0 : readPort(place);
  if (port !== null) {
    const loopback = { kind: "tcp", host: "127.0.0.1", port, onError } as const;
    // The system would choose another free one for each family.
    return value(port === 0 ? [loopback] : [loopback, { ...loopback, host: "::1", isOptional: true }]);
  }
  const hostPort = readHostPort(place.startsWith("tcp://") ? place.slice("tcp://".length) : place);
  return hostPort === null ? wrong(text, "is not an address to listen on") : value([{ kind: "tcp", ...hostPort, onError }]);
}

function readUnix(
  text: string,
  path: string,
  modeText: string | null,
  onError: ListenAddress["onError"],
): Parsed<readonly ListenAddress[]> {
  const mode = modeText === null ? defaultMode : Number.parseInt(modeText, 8);
  if (modeText !== null && !/^0?[0-7]{3}$/.test(modeText)) return wrong(text, "has a mode that is none");
  if (/[\p{Cc}]/u.test(path)) return wrong(text, "has control characters");
  if (Buffer.byteLength(path) > largestSocketPathBytes) return wrong(text, `is longer than ${largestSocketPathBytes} bytes`);
  return value([{ kind: "unix", path, mode, onError }]);
}

function keyOf(address: ListenAddress): string {
  return address.kind === "tcp" ? `${address.host.toLowerCase()} ${address.port}` : address.path;
}
