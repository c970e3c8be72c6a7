/** The addresses behind a name: asked once for a while, within a time, in fair turns, with an end to how many there may be (download-proxy.md P24, S18, S22). */

import type { Clock } from "../core/clock.ts";
import { systemCodeOf } from "../core/errors.ts";
import { createFairPlaces } from "../core/queues/fair-queue.ts";
import { untilAborted } from "../core/until-aborted.ts";
import { tookTooLong, UpstreamError, unreachable } from "./refusal.ts";

/**
 * All A and AAAA records of a name, in the order to try them. Rejects when there are none; the signal calls the question off.
 * @param client in whose turn it is asked, whoever shares the answer.
 */
export type Resolve = (name: string, client: string, signal: AbortSignal) => Promise<readonly string[]>;

export interface NameLookupOptions {
  readonly resolve: Resolve;
  /** Of one lookup, its wait for a turn included. */
  readonly timeoutMs: number;
  /** How long an answer stands. At most 30 s, whatever the records say (S22): an address that was checked is dialled, not asked for again. */
  readonly ttlMs: number;
  /** How much longer it does while there is no new one, */
  readonly staleMs: number;
  /** and how long the new one is waited for first. */
  readonly freshWaitMs: number;
  readonly maxEntries: number;
  /** Names that are asked for at once; see `createFairPlaces` for these two. */
  readonly places: number;
  readonly maxWaiting: number;
  readonly clock: Clock;
}

/**
 * At once where the addresses are known. Rejects with `upstream-failed`, `upstream-timeout`, `queue-full`, or the signal's reason. Failures
 * are not remembered.
 * @param client whose turn it is.
 */
export type NameLookup = (name: string, client: string, signal: AbortSignal) => readonly string[] | Promise<readonly string[]>;

interface Answer {
  readonly addresses: readonly string[];
  readonly at: number;
  /** Until then it needs no new one. */
  freshUntil: number;
}

/** One that is being asked, for all who want to know. */
interface Question {
  readonly addresses: Promise<readonly string[]>;
  readonly end: (reason: unknown) => void;
  askers: number;
}

const maxTtlMs = 30_000;
/** A new answer that was waited for in vain is not waited for again by who comes right after: a download asks twice. */
const staleAgainMs = 1000;
/** A name with more is no honest download host; each of them would have to be checked on each request. */
const maxAddresses = 256;

export function createNameLookup(options: NameLookupOptions): NameLookup {
  const { resolve, timeoutMs, freshWaitMs, maxEntries, clock } = options;
  const ttlMs = Math.min(options.ttlMs, maxTtlMs);
  const places = createFairPlaces(options);
  const answers = new Map<string, Answer>();
  const questions = new Map<string, Question>();

  return (name, client, signal) => {
    const known = answers.get(name);
    if (known !== undefined && clock() < known.freshUntil) return known.addresses;
    if (known !== undefined && clock() - known.at < ttlMs + options.staleMs) return foundUnlessSlow(name, client, signal, known);
    return find(name, client, signal);
  };

  /** RFC 8767 §5. That the name is not there is an answer too. */
  async function foundUnlessSlow(name: string, client: string, signal: AbortSignal, stale: Answer) {
    const slow = Promise.withResolvers<readonly string[]>();
    const timer = setTimeout(() => slow.resolve(staleAgain()), freshWaitMs);
    try {
      // It is asked to the end: the next one who comes shall find a fresh answer.
      return await Promise.race([find(name, client, signal), slow.promise]);
    } catch (error) {
      signal.throwIfAborted();
      if (isFinal(error)) throw error;
      return staleAgain();
    } finally {
      clearTimeout(timer);
    }

    function staleAgain(): readonly string[] {
      stale.freshUntil = Math.min(clock() + staleAgainMs, stale.at + ttlMs + options.staleMs);
      return stale.addresses;
    }
  }

  async function find(name: string, client: string, signal: AbortSignal): Promise<readonly string[]> {
    signal.throwIfAborted();
    const wanted = new AbortController();
    const onAbort = () => wanted.abort(signal.reason);
    signal.addEventListener("abort", onAbort);
    const timer = setTimeout(() => wanted.abort(tookTooLong("Looking up the origin's name took too long")), timeoutMs);
    try {
      const running = questions.get(name);
      if (running !== undefined) return await shared(running, wanted.signal);
      // A wait is nothing to share: a name that stands in another client's long line is asked for in this client's turn.
      const release = await places.take(client, wanted.signal);
      // Somebody else may have asked meanwhile, or even have been answered.
      const known = answers.get(name);
      const isKnown = known !== undefined && clock() - known.at < ttlMs;
      const other = questions.get(name);
      if (isKnown || other !== undefined) release();
      if (isKnown) return known.addresses;
      return await shared(other ?? ask(name, client, release), wanted.signal);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    }
  }

  async function shared(question: Question, signal: AbortSignal): Promise<readonly string[]> {
    question.askers += 1;
    try {
      return await untilAborted(question.addresses, signal);
    } finally {
      question.askers -= 1;
      if (question.askers === 0) question.end(new Error("nobody waits for it any more"));
    }
  }

  function ask(name: string, client: string, release: () => void): Question {
    const calledOff = new AbortController();
    const end = (reason: unknown) => {
      if (questions.get(name) !== question) return;
      questions.delete(name);
      clearTimeout(timer);
      calledOff.abort(reason);
    };
    // Those who come later share it, but not one that may never be answered.
    const timer = setTimeout(() => end(tookTooLong("Looking up the origin's name took too long")), timeoutMs);
    const resolved = resolve(name, client, calledOff.signal);
    // Its sockets are taken until it has come to its end, whoever still waits for it.
    resolved.then(release, release);
    const addresses = untilAborted(resolved, calledOff.signal).then(bounded).catch(translated);
    const question: Question = { addresses, end, askers: 0 };
    questions.set(name, question);
    addresses
      .then(
        (found) => remember(name, found),
        (error: unknown) => {
          if (isFinal(error)) answers.delete(name);
        },
      )
      .then(() => end(null));
    return question;
  }

  function remember(name: string, addresses: readonly string[]): void {
    answers.delete(name);
    answers.set(name, { addresses, at: clock(), freshUntil: clock() + ttlMs });
    for (const oldest of answers.keys()) {
      if (answers.size <= maxEntries) break;
      answers.delete(oldest);
    }
  }
}

/** As where there is no such name: nothing behind it could be dialled. */
class UnusableAnswer extends Error {
  readonly code = "ENOTFOUND";
}

function bounded(addresses: readonly string[]): readonly string[] {
  if (addresses.length === 0) throw new UnusableAnswer("the name has no address");
  if (addresses.length > maxAddresses) throw new UnusableAnswer(`the name has ${addresses.length} addresses`);
  return addresses;
}

/** A name that does not exist will not exist in a moment either. */
function translated(error: unknown): never {
  throw error instanceof UpstreamError ? error : unreachable(error, { isTransient: systemCodeOf(error) === "EAI_AGAIN" });
}

/** What was known of the name before is wrong. A question that was called off, or ended without an answer, says nothing of that. */
function isFinal(error: unknown): boolean {
  return error instanceof UpstreamError && systemCodeOf(error.cause) === "ENOTFOUND";
}
