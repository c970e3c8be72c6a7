/** Bodies that have lost their engines are scanned alone, one at a time: only what ends an engine there, and again, is its doing. */

import { AgingMap } from "../core/aging-map.ts";
import type { Clock } from "../core/clock.ts";
import type { Backend } from "./backend.ts";
import { foremost } from "./standing.ts";

export interface IsolationOptions {
  /** Those of the pool as they are now. */
  readonly backends: ReadonlySet<Backend>;
  /** How long what is known of a body counts after its last loss. */
  readonly ttlMs: number;
  readonly maxEntries: number;
  /** The longest rest between two bodies that are scanned alone. */
  readonly maxRestMs: number;
  readonly clock: Clock;
}

export interface Isolation {
  /** True once the body has lost two engines that had others to scan as well: whoever killed them may have meant neither. */
  isSuspect(sha256: string): boolean;
  /** An engine was lost with it, among others, that long after the body had come to it. */
  lostAmongOthers(sha256: string, livedMs: number): void;
  /** The body was scanned after all. */
  clear(sha256: string): void;
  /** To be called at each change of a backend, before any slot is given. */
  look(): void;
  /** True of the one backend that is kept for a body alone: it gets nothing else. */
  isKept(backend: Backend): boolean;
  /** Keeps a backend for the body, as soon as one may be; answers it once it is idle, and it is the body's until `end`. */
  take(sha256: string): Backend | null;
  /** Nobody waits to be alone any more. */
  giveUp(): void;
  /** The backend has just proved itself, and the body is on it from now on. */
  begin(): void;
  /** What came of it; true where this loss, with one before, shows that the engine dies of the body. */
  end(sha256: string, isLost: boolean): boolean;
  /** How long after the last `take` it is worth asking again, whatever becomes of the backends; 0 where nothing but one of them is waited for. */
  restMs(): number;
}

interface Suspicion {
  readonly losses: number;
  /** The longest that an engine has lived with it before it was lost. */
  readonly livedMs: number;
  /** Of each backend that was lost with the body alone: how often others were lost without it up to then. */
  readonly deaths: ReadonlyMap<string, number>;
}

const lossesToBeAlone = 2;
/** Engines must do without the body for so many times as long as any lived with it: a killer that comes again and again shows. */
const restPerLife = 4;

/**
 * Two losses tell only when they are of one backend, which had proved itself right before each, lived on without the body in between,
 * and no backend was lost without it meanwhile. A kill from outside meets all of that by chance alone. Of the time of one backend a
 * fifth at most goes to bodies that die alone, half to those that do not.
 */
export function createIsolation({ backends, ttlMs, maxEntries, maxRestMs, clock }: IsolationOptions): Isolation {
  const suspicions = new AgingMap<Suspicion>({ ttlMs, maxEntries, clock });
  const upSince = new Map<Backend, number>();
  const downSince = new Map<string, number>();
  let deathsElsewhere = 0;
  let kept: Backend | null = null;
  let keptAt = 0;
  let isTaken = false;
  /** While the body is on it. */
  let begunAt: number | null = null;
  let rest = { fromMs: -Infinity, ms: 0 };
  /** When it was last looked whether one may be taken: what was to come then is still to be waited for, however late it is asked how long. */
  let lookedAt = -Infinity;

  function release(restMs: number): void {
    kept = null;
    isTaken = false;
    begunAt = null;
    lookedAt = clock();
    rest = { fromMs: lookedAt, ms: Math.min(maxRestMs, restMs) };
  }

  /** The idlest that may be kept; after a loss the one that was lost, so that a body does not walk through the pool. */
  function choose(deaths: Suspicion["deaths"]): Backend | null {
    let best: Backend | null = null;
    const asked = foremost(backends);
    for (const backend of backends) {
      if (deaths.has(backend.name) && isBackSoon(backend)) return isRested(backend) && asked.includes(backend) ? backend : null;
      if (!isRested(backend) || backend.overdue() > 0 || !asked.includes(backend)) continue;
      if (best === null || backend.inFlight() < best.inFlight()) best = backend;
    }
    return best;
  }

  function isRested(backend: Backend): boolean {
    const since = upSince.get(backend);
    return since !== undefined && !backend.isBusy() && lookedAt - Math.max(since, rest.fromMs) >= rest.ms;
  }

  function isBackSoon(backend: Backend): boolean {
    if (upSince.has(backend)) return backend.overdue() === 0;
    return lookedAt - (downSince.get(backend.name) ?? -Infinity) < maxRestMs;
  }

  return {
    isSuspect: (sha256) => (suspicions.get(sha256)?.losses ?? 0) >= lossesToBeAlone,
    lostAmongOthers(sha256, livedMs) {
      const before = suspicions.get(sha256);
      suspicions.set(sha256, {
        losses: (before?.losses ?? 0) + 1,
        livedMs: Math.max(before?.livedMs ?? 0, livedMs),
        deaths: before?.deaths ?? new Map(),
      });
    },
    clear: (sha256) => suspicions.delete(sha256),
    look() {
      for (const backend of backends) {
        if (!backend.isUp() || upSince.has(backend)) continue;
        upSince.set(backend, clock());
        downSince.delete(backend.name);
      }
      for (const backend of upSince.keys()) {
        if (backends.has(backend) && backend.isUp()) continue;
        upSince.delete(backend);
        downSince.set(backend.name, clock());
        if (backend !== kept || begunAt === null) deathsElsewhere += 1;
      }
    },
    isKept: (backend) => backend === kept,
    take(sha256) {
      lookedAt = clock();
      if (isTaken) return null;
      if (kept !== null && (!upSince.has(kept) || kept.overdue() > 0)) kept = null;
      if (kept === null) {
        kept = choose(suspicions.get(sha256)?.deaths ?? new Map());
        keptAt = lookedAt;
      }
      if (kept === null || kept.inFlight() > 0) return null;
      isTaken = true;
      return kept;
    },
    giveUp() {
      if (kept !== null && !isTaken) release(clock() - keptAt);
    },
    begin() {
      begunAt = clock();
    },
    end(sha256, isLost) {
      const backend = kept;
      const before = suspicions.get(sha256);
      const livedMs = Math.max(before?.livedMs ?? 0, clock() - (begunAt ?? clock()));
      release(isLost ? restPerLife * livedMs : clock() - keptAt);
      if (!isLost || backend === null) return false;
      if (before?.deaths.get(backend.name) === deathsElsewhere) return true;
      const deaths = new Map(before?.deaths).set(backend.name, deathsElsewhere);
      suspicions.set(sha256, { losses: lossesToBeAlone, livedMs, deaths });
      return false;
    },
    restMs() {
      if (kept !== null) return 0;
      const waits = [...backends].map((backend) => {
        const since = upSince.get(backend);
        if (since !== undefined) return Math.max(since, rest.fromMs) + rest.ms - lookedAt;
        return (downSince.get(backend.name) ?? -Infinity) + maxRestMs - lookedAt;
      });
      const toCome = waits.filter((ms) => ms > 0);
      return toCome.length === 0 ? 0 : Math.min(...toCome);
    },
  };
}
