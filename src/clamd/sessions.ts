/** The sessions with one clamd (clamd.md 1.6): opened when one is needed, kept while they are used, one command at a time on each. */

import { type ClamdReply, isTooLarge, parseScanReply } from "../codec/clamd/reply.ts";
import type { Clock } from "../core/clock.ts";
import { instreamBytes, pingCommand, type Request } from "./commands.ts";
import {
  ClamdConnection,
  type ConnectionOptions,
  type ExchangeEnd,
  type ExchangeError,
  type ExchangeFault,
} from "./connection.ts";

export type ScanEnd =
  | { readonly kind: "answered"; readonly reply: ClamdReply }
  /** `reply` is what had come by then. */
  | { readonly kind: "broken"; readonly error: ExchangeError; readonly reply: ClamdReply }
  /** What the request itself threw. */
  | { readonly kind: "unreadable"; readonly error: unknown };

/** Ends by force what has been asked: as broken, by that fault. */
export type Cut = (fault: ExchangeFault, reason: Error) => void;

export interface Sessions {
  /**
   * One INSTREAM or SCAN. `onEnd` is told once, and not before this returns; a session that has answered is free for the next scan then.
   * @param subject as of `parseScanReply`.
   */
  scan(request: Request, subject: string, onEnd: (end: ScanEnd) => void): Cut;
  /**
   * The same of a canary or a probe. The first one shows besides whether clamd keeps sessions: where it does not, there is one connection
   * per scan from then on. A connection may be taken as late as an answer may come: the system tries again. Rejects with ExchangeError, or with the signal's reason.
   */
  prove(bytes: Uint8Array, options: ProveOptions): Promise<ClamdReply>;
  /** Closes those that nobody uses. Another clamd may answer from now on: it is asked for sessions again. */
  renew(): void;
  /** Closes those that nobody uses, now and whenever one has answered. */
  close(): void;
}

export interface ProveOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface SessionsOptions extends Pick<ConnectionOptions, "dial" | "address" | "connectTimeoutMs"> {
  readonly clock: Clock;
  /** Told once: why there is one connection per scan. */
  readonly onRefused: (reason: string) => void;
}

/** A session that nobody uses. */
interface Resting {
  readonly connection: ClamdConnection;
  readonly since: number;
}

/** Nothing between us and clamd cuts what has been silent for less than this. */
const restMs = 250;

