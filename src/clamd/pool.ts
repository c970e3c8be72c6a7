/** The engine behind the port: backends, one bounded queue in front of them, and further tries when one is lost. */

import type { Clock } from "../core/clock.ts";
import type { Engine, EngineScan } from "../core/engine.ts";
import { ClamgateError } from "../core/errors.ts";
import { Chain } from "../core/queues/chain.ts";
import { createFairQueue, type Priority } from "../core/queues/fair-queue.ts";
import type { SpooledBody } from "../core/spool.ts";
import type { Backend, BackendOutcome } from "./backend.ts";
import { createIsolation } from "./isolation.ts";
import { foremost } from "./standing.ts";

export interface PoolOptions {
  /** Requests that may wait for a slot. */
  readonly queueMax: number;
  /** Of those, requests of one client. */
  readonly queueMaxPerClient: number;
  /** As `FairQueueOptions.priorityOf`. */
  readonly priorityOf?: ((client: string) => Priority) | undefined;
  /** Longest wait for a slot, that for a second try included, the scanning not. */
  readonly queueTimeoutMs: number;
  readonly clock: Clock;
}

export interface PoolStatus {
  readonly backends: readonly {
    readonly name: string;
    readonly isUp: boolean;
    /** As `Backend.isBusy`. */
    readonly isBusy: boolean;
    /** Up, and not asked: another one has newer signatures or reports more. */
    readonly isBehind: boolean;
    /** As `Backend.lacking`. */
    readonly lacking: readonly string[];
    /** `EngineVersion.tag`; null while it is down. */
    readonly tag: string | null;
    readonly slots: number;
    readonly inFlight: number;
    readonly overdue: number;
  }[];
  readonly queued: number;
}

export interface EnginePool extends Engine {
  add(backend: Backend): void;
  remove(backend: Backend): void;
  /** To be called whenever a slot comes free or a backend changes: gives the free slots to those who wait, client by client. */
  dispatch(): void;
  status(): PoolStatus;
  /** The engine's start is over: from now on a request waits only where a backend is up, or was a short while ago. */
  endStart(): void;
  /** Refuses whoever waits with `stopping` and closes every backend. */
  close(): void;
}

interface Attempt {
  readonly backend: Backend;
  readonly outcome: BackendOutcome;
  readonly startedAt: number;
}

/** Someone in a line for a backend. */
interface Waiter {
  /** Of the body, as all of that name here. */
  readonly bytes: number;
  readonly take: (backend: Backend) => void;
  readonly refuse: (error: unknown) => void;
}

interface Patience {
  readonly bytes: number;
  /** Of `clock`. */
  readonly deadline: number;
  readonly signal: AbortSignal;
}

const suspicionTtlMs = 10 * 60_000;
const suspicionEntries = 10_000;
/** In one request. A body with which engines die then is a suspect in the next one, too. */
const mostLossesAlone = 3;

