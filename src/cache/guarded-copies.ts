/** Given copies in a store that may be away, with this process's own memory beside it: what either of them knows counts. */

import { LRUCache } from "lru-cache";
import { type GivenCopies, givenAgainSeconds, givenSeconds } from "../core/given-copies.ts";
import { bothKnown, lineOf } from "./given-record.ts";
import { Guard, type GuardOptions } from "./guard.ts";

export interface GuardedCopiesOptions extends GuardOptions {
  /** Closed with the guard. May reject. */
  readonly store: GivenCopies;
  /** What was given while the store was away is known here alone. */
  readonly own: GivenCopies;
}

/** Addresses; each takes some 300 bytes. */
const maxTold = 10_000;

export function guardedCopies({ store, own, ...options }: GuardedCopiesOptions): GivenCopies {
  const guard = new Guard(options);
  /** What the store was last told of an address, and when. */
  const told = new LRUCache<string, { readonly line: string; readonly at: number }>({ max: maxTold });
  /** Until then there may be copies that the store was not told of, and of which own memory, being small, knows no more. */
  let untoldUntil = Number.NEGATIVE_INFINITY;

  function isTold(address: string, line: string): boolean {
    const last = told.get(address);
    return last?.line === line && options.clock() - last.at < givenAgainSeconds * 1000;
  }

  return {
    async give(address, copy, isWhole = false) {
      const line = lineOf(copy);
      if (isWhole && isTold(address, line)) return null;
      const here = await own.give(address, copy);
      const answer = await guard.attempt("set", async () => ({ known: await store.give(address, copy) }));
      const there = answer?.known ?? null;
      if (there !== null) told.set(address, { line, at: options.clock() });
      // A store that is well and does not know has been told, all the same.
      else if (answer === null || store.health?.() === "degraded") untoldUntil = options.clock() + givenSeconds * 1000;
      if (here === null && options.clock() < untoldUntil) return null;
      return there === null || here === null ? there : bothKnown(here, there);
    },
    health: () => guard.health(store.health?.()),
    async close() {
      await Promise.all([own.close(), guard.close(() => store.close())]);
    },
  };
}
