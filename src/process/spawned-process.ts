/** One started process that leads its own group: its lines, its record and its whole end. */

import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { messageOf } from "../core/errors.ts";
import type { ChildRecords } from "./child-records.ts";
import type { Ending } from "./ending.ts";
import { readLines } from "./lines.ts";
import { groupEndsWithin, signalGroup } from "./process-group.ts";
import { settlesWithin, type Timing } from "./timing.ts";

export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  /** The whole environment of the child; without it, ours. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export interface SpawnedProcess {
  /** Null when it could not be started. */
  readonly pid: number | null;
  /** True once the records have it; false when it could not, and the process is being killed for that. Never rejects. */
  readonly isRecorded: Promise<boolean>;
  hasExited(): boolean;
  /** Resolves as soon as the leader has ended; never rejects. */
  readonly exited: Promise<Ending>;
  /** Resolves when its group, its pipes and its record are gone too; never rejects. */
  readonly ended: Promise<Ending>;
  /** SIGTERM to the leader, after `graceMs` SIGKILL to the group. Resolves with `ended`. */
  terminate(graceMs: number): Promise<Ending>;
  /** SIGKILL to the group, at once. */
  kill(): void;
}

export interface SpawnOptions {
  readonly records: ChildRecords;
  /** Both pipes, line by line; must not throw. */
  readonly onLine: (line: string) => void;
  readonly timing: Timing;
}

/** Never throws: a process that cannot be started, or not be recorded, is one that has ended. */
export function spawnProcess(launch: Launch, options: SpawnOptions): SpawnedProcess {
  const exited = Promise.withResolvers<Ending>();
  let failure: string | null = null;
  let hasExited = false;
  const leave = (ending: Ending): void => {
    hasExited = true;
    exited.resolve(ending);
  };

  let child: ChildProcess | null = null;
  try {
    child = spawn(launch.command, launch.args, {
      ...(launch.cwd === undefined ? {} : { cwd: launch.cwd }),
      ...(launch.env === undefined ? {} : { env: launch.env }),
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
  } catch (thrown) {
    // Node throws some failures, as an argument list too long, and emits the others.
    failure = startFailure(launch, thrown);
  }
  const pid = child?.pid ?? null;
  const kill = (): void => {
    if (pid !== null && !hasExited) signalGroup(pid, "SIGKILL");
  };
  child?.on("error", (error) => {
    // Also emitted for a signal that could not be sent: then there is a process, and its exit will be told.
    if (pid === null) leave({ code: null, signal: null, failure: startFailure(launch, error) });
  });
  child?.once("exit", (code, signal) => {
    // At once, before the number can be reused: helpers that outlive their leader would keep its files and sockets.
    if (pid !== null) signalGroup(pid, "SIGKILL");
    leave(failure === null ? { code, signal, failure } : { code: null, signal: null, failure });
  });
  if (child === null) leave({ code: null, signal: null, failure });

  // When descriptors run out Node makes no pipes at all, whatever its types say.
  const pipes = [child?.stdout, child?.stderr].filter((pipe): pipe is Readable => pipe !== null && pipe !== undefined);
  const closed = Promise.all(pipes.map((pipe) => readLines(pipe, { onLine: options.onLine })));
  const isRecorded = record(pid, launch, options.records).then(
    () => true,
    (thrown) => {
      // The next gateway could not find it: better no child now than one that nobody ends.
      failure = `${launch.command} cannot be recorded: ${messageOf(thrown)}`;
      kill();
      return false;
    },
  );
  const ended = exited.promise.then(async (ending) => {
    await isRecorded;
    // A process that left the group may hold the pipes for ever.
    if (!(await settlesWithin(closed, drainMs, options.timing))) for (const pipe of pipes) pipe.destroy();
    if (pid !== null) await cleanUp(pid, options);
    return ending;
  });

  const terminate = async (graceMs: number): Promise<Ending> => {
    if (!hasExited) child?.kill("SIGTERM");
    if (!(await settlesWithin(exited.promise, graceMs, options.timing))) kill();
    return ended;
  };
  return { pid, isRecorded, hasExited: () => hasExited, exited: exited.promise, ended, terminate, kill };
}

async function record(pid: number | null, launch: Launch, records: ChildRecords): Promise<void> {
  if (pid !== null) await records.add(pid, launch.command);
}

async function cleanUp(pid: number, { records, timing }: SpawnOptions): Promise<void> {
  // Whoever wipes their directory next must find nobody writing in it.
  await groupEndsWithin(pid, drainMs, timing);
  try {
    await records.remove(pid);
  } catch {
    // A record that stays fits no process any more: the next gateway drops it.
  }
}

function startFailure(launch: Launch, thrown: unknown): string {
  // A missing working directory is reported as if the command were missing.
  const where = launch.cwd === undefined ? "" : ` in ${launch.cwd}`;
  return `${launch.command} cannot be started${where}: ${messageOf(thrown)}`;
}

/** How long the last output and the last helpers of an ended process are waited for. */
const drainMs = 2_000;
