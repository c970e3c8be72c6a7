/** hosts(5): names and aliases that this machine knows by itself. */

import { isIP } from "node:net";

/** Names in lower case; a name that stands in several lines has all their addresses. */
export type Hosts = ReadonlyMap<string, readonly string[]>;

export function parseHosts(text: string): Hosts {
  const hosts = new Map<string, Set<string>>();
  for (const line of text.split("\n")) {
    const [content = ""] = line.split("#", 1);
    const [address = "", ...names] = content.trim().split(/\s+/);
    // A zone id, as macOS has one in its file, leads nowhere outside of this machine.
    if (isIP(address) === 0 || address.includes("%")) continue;
    for (const name of names) {
      const key = name.toLowerCase();
      const known = hosts.get(key);
      if (known === undefined) hosts.set(key, new Set([address]));
      else known.add(address);
    }
  }
  return new Map([...hosts].map(([name, addresses]) => [name, [...addresses]]));
}
