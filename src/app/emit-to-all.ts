/** Several observers behind one `Observe`. */

import type { Observe } from "../core/events.ts";

/** Tells every observer each fact, in order. What one of them throws reaches neither the others nor whoever reported the fact. */
export function observeAll(...observers: readonly Observe[]): Observe {
  return (fact) => {
    for (const observe of observers) {
      try {
        observe(fact);
      } catch {
        // An observer is told about scans and never decides one; the log itself may be what failed, so there is nobody to tell.
      }
    }
  };
}
