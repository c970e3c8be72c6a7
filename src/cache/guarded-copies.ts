/** Given copies in a store that may be away, with this process's own memory beside it: what either of them knows counts. */

import type { GivenCopies } from "../core/ports.ts";
import { bothKnown } from "./given-record.ts";
import { Guard, type GuardOptions } from "./guard.ts";

export interface GuardedCopiesOptions extends GuardOptions {
  /** Closed with the guard. May reject. */
  readonly store: GivenCopies;
  /** What was given while the store was away is known here alone. */
  readonly own: GivenCopies;
}

export function guardedCopies({ store, own, ...options }: GuardedCopiesOptions): GivenCopies {
  const guard = new Guard(options);
  return {
    async give(address, copy) {
      const here = await own.give(address, copy);
      const there = await guard.attempt("set", () => store.give(address, copy));
      // Own memory is small: what it has forgotten, the store knows.
      return there === null || here === null ? there : bothKnown(here, there);
    },
    health: () => guard.health(store.health?.()),
    async close() {
      await Promise.all([own.close(), guard.close(() => store.close())]);
    },
  };
}
