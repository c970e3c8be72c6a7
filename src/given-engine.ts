/** The engine's side when clamd servers are given: found by their addresses, proved by EICAR. */

import { setTimeout as delay } from "node:timers/promises";
import type { Config } from "./config/settings.ts";
import type { Observe } from "./core/ports.ts";
import { describeAddress } from "./engine/address.ts";
import { type BackendOptions, createBackend } from "./engine/backend.ts";
import { type Discovery, discoverBackends } from "./engine/discovery.ts";
import type { EnginePool } from "./engine/pool.ts";
import type { EngineSide } from "./engine-side.ts";
import { createSystemNames, thisSystem } from "./names/system-names.ts";

export interface GivenEngineOptions {
  readonly addresses: NonNullable<Config["CLAMD_PORT"]>;
  readonly backend: Omit<BackendOptions, "name" | "address" | "onChange">;
  readonly pool: EnginePool;
  /** MAX_RECONNECT_TIME. */
  readonly attempts: number;
  readonly observe: Observe;
}

/** As clamav-rest: rest.md 69. */
const attemptMs = 4_000;
const lookupMs = 5_000;
const refreshMs = 30_000;
const pollMs = 100;

export function givenEngine({ addresses, backend, pool, attempts, observe }: GivenEngineOptions): EngineSide {
  const stopped = new AbortController();
  const names = createSystemNames(thisSystem());
  let discovery: Discovery | null = null;

  return {
    async start() {
      discovery = discoverBackends({
        addresses,
        pool,
        createBackend: (address) =>
          createBackend({ ...backend, address, name: describeAddress(address), onChange: () => pool.dispatch() }),
        lookup: (host, signal) => names(host, "the gateway itself", signal),
        timeoutMs: lookupMs,
        intervalMs: refreshMs,
        observe,
      });
      const deadline = performance.now() + Math.max(1, attempts) * attemptMs;
      while (pool.version() === null && !stopped.signal.aborted) {
        // Those that take connections and are late with their proof have more to do than they can: they will come to it.
        const isBusy = pool.status().backends.some((one) => one.isBusy);
        if (performance.now() >= deadline && !isBusy) {
          throw new Error(`CLAMD_PORT: no clamd has answered in ${attempts} attempts (MAX_RECONNECT_TIME)`);
        }
        await delay(pollMs, undefined, { signal: stopped.signal }).catch(() => {}); // stopped
      }
    },
    async reload() {
      await discovery?.refresh();
    },
    async stop() {
      stopped.abort();
      discovery?.close();
    },
    kill: () => stopped.abort(),
    signatures() {
      const version = pool.version();
      return {
        isLoaded: version !== null,
        isTestOnly: false,
        builtAt: version?.databaseTime ?? null,
        keptOut: [], // their directory is theirs
        description: version === null ? "no clamd has answered yet" : `those of the given clamd servers (${version.database})`,
      };
    },
    expectedBackends: () => pool.status().backends.length,
    updateTimes: {
      success: async () => Math.floor((pool.version()?.databaseTime?.getTime() ?? 0) / 1000),
      attempt: async () => 0, // their freshclam is theirs
    },
  };
}
