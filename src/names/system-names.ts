/** Names as this machine knows them (its hosts file, search domains, DNS servers, other name services), without a thread for each. */

import { lookup } from "node:dns/promises";
import { hostname, networkInterfaces } from "node:os";
import { addressClass, parseIpAddress } from "../codec/ip-address.ts";
import { createFairPlaces } from "../core/queues/fair-queue.ts";
import { untilAborted } from "../core/until-aborted.ts";
import { askDns, NameError } from "./dns-question.ts";
import { keptFile, namesToAsk, parseHosts, parseSearchList, type SearchDefaults } from "./system-files.ts";

/**
 * All addresses of a name, in the order to try them. Rejects with an Error whose `code` is one of getaddrinfo's (`ENOTFOUND`: the name is
 * not there; `EAI_AGAIN`: nobody could say), or with the signal's reason.
 * @param client whose turn it is where only one name is asked for at a time.
 */
export type ResolveName = (name: string, client: string, signal: AbortSignal) => Promise<readonly string[]>;

export interface SystemNamesOptions extends SearchDefaults {
  readonly paths: { readonly hosts: string; readonly resolvConf: string; readonly nsswitch: string };
  /** See `DnsQuestion`. */
  readonly servers: readonly string[] | null;
  readonly isIpv6First: () => boolean;
  readonly platform: NodeJS.Platform;
  readonly getaddrinfo: (name: string) => Promise<readonly string[]>;
}

export function thisSystem(): SystemNamesOptions {
  return {
    paths: { hosts: "/etc/hosts", resolvConf: "/etc/resolv.conf", nsswitch: "/etc/nsswitch.conf" },
    servers: null,
    hostName: hostname(),
    environment: process.env,
    isIpv6First: hasGlobalIpv6,
    platform: process.platform,
    getaddrinfo: async (name) => (await lookup(name, { all: true, order: "verbatim" })).map(({ address }) => address),
  };
}

/**
 * getaddrinfo would know all of this by itself, but it takes one of two threads for as long as a name server is silent, and cannot be called
 * off. So it is asked only where nsswitch.conf(5) names sources that are neither files nor DNS (mDNS, LDAP), only for names that DNS does
 * not have, and one name at a time: the other thread is left to everybody else. A resolver in a child process would know all as well, but
 * needs as many threads as there may be silent names.
 */
export function createSystemNames(options: SystemNamesOptions): ResolveName {
  const hosts = keptFile(options.paths.hosts, parseHosts);
  const searchList = keptFile(options.paths.resolvConf, (text) => parseSearchList(text, options));
  const hasOtherSources = keptFile(options.paths.nsswitch, (text) => namesOtherSources(text, options.platform));
  const thread = createFairPlaces({ places: 1, maxWaiting: 1000 });

  return async function resolve(name, client, signal) {
    const lower = name.toLowerCase();
    const bare = lower.replace(/\.$/, "");
    const listed = (await hosts()).get(bare);
    if (listed !== undefined) return listed;
    // RFC 6761 §6.3: it is nobody else's to say where that is.
    if (bare === "localhost" || bare.endsWith(".localhost")) return ["127.0.0.1", "::1"];
    try {
      return await search(lower, signal);
    } catch (error) {
      const isElsewhere = error instanceof NameError && (error.code === "ENOTFOUND" || error.isUnserved);
      if (!isElsewhere || !(await hasOtherSources())) throw error;
    }
    return await askSystem(name, client, signal);
  };

  /** As glibc: what one of the names fails with does not keep the next from being asked for, unless nobody answers at all. */
  async function search(name: string, signal: AbortSignal): Promise<readonly string[]> {
    let failure: unknown = null;
    for (const full of namesToAsk(name, await searchList())) {
      try {
        return await askDns({ name: full, servers: options.servers, isIpv6First: options.isIpv6First(), signal });
      } catch (error) {
        if (!(error instanceof NameError) || error.isTimeout) throw error;
        if (failure === null || error.code === "EAI_AGAIN") failure = error;
      }
    }
    throw failure;
  }

  async function askSystem(name: string, client: string, signal: AbortSignal): Promise<readonly string[]> {
    const release = await thread.take(client, signal);
    const answer = options.getaddrinfo(name);
    // The thread is taken until it has its answer, whoever still waits for it.
    answer.then(release, release);
    return await untilAborted(answer, signal);
  }
}

/** Without the file, or its line, Linux has files and DNS; macOS has services that no file names. */
function namesOtherSources(nsswitch: string, platform: NodeJS.Platform): boolean {
  const line = /^[ \t]*hosts:([^#\n]*)/m.exec(nsswitch)?.[1];
  if (line === undefined) return platform === "darwin";
  const sources = line.replace(/\[[^[\]]*\]/g, " ").split(/\s+/);
  return sources.some((source) => source !== "" && source !== "files" && source !== "dns");
}

/** Which family is tried first, by whether IPv6 leads anywhere from here (RFC 6724 §5, rule 1). */
function hasGlobalIpv6(): boolean {
  return Object.values(networkInterfaces()).some((addresses) =>
    (addresses ?? []).some(({ address }) => {
      const parsed = parseIpAddress(address);
      return parsed?.family === 6 && addressClass(parsed) === "global";
    }),
  );
}
