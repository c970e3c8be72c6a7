/** One download for all who ask for the same at the same time (download-proxy.md P70, P49). */

import { ClamgateError } from "../../core/errors.ts";
import type { Download } from "./download.ts";

/** One request's share. Disposed when its client has its answer or has gone; the last one to go ends the download and its body. */
export interface Ticket extends AsyncDisposable {
  readonly download: Download;
  /** Another request had begun it. */
  readonly isCollapsed: boolean;
}

export interface SharedDownloads {
  /**
   * Whoever comes until the outcome is known joins; whoever comes later begins anew.
   * @param start its signal aborts when nobody waits any more.
   */
  join(key: string, start: (signal: AbortSignal) => Download): Ticket;
}

interface Running {
  readonly download: Download;
  readonly calledOff: AbortController;
  tickets: number;
  isSettled: boolean;
}

export function createSharedDownloads(): SharedDownloads {
  /** No Map, for the reason that `Roster` gives. */
  const running: Record<string, Running> = Object.create(null);

  function begin(key: string, start: (signal: AbortSignal) => Download): Running {
    const calledOff = new AbortController();
    const begun: Running = { download: start(calledOff.signal), calledOff, tickets: 0, isSettled: false };
    running[key] = begun;
    const settle = () => {
      begun.isSettled = true;
      forgetOne(key, begun);
    };
    begun.download.outcome.then(settle, settle);
    return begun;
  }

  function forgetOne(key: string, which: Running): void {
    if (running[key] === which) delete running[key];
  }

  return {
    join(key, start) {
      const known = running[key];
      const joined = known ?? begin(key, start);
      joined.tickets += 1;
      let isHeld = true;
      return {
        download: joined.download,
        isCollapsed: known !== undefined,
        async [Symbol.asyncDispose]() {
          if (!isHeld) return;
          isHeld = false;
          joined.tickets -= 1;
          if (joined.tickets > 0) return;
          forgetOne(key, joined);
          if (!joined.isSettled) joined.calledOff.abort(new ClamgateError("client-gone", "Every client has gone"));
          await release(joined.download);
        },
      };
    },
  };
}

async function release({ outcome }: Download): Promise<void> {
  try {
    const known = await outcome;
    await known[Symbol.asyncDispose]();
  } catch {
    // it has failed, or been called off: there is nothing to release
  }
}
