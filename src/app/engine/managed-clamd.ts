/** A clamd of our own: one supervised child, a private directory per start, and its change to another set of signatures. */

import { randomBytes } from "node:crypto";
import { statfsSync } from "node:fs";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Backend, type BackendOptions, createBackend } from "../../clamd/backend.ts";
import { type ClamdLimits, clamdConf } from "../../clamd/clamd-conf.ts";
import { type ClamdAddress, ExchangeError } from "../../clamd/connection.ts";
import { type FreeSpaceWatch, watchFreeSpace } from "../../clamd/free-space-watch.ts";
import { readLogLine } from "../../clamd/log-lines.ts";
import type { EnginePool } from "../../clamd/pool.ts";
import { askReload, type Clamd, proveClamd } from "../../clamd/proof.ts";
import { messageOf } from "../../core/errors.ts";
import type { Emit } from "../../core/events.ts";
import { type SupervisedChild, superviseChild } from "../../process/child.ts";
import type { ChildRecords } from "../../process/child-records.ts";
import type { LoadResult } from "../../signatures/set-loader.ts";
import { AwayError, watchLoads } from "./load-watch.ts";

export interface ManagedClamdOptions {
  /** Absolute path of the clamd program. */
  readonly program: string;
  /** Every start gets a directory of its own in here. */
  readonly runRoot: string;
  /** What clamd loads: a link that changes before `load` is called. */
  readonly databaseDirectory: string;
  readonly limits: ClamdLimits;
  /** What every backend of ours has in common. */
  readonly backend: Omit<BackendOptions, "name" | "address" | "onChange">;
  readonly pool: EnginePool;
  readonly records: ChildRecords;
  readonly emit: Emit;
}

export interface ManagedClamd {
  /** False while it is being restarted, when `databaseDirectory` must not change under it, and once it is stopped. */
  canLoad(): boolean;
  /**
   * Makes clamd load what `databaseDirectory` holds now; it is started when it does not run. Resolves with success only when
   * the canary of `epoch` was found, else with the reason, and the signatures it had before go on.
   */
  load(epoch: string): Promise<LoadResult>;
  /** Resolves when nothing of it is left. A load that is under way fails, and none starts it again. */
  stop(): Promise<void>;
  /** Ends it at once. */
  kill(): void;
}

const name = "clamd";
const runPrefix = "run-";
/** A full database takes half a minute; a slow disk or a starved container many times that. */
const loadTimeoutMs = 10 * 60_000;
/** clamd drops the answers of running scans when it ends, so nothing is gained by waiting for them. */
const stopGraceMs = 5_000;
const pollMs = 50;
/** What one scan may unpack, but no more than this: a disk with so much left is not full. */
const mostReserveBytes = 256 * 1024 * 1024;

