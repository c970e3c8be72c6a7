/** An engine whose scans end as, and when, a test says. */

import type { Engine, EngineScan } from "../../src/core/engine.ts";
import type { SpooledBody } from "../../src/core/spool.ts";
import type { EngineVersion, Verdict } from "../../src/core/verdict.ts";
import { fakeVersion } from "./backend.ts";

export interface FakeEngineScan {
  readonly body: SpooledBody;
  readonly signal: AbortSignal;
  readonly client: string;
  /** With a verdict of the engine's present version, unless told otherwise. */
  finish(verdict: Verdict, scan?: Partial<EngineScan>): void;
  fail(error: unknown): void;
}

export interface FakeEngine extends Engine {
  /** All there have been, in their order. */
  readonly scans: readonly FakeEngineScan[];
  setVersion(version: Partial<EngineVersion> | null): void;
  /** Resolves with the scan of that number, the first one being 1, once it has begun. */
  scanBegun(count: number): Promise<FakeEngineScan>;
  /** From now on each scan, also those that run, ends by itself so; null: as a test says. */
  answerAll(answer: ((body: SpooledBody) => Verdict) | null): void;
}

export function fakeEngine(): FakeEngine {
  const scans: FakeEngineScan[] = [];
  const waiting = new Set<() => void>();
  let version: EngineVersion | null = fakeVersion();
  let answer: ((body: SpooledBody) => Verdict) | null = null;
  const running = new Set<FakeEngineScan>();
  return {
    scans,
    version: () => version,
    async scan(body, signal, client) {
      signal.throwIfAborted();
      const { promise, resolve, reject } = Promise.withResolvers<EngineScan>();
      const scan: FakeEngineScan = {
        body,
        signal,
        client,
        finish(verdict, told = {}) {
          running.delete(scan);
          const by = version ?? fakeVersion();
          resolve({ verdict, version: by, isCacheable: true, backend: "fake", queueMs: 10, scanMs: 20, ...told });
        },
        fail(error) {
          running.delete(scan);
          reject(error);
        },
      };
      scans.push(scan);
      running.add(scan);
      if (answer !== null) scan.finish(answer(body));
      for (const wake of waiting) wake();
      waiting.clear();
      return promise;
    },
    setVersion(next) {
      version = next === null ? null : fakeVersion(next);
    },
    async scanBegun(count) {
      for (;;) {
        const scan = scans[count - 1];
        if (scan !== undefined) return scan;
        await new Promise<void>((resolve) => waiting.add(resolve));
      }
    },
    answerAll(next) {
      answer = next;
      if (next !== null) for (const scan of [...running]) scan.finish(next(scan.body));
    },
  };
}
