/** Keeps one long-running child alive: starts it, waits for its proof, and starts it again when it ends. */

import { messageOf } from "../core/errors.ts";
import type { Emit } from "../core/events.ts";
import { type Backoff, exponentialBackoff } from "./backoff.ts";
import type { ChildRecords } from "./child-records.ts";
import { describeEnding } from "./ending.ts";
import { type Launch, type SpawnedProcess, spawnProcess } from "./spawned-process.ts";
import { realTiming, type Timing } from "./timing.ts";

export interface ChildOptions {
  /** Names the child in events. */
  readonly name: string;
  /** Called before every start, to make whatever that start needs. What it made when it rejects is its own to clean. */
  readonly launch: () => Promise<Launch>;
  /** Resolves when the child has proved that it works; a rejection ends this start. The signal aborts when the answer no longer matters. */
  readonly isReady: (signal: AbortSignal) => Promise<void>;
  readonly readyTimeoutMs: number;
  /** Called after the end of every start that `launch` prepared, with nothing of its group left, to clean up. */
  readonly onExit?: () => Promise<void>;
  readonly onReady?: () => void;
  /** Exactly once after each `onReady`, as soon as the child is lost or asked to end. */
  readonly onLost?: (reason: string) => void;
  readonly onLine?: (line: string) => void;
  /** Default 1000. */
  readonly firstDelayMs?: number;
  /** Default 30000. */
  readonly maxDelayMs?: number;
  /** Ready for this long makes the next delay the first again. Default 2000: what loads and works deserves to be back at once. */
  readonly steadyMs?: number;
  /** From SIGTERM to the child to SIGKILL to its group. */
  readonly stopGraceMs: number;
  readonly records: ChildRecords;
  readonly emit: Emit;
  readonly random?: () => number;
  readonly timing?: Timing;
}

export type ChildPhase = "starting" | "ready" | "backoff" | "stopping" | "stopped";

export interface ChildState {
  readonly phase: ChildPhase;
  readonly pid: number | null;
  /** Starts after the first. */
  readonly restarts: number;
  readonly lastExit: string | null;
}

/** The callbacks must not throw. Once stopped it stays stopped. */
export interface SupervisedChild {
  /** Resolves when the child is ready, however many starts that takes. Rejects when it is stopped, or with the reason of `signal`, which ends the waiting and not the child. */
  start(signal?: AbortSignal): Promise<void>;
  /** Ends the child and starts it afresh, without a delay. Resolves when the new one is ready; rejects when it is stopped or was never started. */
  restart(reason: string): Promise<void>;
  /** Resolves when nothing of the child is left. */
  stop(): Promise<void>;
  /** SIGKILL to the child's group, at once: for a gateway that must end now. */
  kill(): void;
  state(): ChildState;
}

export function superviseChild(options: ChildOptions): SupervisedChild {
  return new Supervision(options);
}

class Supervision implements SupervisedChild {
  readonly #options: ChildOptions;
  readonly #timing: Timing;
  readonly #backoff: Backoff;
  readonly #waiting = new Set<PromiseWithResolvers<void>>();
  #phase: ChildPhase = "stopped";
  #process: SpawnedProcess | null = null;
  #starts = 0;
  #lastExit: string | null = null;
  /** Aborts with the reason why the present start, or the delay after it, is to end. */
  #life = new AbortController();
  #isStopping = false;
  #loop: Promise<void> | null = null;

  constructor(options: ChildOptions) {
    this.#options = options;
    this.#timing = options.timing ?? realTiming;
    const { firstDelayMs = 1_000, maxDelayMs = 30_000, random = Math.random } = options;
    this.#backoff = exponentialBackoff({ firstDelayMs, maxDelayMs, random });
  }

