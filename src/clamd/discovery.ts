/** Which backends there are: a name with several addresses is several clamd servers, and its records may change. */

import { isIP } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { messageOf } from "../core/errors.ts";
import type { Emit } from "../core/events.ts";
import { untilAborted } from "../core/until-aborted.ts";
import type { Backend } from "./backend.ts";
import { type ClamdAddress, describeAddress } from "./connection.ts";
import type { EnginePool } from "./pool.ts";

export interface DiscoveryOptions {
  readonly addresses: readonly ClamdAddress[];
  readonly pool: EnginePool;
  readonly createBackend: (address: ClamdAddress) => Backend;
  /** All addresses of a name. The signal calls it off. */
  readonly lookup: (host: string, signal: AbortSignal) => Promise<readonly string[]>;
  /** Of one lookup. */
  readonly timeoutMs: number;
  readonly intervalMs: number;
  readonly emit: Emit;
}

export interface Discovery {
  /** Looks all names up now. */
  refresh(): Promise<void>;
  close(): void;
}

/** Keeps the pool's backends equal to what the names resolve to. A name that fails to resolve keeps the backends it had. */
export function discoverBackends(options: DiscoveryOptions): Discovery {
  const { addresses, pool, timeoutMs, emit } = options;
  const closed = new AbortController();
  const known = new Map<string, Backend>();
  const answers = new Map<string, readonly ClamdAddress[]>();

  /** Each name by itself: one that nobody answers for keeps none of the others waiting. */
  async function refresh(address: ClamdAddress): Promise<void> {
    if (address.kind === "unix" || isIP(address.host) !== 0) return apply(address, [address]);
    try {
      const hosts = await lookup(address.host);
      if (hosts.length === 0) throw new Error("it has no address");
      apply(
        address,
        hosts.map((host): ClamdAddress => ({ ...address, host })),
      );
    } catch (error) {
      if (closed.signal.aborted) return;
      const reason = messageOf(error);
      emit({ kind: "notice", level: "warn", message: `CLAMD_PORT: ${address.host} was not resolved: ${reason}` });
    }
  }

  async function lookup(host: string): Promise<readonly string[]> {
    const ending = new AbortController();
    const onClose = () => ending.abort(closed.signal.reason);
    closed.signal.addEventListener("abort", onClose);
    const timer = setTimeout(() => ending.abort(new Error(`no answer in ${timeoutMs / 1000} s`)), timeoutMs);
    try {
      return await untilAborted(options.lookup(host, ending.signal), ending.signal);
    } finally {
      clearTimeout(timer);
      closed.signal.removeEventListener("abort", onClose);
    }
  }

  function apply(address: ClamdAddress, found: readonly ClamdAddress[]): void {
    if (closed.signal.aborted) return;
    answers.set(describeAddress(address), found);
    const wanted = new Map([...answers.values()].flat().map((one) => [describeAddress(one), one]));
    for (const [key, backend] of known) {
      if (wanted.has(key)) continue;
      known.delete(key);
      pool.remove(backend);
    }
    for (const [key, one] of wanted) {
      if (known.has(key)) continue;
      const backend = options.createBackend(one);
      known.set(key, backend);
      pool.add(backend);
    }
  }

  async function refreshAll(): Promise<void> {
    await Promise.all(addresses.map(refresh));
  }

  async function watch(): Promise<void> {
    while (!closed.signal.aborted) {
      await refreshAll();
      await delay(options.intervalMs, undefined, { signal: closed.signal, ref: false }).catch(() => {}); // closed
    }
  }

  void watch();
  return { refresh: refreshAll, close: () => closed.abort() };
}
