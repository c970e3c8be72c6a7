/** Places that clients share: each takes a small part of what is free, and those who wait take turns client by client. */

import { ClamgateError } from "./errors.ts";

export interface FairPlacesOptions {
  readonly places: number;
  /** How many of one client may wait. */
  readonly maxWaiting: number;
}

export interface FairPlaces {
  /** Resolves with what gives the place back, to be called once. Rejects with `queue-full`, or with the signal's reason. */
  take(client: string, signal: AbortSignal): Promise<() => void>;
}

/** In the order in which they came. */
type Line = Set<() => void>;

/**
 * A client with none takes any free place; one that has some takes another while it has less than this part of the free ones. A fixed bound
 * must be small, or a few clients take everything. This one gives a lone client a ninth of all, and leaves room after forty that take what
 * they can get.
 */
const shareOfFree = 1 / 8;

export function createFairPlaces({ places, maxWaiting }: FairPlacesOptions): FairPlaces {
  const taken = new Map<string, number>();
  const lines = new Map<string, Line>();
  let free = places;

  function hasRoom(client: string): boolean {
    return (taken.get(client) ?? 0) < free * shareOfFree;
  }

  function occupy(client: string): () => void {
    free -= 1;
    taken.set(client, (taken.get(client) ?? 0) + 1);
    return () => {
      free += 1;
      const left = (taken.get(client) ?? 1) - 1;
      if (left === 0) taken.delete(client);
      else taken.set(client, left);
      admit();
    };
  }

  /** As many as there is room for. Clients without room have places, so there are no more of them than places. */
  function admit(): void {
    let hasAdmitted = true;
    while (free > 0 && hasAdmitted) {
      hasAdmitted = false;
      for (const [client, line] of lines) {
        const [first] = line;
        if (first === undefined || !hasRoom(client)) continue;
        // Its next turn comes behind everybody else's.
        lines.delete(client);
        line.delete(first);
        if (line.size > 0) lines.set(client, line);
        first();
        hasAdmitted = true;
        break;
      }
    }
  }

  return {
    take(client, signal) {
      if (signal.aborted) return Promise.reject(signal.reason);
      if (hasRoom(client)) return Promise.resolve(occupy(client));
      const line: Line = lines.get(client) ?? new Set();
      if (line.size >= maxWaiting)
        return Promise.reject(new ClamgateError("queue-full", "Too many requests of this client wait"));
      lines.set(client, line);
      return new Promise((resolve, reject) => {
        const admitted = () => {
          signal.removeEventListener("abort", onAbort);
          resolve(occupy(client));
        };
        const onAbort = () => {
          line.delete(admitted);
          if (line.size === 0 && lines.get(client) === line) lines.delete(client);
          reject(signal.reason);
        };
        signal.addEventListener("abort", onAbort, { once: true });
        line.add(admitted);
      });
    },
  };
}
