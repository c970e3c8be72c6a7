/** Several listeners behind one `Emit`. */

import type { Emit } from "../core/events.ts";

/** Tells every listener each event, in order. What one of them throws reaches neither the others nor whoever reported the event. */
export function emitToAll(...listeners: readonly Emit[]): Emit {
  return (event) => {
    for (const emit of listeners) {
      try {
        emit(event);
      } catch {
        // An listener is told about scans and never decides one; the log itself may be what failed, so there is nobody to tell.
      }
    }
  };
}
