/** Where a given clamd listens, in every form that `CLAMD_PORT` is known to have (rest.md 66). */

import { isAbsolute, resolve } from "node:path";
import { type HostPort, readHostPort, readPort } from "./host.ts";
import { list } from "./list.ts";
import { hasControlCharacter, type Parser, value, wrong } from "./parser.ts";

export type ClamdAddress =
  | ({ readonly kind: "tcp" } & HostPort)
  /** Absolute path of the socket. */
  | { readonly kind: "unix"; readonly path: string };

/** At least one address, none twice: a backend listed twice would get twice the scans it has slots for. */
export function clamdAddresses(): Parser<readonly ClamdAddress[]> {
  const addresses = list({ item: clamdAddress(), separator: "," });
  return {
    allowed: addresses.allowed,
    parse(text, base) {
      const parsed = addresses.parse(text, base);
      if (parsed.kind === "wrong") return parsed;
      if (parsed.value.length === 0) return wrong(text, "holds no address");
      const isUnique = new Set(parsed.value.map(keyOf)).size === parsed.value.length;
      return isUnique ? parsed : wrong(text, "names an address twice");
    },
  };
}

function clamdAddress(): Parser<ClamdAddress> {
  return {
    allowed: "`tcp://host:port`, `unix:///path`, `/path`, `host:port`, `[IPv6]:port` or a port of this machine",
    parse(text) {
      const address = readAddress(text);
      return address === null ? wrong(text, "is not an address of a clamd") : value(address);
    },
  };
}

function readAddress(text: string): ClamdAddress | null {
  if (hasControlCharacter(text)) return null;
  if (text.startsWith("unix://")) return unixAddress(text.slice("unix://".length));
  if (text.startsWith("tcp://")) return tcpAddress(readHostPort(text.slice("tcp://".length)));
  if (isAbsolute(text)) return unixAddress(text);
  const port = readPort(text);
  // Not `localhost`: that may be two addresses, and every address is a backend of its own.
  return tcpAddress(port === null ? readHostPort(text) : { host: "127.0.0.1", port });
}

function unixAddress(path: string): ClamdAddress | null {
  return isAbsolute(path) ? { kind: "unix", path: resolve(path) } : null;
}

function tcpAddress(hostPort: HostPort | null): ClamdAddress | null {
  return hostPort === null ? null : { kind: "tcp", ...hostPort };
}

function keyOf(address: ClamdAddress): string {
  switch (address.kind) {
    case "tcp":
      return `${address.host.toLowerCase()} ${address.port}`;
    case "unix":
      return address.path;
  }
}
