/** The files by which this machine knows names: hosts(5), resolv.conf(5), and when to read them again. */

import { readFile, stat } from "node:fs/promises";
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

export interface SearchList {
  /** Without dots at their ends; the empty one is the root. */
  readonly domains: readonly string[];
  /** A name with as many dots is asked for as it is first. */
  readonly ndots: number;
}

export interface SearchDefaults {
  /** Its domain is searched where the file names none. */
  readonly hostName: string;
  /** `LOCALDOMAIN` and `RES_OPTIONS` come before what the file says. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export function parseSearchList(text: string, { hostName, environment }: SearchDefaults): SearchList {
  let domains = hostName.includes(".") ? [hostName.slice(hostName.indexOf(".") + 1)] : [];
  let ndots = 1;
  const setNdots = (options: readonly string[]) => {
    for (const option of options) ndots = Number(/^ndots:(\d{1,9})$/.exec(option)?.[1] ?? ndots);
  };
  for (const line of text.split("\n")) {
    const [keyword = "", ...values] = wordsOf(line);
    if (keyword === "search") domains = values;
    if (keyword === "domain") domains = values.slice(0, 1);
    if (keyword === "options") setNdots(values);
  }
  if (environment.LOCALDOMAIN !== undefined) domains = wordsOf(environment.LOCALDOMAIN);
  setNdots(wordsOf(environment.RES_OPTIONS ?? ""));
  return { domains: domains.map(withoutLastDots), ndots: Math.min(ndots, maxNdots) };
}

/** In the order in which glibc asks for them, each once. */
export function namesToAsk(name: string, { domains, ndots }: SearchList): readonly string[] {
  if (name.endsWith(".")) return [name.slice(0, -1)];
  const searched = domains.map((domain) => (domain === "" ? name : `${name}.${domain}`));
  const isAskedFirst = name.split(".").length - 1 >= ndots;
  return [...new Set(isAskedFirst ? [name, ...searched] : [...searched, name])];
}

/** Not by an expression that would look from each dot on. */
function withoutLastDots(domain: string): string {
  let end = domain.length;
  while (domain[end - 1] === ".") end -= 1;
  return domain.slice(0, end).toLowerCase();
}

/** glibc's. */
const maxNdots = 15;

function wordsOf(line: string): string[] {
  return line.split(/\s+/).filter((word) => word !== "");
}

/** What the file says. One that is not there, or cannot be read, says nothing. */
export function keptFile<T>(path: string, parse: (text: string) => T): () => Promise<T> {
  let kept: { readonly version: string; readonly value: T } | null = null;
  return async () => {
    const version = await versionOf(path);
    if (kept?.version === version) return kept.value;
    const value = parse(await readFile(path, "utf8").catch(() => ""));
    kept = { version, value };
    return value;
  };
}

async function versionOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs } = await stat(path, { bigint: true });
    return `${ino} ${size} ${mtimeNs}`;
  } catch {
    return "none"; // as in a container that has no such file
  }
}
