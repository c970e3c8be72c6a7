/** A updater with everything around it under the test's hand: time, freshclam and the engine. */

import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { GatewayEvent } from "../../src/core/events.ts";
import { type Epochs, openEpochs } from "../../src/signatures/epochs.ts";
import type { ChildRunOptions } from "../../src/signatures/freshclam/freshclam.ts";
import type { FreshclamRun } from "../../src/signatures/freshclam/freshclam-outcome.ts";
import type { LoadResult } from "../../src/signatures/set-loader.ts";
import type { SignatureSet } from "../../src/signatures/signature-set.ts";
import { writeTestSignatures } from "../../src/signatures/test-set.ts";
import { keepSignatures, type SignatureUpdater, type UpdaterOptions } from "../../src/signatures/updater.ts";
import { FakeTime } from "./fake-time.ts";
import { scratch } from "./scratch.ts";

export const pollMs = 15_000;
export const firstUpdateMs = 20_000;

export interface UpdaterStage {
  /** DATABASE_DIRECTORY. */
  readonly database: string;
  readonly fallback: string;
  readonly time: FakeTime;
  readonly events: GatewayEvent[];
  /** Ids the engine was asked to load, in order. */
  readonly loads: string[];
  readonly runs: ChildRunOptions[];
  /** How the engine takes a set; at first it takes all. */
  engine: (set: SignatureSet) => LoadResult | Promise<LoadResult>;
  /** How freshclam runs; at first it finds nothing new. */
  freshclam: (options: ChildRunOptions) => FreshclamRun | Promise<FreshclamRun>;
  updater(changes?: Partial<UpdaterOptions>): Promise<SignatureUpdater>;
  epochs(): Promise<Epochs>;
  /** Ids of the epochs on disk. */
  kept(): Promise<string[]>;
  /** Lets one poll pass. */
  poll(): Promise<void>;
}

export function ran(code: number, ...lines: readonly string[]): FreshclamRun {
  return { code, signal: null, lines, timedOut: false, durationMs: 1 };
}

export const nothingNew = ran(0, "daily.cvd database is up-to-date (version: 1, sigs: 1, f-level: 90, builder: me)");
export const noNetwork = ran(11, "ERROR: Download failed (6)  Message: Could not resolve host");

/** Waits for what other promises are on their way to do; what does not come within ten seconds fails the test. */
export async function until(what: string, isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`never happened: ${what}`);
    await setImmediate();
  }
}

export async function updaterStage(t: TestContext): Promise<UpdaterStage> {
  const root = await scratch(t);
  const directory = join(root, "epochs");
  const time = new FakeTime();
  const stage: UpdaterStage = {
    database: join(root, "database"),
    fallback: join(root, "fallback"),
    time,
    events: [],
    loads: [],
    runs: [],
    engine: () => ({ ok: true, faults: [] }),
    freshclam: () => nothingNew,
    epochs: () => openEpochs({ directory }),
    kept: async () => (await readdir(directory)).filter((name) => name.length === 16),
    async updater(changes = {}) {
      const epochs = await stage.epochs();
      const updater = keepSignatures({
        directory: stage.database,
        epochs,
        load: async (epoch, set) => {
          stage.loads.push(set.id);
          const former = await epochs.current();
          await epochs.activate(epoch);
          const result = await stage.engine(set);
          if (!result.ok && former !== null) await epochs.activate(former);
          return result;
        },
        fallbackDirectory: null,
        checksPerDay: 12,
        freshclam: {
          run: async (options) => {
            stage.runs.push(options);
            return stage.freshclam(options);
          },
          configPath: join(root, "freshclam.conf"),
          usesDns: true,
          hasCustomUrls: false,
          bounds: { fileBytes: 1024 ** 3, memoryBytes: 1024 ** 3 },
          timeoutMs: 900_000,
        },
        firstUpdateMs,
        pollMs,
        emit: (event) => stage.events.push(event),
        clock: time.now,
        now: time.now,
        random: () => 0.5,
        after: time.after,
        ...changes,
      });
      t.after(() => updater.close());
      return updater;
    },
    async poll() {
      time.advance(pollMs);
      await until("the next poll is due", () => time.waits().includes(pollMs));
    },
  };
  await mkdir(stage.database);
  await writeTestSignatures(stage.fallback);
  return stage;
}