  async start(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#isStopping) throw this.#stopped();
    if (this.#phase === "ready") return;
    this.#loop ??= this.#keepAlive();
    await this.#nextReady(signal);
  }

  async restart(reason: string): Promise<void> {
    if (this.#isStopping || this.#loop === null) throw this.#stopped();
    if (this.#phase === "ready") this.#phase = "stopping";
    this.#life.abort(`restart, ${reason}`);
    await this.#nextReady();
  }

  async stop(): Promise<void> {
    if (!this.#isStopping) {
      this.#isStopping = true;
      if (this.#loop !== null) this.#phase = "stopping";
      this.#life.abort("stop");
      for (const waiter of this.#waiting) waiter.reject(this.#stopped());
      this.#waiting.clear();
    }
    await this.#loop;
  }

  kill(): void {
    this.#process?.kill();
  }

  state(): ChildState {
    const pid = this.#process?.hasExited() === false ? this.#process.pid : null;
    return { phase: this.#phase, pid, restarts: Math.max(0, this.#starts - 1), lastExit: this.#lastExit };
  }

  async #keepAlive(): Promise<void> {
    while (!this.#isStopping) {
      const life = new AbortController();
      this.#life = life;
      this.#phase = "starting";
      this.#starts += 1;
      const delayMs = await this.#live(life.signal);
      if (life.signal.aborted) continue;
      this.#phase = "backoff";
      await this.#timing.sleep(delayMs, life.signal);
    }
    this.#phase = "stopped";
  }

  /** One start from its preparation to its end. Resolves with the milliseconds to wait before the next. */
  async #live(signal: AbortSignal): Promise<number> {
    let launch: Launch;
    try {
      launch = await this.#options.launch();
    } catch (thrown) {
      return this.#exited(`cannot be prepared: ${messageOf(thrown)}`, signal);
    }
    let delayMs = 0;
    if (!signal.aborted) delayMs = this.#exited(await this.#run(launch, signal), signal);
    try {
      await this.#options.onExit?.();
    } catch (thrown) {
      const message = `${this.#options.name}: cleaning up failed: ${messageOf(thrown)}`;
      this.#options.emit({ kind: "notice", level: "warn", message });
    }
    return delayMs;
  }

  /** Resolves with the reason of the end when nothing is left of the process. */
  async #run(launch: Launch, signal: AbortSignal): Promise<string> {
    const { name, emit, onLine, records, stopGraceMs } = this.#options;
    const child = spawnProcess(launch, {
      records,
      timing: this.#timing,
      onLine: (line) => {
        emit({ kind: "child-line", child: name, line });
        onLine?.(line);
      },
    });
    this.#process = child;
    if (child.pid !== null) emit({ kind: "child-started", child: name, pid: child.pid });
    const fault = await this.#prove(child, signal);
    if (fault === null) await this.#serve(child, signal);
    this.#phase = "stopping";
    const ending = describeEnding(await child.terminate(stopGraceMs));
    this.#process = null;
    if (signal.aborted) return `${signal.reason}: ${ending}`;
    return fault === null || fault === "" ? ending : `${fault}: ${ending}`;
  }

  /** Resolves with null when the child has proved itself, else with what is wrong; the empty text says that its end tells it all. */
  async #prove(child: SpawnedProcess, signal: AbortSignal): Promise<string | null> {
    const { isReady, readyTimeoutMs } = this.#options;
    const over = new AbortController();
    const until = AbortSignal.any([signal, over.signal]);
    try {
      const fault = await Promise.race([
        child.exited.then(() => ""),
        Promise.try(isReady, until).then(
          async () => ((await child.isRecorded) ? null : ""),
          (thrown) => `not ready, ${messageOf(thrown)}`,
        ),
        this.#timing.sleep(readyTimeoutMs, until).then(() => `not ready within ${readyTimeoutMs} ms`),
      ]);
      return signal.aborted || child.hasExited() ? "" : fault;
    } finally {
      over.abort();
    }
  }

  /** Resolves when the child is lost or asked to end. */
  async #serve(child: SpawnedProcess, signal: AbortSignal): Promise<void> {
    const { clock } = this.#timing;
    const { onReady, onLost, steadyMs = 2_000 } = this.#options;
    const readyAt = clock();
    this.#phase = "ready";
    for (const waiter of this.#waiting) waiter.resolve();
    this.#waiting.clear();
    onReady?.();
    const ending = await Promise.race([child.exited, aborted(signal)]);
    this.#phase = "stopping";
    if (clock() - readyAt >= steadyMs) this.#backoff.reset();
    onLost?.(ending === null ? String(signal.reason) : describeEnding(ending));
  }

  /** Tells of an end; returns the delay before the next start. */
  #exited(reason: string, signal: AbortSignal): number {
    const restartInMs = this.#isStopping ? null : signal.aborted ? 0 : this.#backoff.next();
    this.#lastExit = reason;
    this.#options.emit({ kind: "child-exited", child: this.#options.name, reason, restartInMs });
    return restartInMs ?? 0;
  }

  async #nextReady(signal?: AbortSignal): Promise<void> {
    const waiter = Promise.withResolvers<void>();
    const giveUp = (): void => waiter.reject(signal?.reason);
    this.#waiting.add(waiter);
    signal?.addEventListener("abort", giveUp, { once: true });
    try {
      await waiter.promise;
    } finally {
      this.#waiting.delete(waiter);
      signal?.removeEventListener("abort", giveUp);
    }
  }

  #stopped(): Error {
    return new Error(`${this.#options.name} is not running`);
  }
}

/** Resolves with null when the signal aborts. */
function aborted(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(null);
    else signal.addEventListener("abort", () => resolve(null), { once: true });
  });
}
