/** Keeps a session open for ever: whatever ends it, another one is opened, later and later while that fails. */

import type { Clock } from "../../core/clock.ts";
import { untilAborted } from "../../core/until-aborted.ts";
import type { Timers } from "../timers.ts";
import type { RedisCommand, RedisSession } from "./session.ts";

export interface RedisLinkOptions {
  /** Rejects when there is none to be had; leaves nothing behind when the signal ends it. */
  readonly open: (signal: AbortSignal) => Promise<RedisSession>;
  /** Asked for to see whether a session is of use, and still answers. */
  readonly probeKey: string;
  readonly onUp: () => void;
  /** Called when a session is lost, and whenever one could not be opened. */
  readonly onDown: (reason: unknown) => void;
  readonly clock: Clock;
  readonly timers: Timers;
  /** From 0 to below 1. */
  readonly random: () => number;
}

const openMs = 4000;
const firstDelayMs = 100;
const maxDelayMs = 2000;
/** A session that ended sooner than this counts as one more that could not be opened. */
const steadyMs = 10_000;
/** An answer may take twice to three times as long. */
const tickMs = 500;

export class RedisLink {
  readonly #options: RedisLinkOptions;
  readonly #closing = new AbortController();
  #current: { readonly session: RedisSession; readonly watch: Heartbeat; readonly sinceMs: number } | null = null;
  #attempts = 0;
  #cancelDial = () => {};

  constructor(options: RedisLinkOptions) {
    this.#options = options;
    void this.#dial();
  }

  get isUp(): boolean {
    return this.#current !== null;
  }

  /** As `RedisSession.isWhole`; false while there is no session. */
  get isWhole(): boolean {
    return this.#current?.session.isWhole() ?? false;
  }

  /** Never waits for a session: rejects while there is none. */
  async send(command: RedisCommand): Promise<unknown> {
    if (this.#current === null) throw new Error("not connected");
    const { session, watch } = this.#current;
    return watch.track(session.send(command));
  }

  /** Gives up the session, if there is one, for a new one. */
  renew(): void {
    if (this.#current === null) return;
    const { session, watch, sinceMs } = this.#current;
    this.#current = null;
    watch.stop();
    session.destroy();
    if (this.#options.clock() - sinceMs >= steadyMs) this.#attempts = 0;
    this.#dialLater();
  }

  close(): void {
    this.#closing.abort();
    this.#cancelDial();
    this.#current?.watch.stop();
    this.#current?.session.destroy();
    this.#current = null;
  }

  async #dial(): Promise<void> {
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(openMs)]);
    const opening = this.#openProved(signal);
    try {
      const session = await untilAborted(opening, signal);
      this.#closing.signal.throwIfAborted();
      this.#use(session);
    } catch (thrown) {
      // It may have been opened in the moment it was given up.
      opening.then((session) => session.destroy()).catch(() => {});
      if (this.#closing.signal.aborted) return;
      this.#dialLater();
      this.#options.onDown(thrown === signal.reason ? new Error(`no answer within ${openMs} ms`) : thrown);
    }
  }

  async #openProved(signal: AbortSignal): Promise<RedisSession> {
    const session = await this.#options.open(signal);
    try {
      await untilAborted(session.probe(this.#options.probeKey), signal);
      return session;
    } catch (thrown) {
      session.destroy();
      throw thrown;
    }
  }

  #use(session: RedisSession): void {
    const watch = new Heartbeat({
      timers: this.#options.timers,
      tickMs,
      // Any answer will do; a bad one is told where somebody waits for it.
      probe: () => void watch.track(session.probe(this.#options.probeKey)).catch(() => {}),
      onSilent: () => this.#lose(session, new Error("stopped answering")),
    });
    this.#current = { session, watch, sinceMs: this.#options.clock() };
    session.lost.then((reason) => this.#lose(session, reason));
    this.#options.onUp();
  }

  #lose(session: RedisSession, reason: Error): void {
    if (this.#current?.session !== session) return;
    this.renew();
    this.#options.onDown(reason);
  }

  #dialLater(): void {
    const fullMs = Math.min(firstDelayMs * 2 ** this.#attempts, maxDelayMs);
    this.#attempts += 1;
    this.#cancelDial = this.#options.timers.after(fullMs * (0.5 + this.#options.random() / 2), () => void this.#dial());
  }
}

export interface HeartbeatOptions {
  readonly timers: Timers;
  readonly tickMs: number;
  /** Asks something when nothing else is asked; passed through `track`. */
  readonly probe: () => void;
  /** Called once; the watch is over then. */
  readonly onSilent: () => void;
}

/** Ticks that the same question must have stayed open for. Counted, not timed: a late tick is our own fault, not theirs. */
const maxTicks = 2;

/** Tells when whoever is asked has stopped answering: a connection to a process that hangs looks like any other. */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  /** Oldest first. */
  readonly #open = new Set<object>();
  #suspect: object | undefined;
  #ticks = 0;
  #cancel: () => void;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#cancel = this.#wait();
  }

  async track<T>(answer: Promise<T>): Promise<T> {
    const question = {};
    this.#open.add(question);
    try {
      return await answer;
    } finally {
      this.#open.delete(question);
    }
  }

  stop(): void {
    this.#cancel();
  }

  #wait(): () => void {
    return this.#options.timers.after(this.#options.tickMs, () => this.#tick());
  }

  #tick(): void {
    const [oldest] = this.#open;
    this.#ticks = oldest !== undefined && oldest === this.#suspect ? this.#ticks + 1 : 0;
    this.#suspect = oldest;
    if (this.#ticks >= maxTicks) {
      this.#options.onSilent();
      return;
    }
    this.#cancel = this.#wait();
    if (oldest === undefined) this.#options.probe();
  }
}
