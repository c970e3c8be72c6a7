/** One download for all who ask for the same at the same time, where its answer is for all of them (download-proxy.md P70, P49). */

import { trimBlanks } from "../../../core/blanks.ts";
import { ClamgateError } from "../../../core/errors.ts";
import { type HeaderLines, listOf, valuesOf } from "../../../egress/header-lines.ts";
import { originOf } from "../../../egress/target.ts";
import { type DownloadParts, fetchObject, type Outcome, Progress, receive } from "../download.ts";
import type { DownloadRequest } from "../download-request.ts";
import type { DownloadSlots } from "./download-slots.ts";

export interface SharedDownloadsParts extends DownloadParts {
  readonly slots: DownloadSlots;
}

export interface SharedDownloads {
  /** Whoever comes until the outcome is known joins; whoever comes later begins anew. */
  join(request: DownloadRequest): Share;
}

/** One request's share in a download. */
export interface Share {
  /** Rejects with a ClamgateError; nothing is left then. */
  readonly outcome: Promise<Outcome>;
  readonly progress: Progress;
  /** Another request has begun it, as far as is known. */
  readonly isCollapsed: boolean;
  /** Once, when the client has its answer or has gone. The last one to leave ends the download and its body. */
  leave(): Promise<void>;
}

export function createSharedDownloads(parts: SharedDownloadsParts): SharedDownloads {
  /** No Map, for the reason that `ActiveSet` gives. */
  const joinable: Record<string, Running> = Object.create(null);

  return {
    join(request) {
      // Another source has a gate of its own. What one of them may have remembered is of no concern to the other.
      const key = `${request.keys.request} ${request.isCacheOn} ${request.source.id}`;
      const joined = joinable[key];
      // Of a follower's own download nobody else has a share: those who wait with it would be served one after the other.
      if (joined !== undefined) return new Follower(joined, () => new Running(request, parts, () => {}));
      const begun = new Running(request, parts, () => {
        if (joinable[key] === begun) delete joinable[key];
      });
      joinable[key] = begun;
      begun.enter();
      return begun;
    },
  };
}

/** A download, and the share of the request that began it. */
class Running implements Share {
  readonly outcome: Promise<Outcome>;
  readonly progress: Progress;
  readonly isCollapsed = false;
  readonly #request: DownloadRequest;
  readonly #parts: SharedDownloadsParts;
  /** Nobody may join any more. */
  readonly #onClosed: () => void;
  readonly #calledOff = new AbortController();
  #shares = 0;
  #isSettled = false;
  #settled: Outcome | null = null;
  #isForAll: boolean | null = null;
  readonly #whenHeadIsKnown: ((isForAll: boolean) => void)[] = [];

  constructor(request: DownloadRequest, parts: SharedDownloadsParts, onClosed: () => void) {
    this.#request = request;
    this.#parts = parts;
    this.#onClosed = onClosed;
    this.progress = new Progress(parts.clock());
    this.outcome = this.#run();
    this.outcome.then(
      (outcome) => this.#settle(outcome),
      () => this.#settle(null),
    );
  }

  /** Takes one more share. */
  enter(): void {
    this.#shares += 1;
  }

  async leave(): Promise<void> {
    this.#shares -= 1;
    if (this.#shares > 0) return;
    this.#onClosed();
    if (!this.#isSettled) {
      this.#calledOff.abort(new ClamgateError("client-gone", "Every client has gone"));
      await this.outcome.catch(() => {}); // called off
    }
    await this.#settled?.dispose();
  }

  /** Resolves with the head: false for an answer that is only for the request it was made for. True where there is none. */
  isForAll(): Promise<boolean> {
    return new Promise((resolve) => {
      if (this.#isForAll === null) this.#whenHeadIsKnown.push(resolve);
      else resolve(this.#isForAll);
    });
  }

  async #run(): Promise<Outcome> {
    const { slots, maxBytes } = this.#parts;
    const { signal } = this.#calledOff;
    const release = slots.takeDownload(originOf(this.#request.target));
    try {
      const response = await fetchObject(this.#request, "GET", maxBytes, signal);
      this.#decide(isShareable([...response.redirects, response.rawHeaders], this.#request.keys.isAuthorized));
      return await receive(this.#request, response, this.progress, signal, this.#parts);
    } finally {
      release();
    }
  }

  #decide(isForAll: boolean): void {
    if (this.#isForAll !== null) return;
    this.#isForAll = isForAll;
    if (!isForAll) this.#onClosed();
    for (const resolve of this.#whenHeadIsKnown) resolve(isForAll);
  }

  #settle(outcome: Outcome | null): void {
    this.#isSettled = true;
    this.#settled = outcome;
    this.#onClosed();
    // Where there was no answer, all get the same failure.
    this.#decide(true);
  }
}

const nothingYet = new Progress(0);

/** The share of a request that came later. Nothing of the other's answer is handed on before its head says that it may be. */
class Follower implements Share {
  readonly outcome: Promise<Outcome>;
  #joined: Running;
  #isCollapsed = true;
  #isChosen = false;
  #hasLeft = false;

  /** @param begin a download of its own, for an answer that is not for all. */
  constructor(joined: Running, begin: () => Running) {
    this.#joined = joined;
    joined.enter();
    this.outcome = this.#choose(begin);
    this.outcome.catch(() => {}); // for those who wait, if anybody still does
  }

  get progress(): Progress {
    return this.#isChosen ? this.#joined.progress : nothingYet;
  }

  get isCollapsed(): boolean {
    return this.#isCollapsed;
  }

  leave(): Promise<void> {
    this.#hasLeft = true;
    return this.#joined.leave();
  }

  async #choose(begin: () => Running): Promise<Outcome> {
    if (!(await this.#joined.isForAll()) && !this.#hasLeft) {
      const left = this.#joined;
      this.#joined = begin();
      this.#joined.enter();
      this.#isCollapsed = false;
      void left.leave();
    }
    this.#isChosen = true;
    return await this.#joined.outcome;
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
