/** How many downloads there may be at once: over all, from one origin, for one client (download-proxy.md P72). */

import { ClamgateError } from "../../core/errors.ts";

/** 0: no limit. */
export interface SlotLimits {
  readonly total: number;
  readonly perOrigin: number;
  /** Requests, collapsed or not. Behind a web server all requests are one client's. */
  readonly perClient: number;
}

/** To be called once. */
export type Release = () => void;

export interface DownloadSlots {
  /** @throws ClamgateError `queue-full` */
  takeDownload(origin: string): Release;
  /** @throws ClamgateError `queue-full` */
  takeClient(address: string): Release;
}

export function createDownloadSlots({ total, perOrigin, perClient }: SlotLimits): DownloadSlots {
  const all = new Map<"all", number>();
  const origins = new Map<string, number>();
  const clients = new Map<string, number>();
  return {
    takeDownload(origin) {
      const releaseTotal = take(all, "all", total, "Too many downloads at once");
      try {
        const releaseOrigin = take(origins, origin, perOrigin, "Too many downloads from this origin at once");
        return () => {
          releaseOrigin();
          releaseTotal();
        };
      } catch (error) {
        releaseTotal();
        throw error;
      }
    },
    takeClient: (address) => take(clients, address, perClient, "Too many downloads for this client at once"),
  };
}

function take<K>(taken: Map<K, number>, key: K, limit: number, message: string): Release {
  const count = taken.get(key) ?? 0;
  if (limit > 0 && count >= limit) throw new ClamgateError("queue-full", message);
  taken.set(key, count + 1);
  return () => {
    const left = (taken.get(key) ?? 1) - 1;
    if (left === 0) taken.delete(key);
    else taken.set(key, left);
  };
}
