/** The addresses behind a name: asked once for a while, within a time, with an end to how many there may be (download-proxy.md P24, S18, S22). */

import { lookup } from "node:dns/promises";
import type { Clock } from "../../core/ports.ts";
import { tookTooLong, unreachable } from "./refusal.ts";

/** All A and AAAA records of a name, in the order to try them. Rejects when there are none. */
export type Resolve = (name: string) => Promise<readonly string[]>;

export interface NameLookupOptions {
  readonly resolve: Resolve;
  readonly timeoutMs: number;
  /** How long an answer stands. At most 30 s, whatever the records say (S22): an address that was checked is dialled, not asked for again. */
  readonly ttlMs: number;
  readonly maxEntries: number;
  readonly clock: Clock;
}

/** Rejects with `upstream-failed`, `upstream-timeout`, or the signal's reason. Failures are not remembered. */
export type NameLookup = (name: string, signal: AbortSignal) => Promise<readonly string[]>;

/** As the machine resolves names, its hosts file included. A question in the thread pool cannot be called off, only no longer waited for. */
export async function systemResolve(name: string): Promise<readonly string[]> {
  const found = await lookup(name, { all: true, order: "verbatim" });
  return found.map(({ address }) => address);
}

const maxTtlMs = 30_000;
/** A name with more is no honest download host; each of them would have to be checked on each request. */
const maxAddresses = 256;

export function createNameLookup({ resolve, timeoutMs, ttlMs, maxEntries, clock }: NameLookupOptions): NameLookup {
  const answers = new Map<string, { readonly addresses: Promise<readonly string[]>; expiresAt: number }>();
  return (name, signal) => within(timeoutMs, signal, ask(name));

  function ask(name: string): Promise<readonly string[]> {
    const known = answers.get(name);
    if (known !== undefined && clock() < known.expiresAt) return known.addresses;
    const addresses = resolve(name).then(bounded);
    // Whoever comes while it is asked shares the question, but not one that may never be answered.
    const entry = { addresses, expiresAt: clock() + timeoutMs };
    answers.delete(name);
    answers.set(name, entry);
    for (const oldest of answers.keys()) {
      if (answers.size <= maxEntries) break;
      answers.delete(oldest);
    }
    addresses.then(
      () => {
        entry.expiresAt = clock() + Math.min(ttlMs, maxTtlMs);
      },
      () => {
        if (answers.get(name) === entry) answers.delete(name);
      },
    );
    return addresses;
  }
}

function bounded(addresses: readonly string[]): readonly string[] {
  if (addresses.length === 0) throw new Error("the name has no address");
  if (addresses.length > maxAddresses) throw new Error(`the name has ${addresses.length} addresses`);
  return addresses;
}

function within<T>(timeoutMs: number, signal: AbortSignal, promise: Promise<T>): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise((fulfil, reject) => {
    const timer = setTimeout(() => end(() => reject(tookTooLong("Looking up the origin's name took too long"))), timeoutMs);
    const onAbort = () => end(() => reject(signal.reason));
    const end = (settle: () => void) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      settle();
    };
    signal.addEventListener("abort", onAbort);
    promise.then(
      (value) => end(() => fulfil(value)),
      (error: unknown) => end(() => reject(unreachable(error, { isTransient: isTemporary(error) }))),
    );
  });
}

/** A name that does not exist will not exist in a moment either. */
function isTemporary(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EAI_AGAIN";
}
