/** One download for all who ask for the same at the same time, where its answer is for all of them (download-proxy.md P70, P49). */

import { trimBlanks } from "../../../core/blanks.ts";
import { ClamgateError } from "../../../core/errors.ts";
import { type HeaderLines, listOf, valuesOf } from "../../../egress/header-lines.ts";
import type { Download, Progress } from "../download.ts";

export interface SharedDownload extends Download {
  /** Resolves with the head: false for an answer that is only for the request it was made for. True where there is none. Never rejects. */
  readonly isForAll: Promise<boolean>;
}

/** One request's share. Disposed when its client has its answer or has gone; the last one to go ends the download and its body. */
export interface Ticket extends AsyncDisposable {
  /** The one that another request had begun, or one of its own where the head of that one is not for all. */
  readonly download: Download;
  /** Another request had begun it, as far as is known. */
  isCollapsed(): boolean;
}

export interface SharedDownloads {
  /**
   * Whoever comes until the outcome is known joins; whoever comes later begins anew.
   * @param start its signal aborts when nobody waits any more.
   */
  join(key: string, start: Start): Ticket;
}

type Start = (signal: AbortSignal) => SharedDownload;

interface Running {
  readonly download: SharedDownload;
  readonly calledOff: AbortController;
  tickets: number;
  isSettled: boolean;
}

const nothingYet: Progress = { head: null, receivedBytes: 0, prefix: new Uint8Array() };

export function createSharedDownloads(): SharedDownloads {
  /** No Map, for the reason that `ActiveSet` gives. */
  const joinable: Record<string, Running> = Object.create(null);

  return {
    join(key, start) {
      const known = joinable[key];
      return known === undefined ? lead(key, start) : follow(key, known, start);
    },
  };

  function lead(key: string, start: Start): Ticket {
    const begun = begin(start);
    joinable[key] = begun;
    const close = () => forget(key, begun);
    begun.download.outcome.then(close, close);
    begun.download.isForAll.then((isForAll) => isForAll || close());
    return { download: begun.download, isCollapsed: () => false, [Symbol.asyncDispose]: hold(begun, close) };
  }

  /** Nothing of the other's answer is handed on before its head says that it may be. */
  function follow(key: string, joined: Running, start: Start): Ticket {
    let leave = hold(joined, () => forget(key, joined));
    let chosen: Download | null = null;
    let hasLeft = false;
    const outcome = joined.download.isForAll.then((isForAll) => {
      if (isForAll || hasLeft) {
        chosen = joined.download;
        return chosen.outcome;
      }
      // Not joined by anybody: those who wait with this one would else be served one after the other.
      const own = begin(start);
      void leave();
      leave = hold(own, () => {});
      chosen = own.download;
      return chosen.outcome;
    });
    outcome.catch(() => {}); // heard by those who wait, if anybody still does
    return {
      download: { outcome, progress: () => chosen?.progress() ?? nothingYet },
      isCollapsed: () => chosen === null || chosen === joined.download,
      async [Symbol.asyncDispose]() {
        hasLeft = true;
        await leave();
      },
    };
  }

  function forget(key: string, which: Running): void {
    if (joinable[key] === which) delete joinable[key];
  }
}

function begin(start: Start): Running {
  const calledOff = new AbortController();
  const begun: Running = { download: start(calledOff.signal), calledOff, tickets: 0, isSettled: false };
  const settle = () => {
    begun.isSettled = true;
  };
  begun.download.outcome.then(settle, settle);
  return begun;
}

/** Takes a share, and returns what gives it back. */
function hold(running: Running, onLast: () => void): () => Promise<void> {
  running.tickets += 1;
  let isHeld = true;
  return async () => {
    if (!isHeld) return;
    isHeld = false;
    running.tickets -= 1;
    if (running.tickets > 0) return;
    onLast();
    if (!running.isSettled) running.calledOff.abort(new ClamgateError("client-gone", "Every client has gone"));
    await release(running.download);
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

/**
 * Of requests that are equal in all that the origin is told, so that a Vary on fields can tell none of them from another. An answer that is
 * to be validated before it is used again (`no-cache`) is as new as any: whoever shares it had asked before its head came.
 * @param heads of the answer, and of the redirects that led to it: a ticket may be handed out by any of them.
 * @param isAuthorized the requests have the same credentials, which is no word on what their clients may share.
 */
export function isShareable(heads: readonly HeaderLines[], isAuthorized: boolean): boolean {
  return heads.every((lines) => {
    const said = [...listOf(lines, "cache-control"), ...listOf(lines, "vary")];
    // Some take off a no-break space and find a word there.
    if (said.some((element) => /[^\t\x20-\x7e]/.test(element))) return false;
    const directives = new Set(listOf(lines, "cache-control").map(nameOf));
    const isOpen = ["public", "must-revalidate", "s-maxage"].some((name) => directives.has(name));
    if (isAuthorized && !isOpen) return false;
    if (directives.has("no-store") || directives.has("private")) return false;
    return !listOf(lines, "vary").includes("*") && valuesOf(lines, "set-cookie").length === 0;
  });
}

function nameOf(directive: string): string {
  const [name = ""] = directive.split("=", 1);
  return trimBlanks(name).toLowerCase();
}
