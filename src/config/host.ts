/** Host names and addresses, and the ports behind them. */

import { isIPv4, isIPv6 } from "node:net";
import { type Parser, value, wrong } from "./parser.ts";
import { isDigits } from "./whole-number.ts";

export interface HostPort {
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

export function host(): Parser<string> {
  return {
    allowed: "IP addresses and host names",
    parse(text) {
      const bare = withoutBrackets(text);
      return isIPv6(bare) || isHostName(text) ? value(bare) : wrong(text, "is not a host");
    },
  };
}

/** Reads `host:port`, `1.2.3.4:port` or `[::1]:port`; null when it is none of these. */
export function readHostPort(text: string): HostPort | null {
  const colon = text.lastIndexOf(":");
  const hostText = text.slice(0, Math.max(colon, 0));
  const port = readPort(text.slice(colon + 1));
  const bare = withoutBrackets(hostText);
  // Without its brackets an IPv6 address swallows the port: `::1:3310` is an address.
  const isHost = bare === hostText ? isHostName(bare) : isIPv6(bare);
  return port === null || !isHost ? null : { host: bare, port };
}

/** 1 to 65535, else null. */
export function readPort(text: string): number | null {
  const port = Number(text);
  return isDigits(text) && port >= 1 && port <= 65_535 ? port : null;
}

/** Also of IPv4 addresses; four numbers that are no address are no name either. Names in compose files may have an underscore. */
function isHostName(text: string): boolean {
  if (text.length > 253) return false;
  const labels = text.replace(/\.$/, "").split(".");
  if (labels.every(isDigits)) return isIPv4(text);
  return labels.every((label) => label.length <= 63 && /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?$/i.test(label));
}

function withoutBrackets(text: string): string {
  return text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1) : text;
}
