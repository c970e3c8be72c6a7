/** Which backends there are: a name with several addresses is several clamd servers, and its records may change. */

import { isIP } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Observe } from "../core/ports.ts";
import { type ClamdAddress, describeAddress } from "./address.ts";
import type { Backend } from "./backend.ts";
import type { EnginePool } from "./pool.ts";

export interface DiscoveryOptions {
  readonly addresses: readonly ClamdAddress[];
  readonly pool: EnginePool;
  readonly createBackend: (address: ClamdAddress) => Backend;
  /** All addresses of a name, as `dns.lookup` with `all`. */
  readonly lookup: (host: string) => Promise<readonly string[]>;
  readonly intervalMs: number;
  readonly observe: Observe;
}

/** Keeps the pool's backends equal to what the names resolve to. A name that fails to resolve keeps the backends it had. */
export function discoverBackends(options: DiscoveryOptions): { close(): void } {
  const { addresses, pool, observe } = options;
  const closed = new AbortController();
  const known = new Map<string, Backend>();
  const lastAnswer = new Map<string, readonly ClamdAddress[]>();

  async function expand(address: ClamdAddress): Promise<readonly ClamdAddress[]> {
    if (address.kind === "unix" || isIP(address.host) !== 0) return [address];
    const key = describeAddress(address);
    try {
      const hosts = await options.lookup(address.host);
      if (hosts.length === 0) throw new Error("it has no address");
      const found = hosts.map((host): ClamdAddress => ({ ...address, host }));
      lastAnswer.set(key, found);
      return found;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      observe({ kind: "notice", level: "warn", message: `CLAMD_PORT: ${address.host} was not resolved: ${reason}` });
      return lastAnswer.get(key) ?? [];
    }
  }

  async function refresh(): Promise<void> {
    const found = new Map<string, ClamdAddress>();
    for (const list of await Promise.all(addresses.map(expand))) {
      for (const address of list) found.set(describeAddress(address), address);
    }
    if (closed.signal.aborted) return;
    for (const [key, backend] of known) {
      if (found.has(key)) continue;
      known.delete(key);
      pool.remove(backend);
    }
    for (const [key, address] of found) {
      if (known.has(key)) continue;
      const backend = options.createBackend(address);
      known.set(key, backend);
      pool.add(backend);
    }
  }

  async function watch(): Promise<void> {
    while (!closed.signal.aborted) {
      await refresh();
      await delay(options.intervalMs, undefined, { signal: closed.signal, ref: false }).catch(() => {}); // closed
    }
  }

  void watch();
  return { close: () => closed.abort() };
}