export function openSessions({ dial, address, connectTimeoutMs, clock, onRefused }: SessionsOptions): Sessions {
  /** The last one was used last: those that are not needed rest until they are closed. */
  let resting: Resting[] = [];
  /** Whether this clamd keeps sessions; null while that is not known. */
  let isKeeping: boolean | null = null;
  let isTold = false;
  let isClosed = false;

  function open(isSession: boolean, connectMs = connectTimeoutMs): ClamdConnection {
    const connection: ClamdConnection = new ClamdConnection({
      dial,
      address,
      connectTimeoutMs: connectMs,
      isSession,
      onClose: () => {
        resting = resting.filter((one) => one.connection !== connection);
      },
    });
    return connection;
  }

  function dropResting(): void {
    const dropped = resting;
    resting = [];
    for (const { connection } of dropped) connection.close();
  }

  function refuse(reason: string): void {
    isKeeping = false;
    dropResting();
    if (!isTold) onRefused(reason);
    isTold = true;
  }

  function keep(connection: ClamdConnection, end: ScanEnd): void {
    const isKept = end.kind === "answered" && end.reply.kind === "verdict" && !isTooLarge(end.reply);
    if (isKept && connection.isOpen && isKeeping === true && !isClosed) resting.push({ connection, since: clock() });
    else connection.close();
  }

  function next(): Resting | null {
    for (let last = resting.pop(); last !== undefined; last = resting.pop()) {
      if (last.connection.isOpen) return last;
      last.connection.close();
    }
    return null;
  }

  function scan(request: Request, subject: string, onEnd: (end: ScanEnd) => void, connectMs?: number): Cut {
    const isSession = isKeeping === true;
    const rested = isSession ? next() : null;
    const isRested = rested !== null && clock() - rested.since >= restMs;
    let connection = rested?.connection ?? open(isSession, connectMs);
    let isCut = false;
    connection.ask(
      request,
      (ended) => {
        const end = told(ended, subject);
        if (isCut || (!(isRested && isUnreached(end)) && !(isSession && isReadTimeout(end)))) {
          keep(connection, end);
          return void onEnd(end);
        }
        // Once more, and not in a session: one could end in the same way again.
        connection = open(false, connectMs);
        connection.ask(request, (again) => onEnd(told(again, subject)));
      },
      isRested,
    );
    return (fault, reason) => {
      isCut = true;
      connection.close(fault, reason);
    };
  }

  /** @param begin what it resolves with, and how it is ended. */
  async function within<End>(begin: (resolve: (end: End) => void) => Cut, { timeoutMs, signal }: ProveOptions): Promise<End> {
    signal.throwIfAborted();
    let cut: Cut = () => {};
    const end = new Promise<End>((resolve) => {
      cut = begin(resolve);
    });
    const onAbort = () => cut("cut", new Error("nobody waits for it"));
    signal.addEventListener("abort", onAbort, { once: true });
    // What has arrived while this process stood still is read first.
    const timer = setTimeout(() => setImmediate(cut, "late", new Error(`no whole answer within ${timeoutMs} ms`)), timeoutMs);
    try {
      return await end;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      signal.throwIfAborted();
    }
  }

  function askOn(connection: ClamdConnection, request: Request, options: ProveOptions): Promise<ExchangeEnd> {
    return within((resolve) => {
      connection.ask(request, resolve);
      return (fault, reason) => connection.close(fault, reason);
    }, options);
  }

  /** A second answer in the same session shows that it is kept. What knows no sessions is asked without one. */
  async function tryOut(request: Request, options: ProveOptions): Promise<ScanEnd> {
    const connection = open(true, options.timeoutMs);
    const first = told(await askOn(connection, request, options), "stream");
    if (first.kind === "answered" && first.reply.kind === "verdict") {
      const second = await askOn(connection, pingCommand, options);
      if (second.kind === "whole" && Buffer.from(second.received).toString() === "PONG\0") isKeeping = true;
      else refuse("it ends a session after one answer");
      keep(connection, first);
      return first;
    }
    connection.close();
    if (!isUnlikeSession(first)) return first;
    const plain = told(await askOn(open(false, options.timeoutMs), request, options), "stream");
    if (plain.kind === "answered" && plain.reply.kind === "verdict") refuse("it answers them otherwise than clamd does");
    return plain;
  }

  return {
    scan: (request, subject, onEnd) => scan(request, subject, onEnd),
    async prove(bytes, options) {
      const request = instreamBytes(bytes);
      const end = await (isKeeping === null
        ? tryOut(request, options)
        : within<ScanEnd>((resolve) => scan(request, "stream", resolve, options.timeoutMs), options));
      if (end.kind === "answered") return end.reply;
      throw end.error;
    },
    renew() {
      isKeeping = null;
      dropResting();
    },
    close() {
      isClosed = true;
      dropResting();
    },
  };
}

function told(end: ExchangeEnd, subject: string): ScanEnd {
  switch (end.kind) {
    case "whole":
      return { kind: "answered", reply: parseScanReply(end.received, subject) };
    case "broken":
      return { kind: "broken", error: end.error, reply: parseScanReply(end.error.received, subject) };
    case "unreadable":
      return end;
  }
}

/** Of a session that has ended while nobody used it: that says nothing of this command. */
function isUnreached(end: ScanEnd): boolean {
  return end.kind === "broken" && end.error.fault === "unreached";
}

function isUnlikeSession(end: ScanEnd): boolean {
  if (end.kind === "answered") return end.reply.kind !== "verdict" && end.reply.kind !== "error";
  return end.kind === "broken" && (end.error.fault === "cut" || end.error.fault === "nonsense");
}

/** clamd says so when it ends a session in which no byte has come for ReadTimeout, whatever it scans. */
function isReadTimeout(end: ScanEnd): boolean {
  return end.kind === "answered" && end.reply.kind === "error" && end.reply.text === "COMMAND READ TIMED OUT";
}