export function createManagedClamd(options: ManagedClamdOptions): ManagedClamd {
  const { program, runRoot, databaseDirectory, limits, pool, records, emit } = options;
  let isStopped = false;
  let child: SupervisedChild | null = null;
  let backend: Backend | null = null;
  let directory: string | null = null;
  /** Of the clamd that runs. */
  let scratch: FreeSpaceWatch | null = null;
  const loads = watchLoads(loadTimeoutMs);

  const socketIn = (runDirectory: string): ClamdAddress => ({ kind: "unix", path: join(runDirectory, "clamd.sock") });
  const clamdIn = (runDirectory: string): Clamd => ({ ...options.backend, address: socketIn(runDirectory) });

  async function launch() {
    directory = join(runRoot, `${runPrefix}${randomBytes(4).toString("hex")}`);
    const temporaryDirectory = join(directory, "tmp");
    await mkdir(temporaryDirectory, { recursive: true, mode: 0o700 });
    const socketPath = join(directory, "clamd.sock");
    const conf = clamdConf({ socketPath, databaseDirectory, temporaryDirectory, slots: options.backend.slots(), limits });
    const confPath = join(directory, "clamd.conf");
    await writeFile(confPath, conf, { mode: 0o600 });
    return { command: program, args: ["--foreground", `--config-file=${confPath}`], cwd: directory };
  }

  async function isReady(signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      if (directory !== null && (await epochOf(directory, signal)) !== null) return;
      await delay(pollMs, undefined, { signal });
    }
  }

  /** The epoch whose canary the clamd of that directory finds now; null while it finds none. */
  async function epochOf(runDirectory: string, signal: AbortSignal): Promise<string | null> {
    try {
      return (await proveClamd(clamdIn(runDirectory), signal)).epoch;
    } catch {
      return null; // still loading; whoever asks has a deadline
    }
  }

  function onReady(): void {
    if (directory === null) return;
    const watch = scratchIn(join(directory, "tmp"));
    scratch = watch;
    backend = createBackend({ ...options.backend, name, address: socketIn(directory), onChange, doubt: watch.doubt });
    pool.add(backend);
  }

  function onLost(reason: string): void {
    if (backend !== null) pool.remove(backend);
    backend = null;
    loads.lost(reason);
  }

  function onChange(): void {
    // A thread that never ends cannot be taken back from clamd; too many of them and clamd is better started afresh.
    const tooMany = Math.max(1, Math.floor(options.backend.slots() / 2));
    if (backend !== null && backend.overdue() >= tooMany) {
      child?.restart("too many scans do not end").catch(() => {}); // it is being stopped: what was wanted
    }
    pool.dispatch();
  }

  function scratchIn(path: string): FreeSpaceWatch {
    // Not from the thread pool: that costs more than the answer, which never waits for a disk.
    const freeBytes = () => {
      const { blocks, bavail, bsize } = statfsSync(path);
      return blocks === 0 ? null : bavail * bsize; // some file systems do not tell
    };
    const reserveBytes = Math.min(limits.maxScanSize, mostReserveBytes);
    return watchFreeSpace({ freeBytes, reserveBytes, clock: options.backend.clock, emit });
  }

  function onLine(line: string): void {
    scratch?.heard(line);
    loads.heard(line);
    // Said just before the first scan with them: a verdict by the old ones must not be given after one by the new ones.
    if (readLogLine(line).some(({ kind }) => kind === "activates")) void backend?.renew();
  }

  function supervise(): SupervisedChild {
    return superviseChild({
      name,
      launch,
      isReady,
      readyTimeoutMs: loadTimeoutMs,
      onReady,
      onLost,
      onLine,
      onExit: async () => {
        if (directory !== null) await rm(directory, { recursive: true, force: true });
      },
      stopGraceMs,
      records,
      emit: (event) => {
        emit(event);
        if (event.kind === "child-exited") loads.lost(event.reason);
      },
    });
  }

  async function startWith(epoch: string, signal: AbortSignal): Promise<void> {
    const started = supervise();
    child = started;
    try {
      await started.start(signal);
      await confirm(epoch, signal);
    } catch (error) {
      child = null;
      await started.stop();
      throw error;
    }
  }

  async function reloadTo(epoch: string, signal: AbortSignal): Promise<void> {
    if (directory === null || backend === null) throw new AwayError("clamd is being restarted");
    try {
      // As long as a load: what is late here has been heard, and undoing it would change the files under clamd's hands.
      await askReload(clamdIn(directory), signal, loadTimeoutMs);
    } catch (error) {
      throw error instanceof ExchangeError && error.fault === "unreached" ? new AwayError(error.message) : error;
    }
    await confirm(epoch, signal);
  }

  async function confirm(epoch: string, signal: AbortSignal): Promise<void> {
    while (directory === null || (await epochOf(directory, signal)) !== epoch) await delay(pollMs, undefined, { signal });
    await backend?.renew();
  }

  return {
    canLoad: () => !isStopped && (child === null || backend !== null),
    async load(epoch) {
      const isStart = child === null;
      try {
        if (isStopped) throw new AwayError("clamd is stopped");
        await loads.during((signal) => (child === null ? startWith(epoch, signal) : reloadTo(epoch, signal)));
        return { ok: true, faults: loads.skipped() };
      } catch (error) {
        const blame = loads.blame(error, { isStart });
        const culprit = loads.culprit();
        if (blame === "set" && culprit !== null) return { ok: false, blame, ...culprit };
        return { ok: false, blame, reason: messageOf(error) };
      }
    },
    async stop() {
      isStopped = true;
      await child?.stop();
    },
    kill() {
      isStopped = true;
      child?.kill();
    },
  };
}

/** Removes what earlier starts left. To be called before the first start, with the directory locked. */
export async function wipeRuns(runRoot: string): Promise<void> {
  for (const entry of await readdir(runRoot)) {
    if (entry.startsWith(runPrefix)) await rm(join(runRoot, entry), { recursive: true, force: true });
  }
}
