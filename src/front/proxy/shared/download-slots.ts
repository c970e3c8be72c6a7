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
  const downloads = new Slots(limitOf(total), "Too many downloads at once");
  const ofOrigin = new Slots(limitOf(perOrigin), "Too many downloads from this origin at once");
  const streams = new Slots(Math.floor(limitOf(total) / 2), "");
  const streamsOfOrigin = new Slots(Math.floor(limitOf(perOrigin) / 2), "");
  const clients = new Slots(limitOf(perClient), "Too many downloads for this client at once");

  function takeDownload(origin: string): Release {
    downloads.check("");
    ofOrigin.check(origin);
    return both(downloads.take(""), ofOrigin.take(origin));
  }

  return {
    takeDownload,
    takeStream(origin) {
      if (!streams.hasRoom("") || !streamsOfOrigin.hasRoom(origin)) return null;
      return both(takeDownload(origin), both(streams.take(""), streamsOfOrigin.take(origin)));
    },
    takeClient(address) {
      clients.check(address);
      return clients.take(address);
    },
  };
}

function both(one: Release, other: Release): Release {
  return () => {
    one();
    other();
  };
}

/** How many of each key there are. */
class Slots {
  readonly #limit: number;
  readonly #message: string;
  /** No Map, for the reason that `ActiveSet` gives. */
  readonly #taken: Record<string, number> = Object.create(null);

  constructor(limit: number, message: string) {
    this.#limit = limit;
    this.#message = message;
  }

  hasRoom(key: string): boolean {
    return (this.#taken[key] ?? 0) < this.#limit;
  }

  /** @throws ClamgateError `queue-full` */
  check(key: string): void {
    if (!this.hasRoom(key)) throw new ClamgateError("queue-full", this.#message);
  }

  take(key: string): Release {
    this.#taken[key] = (this.#taken[key] ?? 0) + 1;
    return () => {
      const left = (this.#taken[key] ?? 1) - 1;
      if (left === 0) delete this.#taken[key];
      else this.#taken[key] = left;
    };
  }
}

function limitOf(setting: number): number {
  return setting === 0 ? Number.POSITIVE_INFINITY : setting;
}