export function createPool({ queueMax, queueMaxPerClient, queueTimeoutMs, priorityOf, clock }: PoolOptions): EnginePool {
  const backends = new Set<Backend>();
  /** Removed, and still at work for somebody. */
  const leaving = new Set<Backend>();
  const isolation = createIsolation({
    backends,
    ttlMs: suspicionTtlMs,
    maxEntries: suspicionEntries,
    // Who has died alone can have its second try while its request still waits.
    maxRestMs: queueTimeoutMs / 2,
    clock,
  });
  const queue = createFairQueue<Waiter>({
    max: queueMax,
    maxOfOne: queueMaxPerClient,
    priorityOf,
    crowdOut: (waiter) => waiter.refuse(queueFull()),
  });
  /** They have waited before, so they go first. */
  const secondTries = new Chain<Waiter & { readonly avoid: Backend | null }>();
  /** For a backend that has nothing else to do. */
  const alone = new Chain<Waiter & { readonly sha256: string }>();
  let restTimer: NodeJS.Timeout | undefined;
  /** When the last backend was lost; null while one is up, and while the first one is still waited for. */
  let downSince: number | null = null;
  let isStarting = true;
  let isClosed = false;

  function leastBusy(bytes: number, avoid: Backend | null): Backend | null {
    const asked = foremost(backends);
    let best: Backend | null = null;
    for (const backend of asked) {
      if (backend.isBusy() || !backend.hasRoomFor(bytes) || isolation.isKept(backend)) continue;
      if (backend === avoid && asked.length > 1) continue;
      if (best === null || backend.inFlight() / backend.slots() < best.inFlight() / best.slots()) best = backend;
    }
    return best;
  }

  function hasOther(backend: Backend): boolean {
    return backends.values().some((other) => other !== backend && other.isUp());
  }

  function isBehind(backend: Backend): boolean {
    return backends.has(backend) && backend.isUp() && !foremost(backends).includes(backend);
  }

  function dispatch(): void {
    const isAnyUp = backends.values().some((backend) => backend.isUp());
    isStarting &&= !isAnyUp;
    downSince = isAnyUp || isStarting ? null : (downSince ?? clock());
    for (const backend of leaving) if (backend.inFlight() === 0) leaving.delete(backend);
    // What one holds that has gone silent can be done by another.
    for (const backend of backends) if (hasOther(backend)) backend.cutIfSilent();
    isolation.look();
    giveAlone();
    for (const waiter of secondTries.items()) {
      const backend = leastBusy(waiter.bytes, waiter.avoid);
      // Those behind may go where this one may not.
      if (backend !== null) waiter.take(backend);
    }
    for (let waiter = queue.first(); waiter !== null; waiter = queue.first()) {
      const backend = leastBusy(waiter.bytes, null);
      if (backend === null) return;
      queue.next()?.take(backend);
    }
  }

  function giveAlone(): void {
    clearTimeout(restTimer);
    const waiter = alone.first?.item;
    if (waiter === undefined) {
      isolation.giveUp();
      return;
    }
    const backend = isolation.take(waiter.sha256);
    if (backend === null) {
      const restMs = isolation.restMs();
      if (restMs > 0) restTimer = setTimeout(dispatch, Math.ceil(restMs));
      return;
    }
    waiter.take(backend);
  }

  /** Waits for a backend that nothing else is on, and runs `use` on it before anything else can be. */
  function onIdleBackend<T>(use: (backend: Backend) => Promise<T>, sha256: string, patience: Patience): Promise<T> {
    const isFull = alone.size > queueMax;
    const answer = inLine(use, patience, (waiter) => (isFull ? null : alone.add({ ...waiter, sha256 }).remove));
    // Whoever has gone without a backend may have had one kept for it.
    answer.catch(dispatch);
    dispatch();
    return answer;
  }

  /** Waits for a backend with a free slot and runs `use` on it before anyone else can take that slot. */
  function onFreeSlot<T>(
    use: (backend: Backend) => Promise<T>,
    { client, avoid, ...patience }: Patience & { client: string; avoid: Backend | null },
  ): Promise<T> {
    if (downSince !== null && clock() - downSince > queueTimeoutMs) {
      return Promise.reject(new ClamgateError("engine-unavailable", "The scan engine is not available"));
    }
    // Whoever waits already goes first, but for those who wait for another backend than the one that is free.
    const isFirst = avoid !== null || queue.size() === 0;
    const free = isFirst ? leastBusy(patience.bytes, avoid) : null;
    if (free !== null) return use(free);
    return inLine(use, patience, (waiter) =>
      avoid === null ? queue.add(client, waiter) : secondTries.add({ ...waiter, avoid }).remove,
    );
  }

  /** @param join answers with how to leave the line; null where it is full. */
  function inLine<T>(
    use: (backend: Backend) => Promise<T>,
    { bytes, deadline, signal }: Patience,
    join: (waiter: Waiter) => (() => void) | null,
  ): Promise<T> {
    if (clock() >= deadline) return Promise.reject(timedOut());
    return new Promise((resolve, reject) => {
      const leave = () => {
        leaveLine?.();
        clearTimeout(timer);
        signal.removeEventListener("abort", onAbort);
      };
      const waiter: Waiter = {
        bytes,
        take: (backend) => {
          leave();
          resolve(use(backend));
        },
        refuse: (error) => {
          leave();
          reject(error);
        },
      };
      const leaveLine = join(waiter);
      if (leaveLine === null) return reject(queueFull());
      const onAbort = () => waiter.refuse(signal.reason);
      const timer = setTimeout(() => waiter.refuse(timedOut()), Math.max(0, deadline - clock()));
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  function timedOut(): ClamgateError {
    return downSince === null && !isStarting
      ? new ClamgateError("queue-timeout", "No scan engine became free in time")
      : new ClamgateError("engine-unavailable", "The scan engine is not available");
  }

  async function scan(body: SpooledBody, signal: AbortSignal, client: string): Promise<EngineScan> {
    const { sha256, size: bytes } = body;
    let waitedMs = 0;
    let avoid: Backend | null = null;
    let lossesAlone = 0;
    for (let before: "lost" | "failed" | null = null; ; ) {
      signal.throwIfAborted();
      if (isClosed) throw stopping();
      const askedAt = clock();
      const deadline = askedAt + queueTimeoutMs - waitedMs;
      const isAlone = isolation.isSuspect(sha256);
      const { backend, outcome, startedAt }: Attempt = isAlone
        ? await onIdleBackend(scanProved, sha256, { bytes, deadline, signal })
        : await onFreeSlot(scanNow, { client, avoid, bytes, deadline, signal });
      waitedMs += startedAt - askedAt;
      const isLost = outcome.kind === "lost" || (outcome.kind === "timeout" && !outcome.isEngineWell);
      const isDeadly = isAlone && isolation.end(sha256, isLost);
      if (isLost && !isAlone) isolation.lostAmongOthers(sha256, clock() - startedAt);
      if (isAlone) dispatch();
      if (isDeadly) throw new ClamgateError("engine-killed", "The scan engine dies of this", { detail: backend.name });
      switch (outcome.kind) {
        case "verdict": {
          isolation.clear(sha256);
          // While it was at work another one has learned more.
          if (outcome.verdict.kind === "clean" && isBehind(backend)) break;
          const { verdict, version, isCacheable } = outcome;
          return { verdict, version, isCacheable, backend: backend.name, queueMs: waitedMs, scanMs: clock() - startedAt };
        }
        case "timeout":
          if (!outcome.isEngineWell) throw lost(`${backend.name}: it did not prove itself while it scanned`);
          throw new ClamgateError("scan-timeout", "The scan took too long", { detail: backend.name });
        case "unreadable":
          throw outcome.error;
        case "lost":
          if (isClosed) throw stopping();
          if (before === "failed") throw failed(`${backend.name}: ${outcome.reason}`);
          if (isAlone) lossesAlone += 1;
          if (lossesAlone === mostLossesAlone) throw lost(`${backend.name}: ${outcome.reason}`);
          before = "lost";
          break;
        case "failed":
          if (before !== null) throw failed(`${backend.name}: ${outcome.reason}`);
          before = "failed";
          break;
        case "unreached":
          // Nothing has happened to the body; only the queue's deadline ends this.
          break;
      }
      avoid = backend;
    }

    function scanNow(backend: Backend): Promise<Attempt> {
      const startedAt = clock();
      return backend.scan(body).then((outcome) => ({ backend, startedAt, outcome }));
    }

    /** What dies with the body has shown right before that it lives. */
    async function scanProved(backend: Backend): Promise<Attempt> {
      try {
        if (!(await backend.prove())) return { backend, startedAt: clock(), outcome: { kind: "unreached", reason: "no proof" } };
        isolation.begin();
        return await scanNow(backend);
      } catch (error) {
        isolation.end(sha256, false);
        dispatch();
        throw error;
      }
    }
  }

  return {
    version: () => foremost(backends)[0]?.version() ?? null,
    scan,
    add(backend) {
      backends.add(backend);
      dispatch();
    },
    remove(backend) {
      backends.delete(backend);
      leaving.add(backend);
      backend.retire();
      dispatch();
    },
    dispatch,
    endStart() {
      // There never was one: nothing is known to come back.
      if (isStarting) downSince = -Infinity;
      isStarting = false;
    },
    status: () => ({
      backends: [...backends].map((backend) => ({
        name: backend.name,
        isUp: backend.isUp(),
        isBusy: backend.isBusy(),
        isBehind: isBehind(backend),
        lacking: backend.lacking(),
        tag: backend.version()?.tag ?? null,
        slots: backend.slots(),
        inFlight: backend.inFlight(),
        overdue: backend.overdue(),
      })),
      queued: secondTries.size + queue.size() + alone.size,
    }),
    close() {
      isClosed = true;
      for (const waiter of [...secondTries.items(), ...alone.items()]) waiter.refuse(stopping());
      for (let waiter = queue.next(); waiter !== null; waiter = queue.next()) waiter.refuse(stopping());
      clearTimeout(restTimer);
      for (const backend of [...backends, ...leaving]) backend.close();
      backends.clear();
    },
  };
}

function stopping(): ClamgateError {
  return new ClamgateError("stopping", "The gateway is stopping");
}

function queueFull(): ClamgateError {
  return new ClamgateError("queue-full", "Too many scans are waiting");
}

function lost(detail: string): ClamgateError {
  return new ClamgateError("backend-lost", "The scan engine was lost during the scan", { detail });
}

function failed(detail: string): ClamgateError {
  return new ClamgateError("engine-error", "The scan engine could not scan this", { detail });
}
