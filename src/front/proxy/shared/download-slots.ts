/** How many downloads there may be at once: over all, from one origin, for one client (download-proxy.md P72). */

import { ClamgateError } from "../../../core/errors.ts";

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
  /**
   * For a download that lasts for as long as its client takes: null where these have half of the places already, over all or of the origin,
   * so that slow clients leave the other half to downloads that end with the origin and the scan.
   * @throws ClamgateError `queue-full`
   */
  takeStream(origin: string): Release | null;
  /** @throws ClamgateError `queue-full` */
  takeClient(address: string): Release;
}

export function createDownloadSlots({ total, perOrigin, perClient }: SlotLimits): DownloadSlots {
  const downloads = createPlaces(limitOf(total), limitOf(perOrigin));
  const streams = createPlaces(Math.floor(limitOf(total) / 2), Math.floor(limitOf(perOrigin) / 2));
  const clients = new Map<string, number>();
  return {
    takeDownload: (origin) => downloads.take(origin),
    takeStream(origin) {
      if (!streams.isRoom(origin)) return null;
      const releaseDownload = downloads.take(origin);
      const releaseStream = streams.take(origin);
      return () => {
        releaseStream();
        releaseDownload();
      };
    },
    takeClient: (address) => take(clients, address, limitOf(perClient), "Too many downloads for this client at once"),
  };
}

interface Places {
  isRoom(origin: string): boolean;
  /** @throws ClamgateError `queue-full` */
  take(origin: string): Release;
}

function createPlaces(total: number, perOrigin: number): Places {
  const all = new Map<"all", number>();
  const origins = new Map<string, number>();
  return {
    isRoom: (origin) => (all.get("all") ?? 0) < total && (origins.get(origin) ?? 0) < perOrigin,
    take(origin) {
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
  };
}

function limitOf(setting: number): number {
  return setting === 0 ? Number.POSITIVE_INFINITY : setting;
}

function take<K>(taken: Map<K, number>, key: K, limit: number, message: string): Release {
  const count = taken.get(key) ?? 0;
  if (count >= limit) throw new ClamgateError("queue-full", message);
  taken.set(key, count + 1);
  return () => {
    const left = (taken.get(key) ?? 1) - 1;
    if (left === 0) taken.delete(key);
    else taken.set(key, left);
  };
}
