/** `clamgate scan`: what is named is scanned, and each result told in a format. */

import { escapeControls } from "../log/escape-controls.ts";
import type { Arguments, Format } from "./commands.ts";
import { clamscanWriter } from "./formats/clamscan.ts";
import { jsonLinesWriter, jsonWriter } from "./formats/json.ts";
import type { ResultWriter, WriterOptions } from "./formats/result-writer.ts";
import { sarifWriter } from "./formats/sarif.ts";
import { textWriter } from "./formats/text.ts";
import { type Input, inputs } from "./inputs.ts";
import { type FilePath, inOrder, type Report, ScanError } from "./library.ts";
import { fileOutput, noOutput, type Output, ReaderGone, standardOutput } from "./output.ts";
import { type Progress, showProgress } from "./progress.ts";
import { readScanRequest, type ScanRequest } from "./scan-request.ts";
import { type LocalScanner, openScanTarget, type ScanTarget } from "./scan-target.ts";
import { createCount, type Outcome, type Summary } from "./summary.ts";

export interface ScanCommandOptions {
  readonly arguments: Arguments;
  /** For its streams, signals, environment and working directory. */
  readonly process: NodeJS.Process;
  /** Of the command. */
  readonly version: string;
  /** Starts a clamd for this run. */
  readonly openLocal: (signal: AbortSignal) => Promise<LocalScanner>;
}

const writers = {
  text: textWriter,
  json: jsonWriter,
  jsonl: jsonLinesWriter,
  sarif: sarifWriter,
  clamscan: clamscanWriter,
} as const satisfies Record<Format, (options: WriterOptions) => ResultWriter>;

const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const;

/** Why a run ends before all has been scanned. */
type Stop =
  | { readonly kind: "signal"; readonly signal: keyof typeof exitCodes }
  /** Nobody is left to scan, or the results cannot be written. */
  | { readonly kind: "fault"; readonly error: Error };

/** Resolves with the exit code. @throws UsageError */
export async function scanCommand({ arguments: given, process, version, openLocal }: ScanCommandOptions): Promise<number> {
  const request = await readScanRequest(given, process.env);
  // Nothing that is started from here on needs it.
  delete process.env.CLAMGATE_API_KEY;
  const { stdout, stderr } = process;
  const run = startRun();
  let target: ScanTarget | null = null;
  let progress: Progress | null = null;
  const tell = (line: string) => {
    progress?.clear();
    stderr.write(`clamgate: ${escapeControls(line)}\n`);
  };
  stderr.on("error", () => {}); // there is nobody to tell it to
  const signals = heedSignals(process, {
    first: (signal) => run.stop({ kind: "signal", signal }),
    second() {
      target?.kill();
      process.kill(process.pid, "SIGKILL");
    },
  });
  const count = createCount(() => performance.now());
  let output = noOutput;
  try {
    output = await openOutput(request, stdout, (error) => run.stop({ kind: "fault", error }));
    target = await openScanTarget({
      ...request,
      mayStart: request.isLocal,
      openLocal,
      signal: run.signal,
      tell: request.isQuiet ? () => {} : tell,
    });
    tellTarget(target, request, tell);
    if (stderr.isTTY && !request.isQuiet && process.env.TERM !== "dumb") {
      progress = showProgress({ stream: stderr, summary: () => count.summary(false) });
    }
    const writer = writers[request.format]({
      ...request,
      listsClean: request.isVerbose,
      isColored: request.outputPath === null && stdout.isTTY === true && !process.env.NO_COLOR,
      version,
      directory: process.cwd(),
      now: Date.now,
    });
    const write = async (text: string) => {
      if (text === "") return;
      if (stdout.isTTY) progress?.clear();
      await output.write(text);
    };
    await write(writer.begin());
    for await (const outcome of outcomes(request, { target, run, stdin: process.stdin, ownName: output.temporaryName })) {
      if (run.signal.aborted) break;
      if (outcome === null) continue;
      count.add(outcome);
      await write(writer.result(outcome));
    }
    progress?.end();
    const summary = count.summary(run.stopped() === null);
    const isWanted = summary.isComplete || request.outputPath === null;
    if (isWanted) {
      await write(writer.end(summary, exitCodeOf(summary, run.stopped())));
      await output.finish();
    }
    if (summary.isComplete) tellEnd(summary, request, tell);
  } catch (error) {
    run.stop({ kind: "fault", error: error instanceof Error ? error : new Error(String(error)) });
  } finally {
    progress?.end();
    signals.close();
    process.stdin.destroy();
    await target?.[Symbol.asyncDispose]();
  }
  const stopped = run.stopped();
  if (stopped !== null) {
    await output.discard();
    tellStop(stopped, request, tell);
  }
  return exitCodeOf(count.summary(stopped === null), stopped);
}

interface Run {
  /** Aborted when the run ends before all has been scanned. */
  readonly signal: AbortSignal;
  stop(why: Stop): void;
  /** The first reason; null where it goes on. */
  stopped(): Stop | null;
}

function startRun(): Run {
  const stopping = new AbortController();
  let stopped: Stop | null = null;
  return {
    signal: stopping.signal,
    stop(why) {
      stopped ??= why;
      stopping.abort(new ScanError("aborted", "the run has ended"));
    },
    stopped: () => stopped,
  };
}

async function openOutput(request: ScanRequest, stdout: NodeJS.WritableStream, onFault: (error: Error) => void): Promise<Output> {
  if (request.outputPath !== null) return await fileOutput(request.outputPath);
  return request.isQuiet ? noOutput : standardOutput(stdout, onFault);
}

interface Stage {
  readonly target: ScanTarget;
  readonly run: Run;
  readonly stdin: NodeJS.ReadStream;
  readonly ownName: string | null;
}

/** In the order in which the files are found; null for what the end of the run has cut off. */
function outcomes(request: ScanRequest, { target, run, stdin, ownName }: Stage): AsyncIterable<Outcome | null> {
  const { signal } = run;
  const { scanner } = target;
  const found = inputs({ ...request, stdin, ownName, signal });

  async function outcomeOf(input: Input): Promise<Outcome | null> {
    switch (input.kind) {
      case "fault":
        return input;
      case "stdin":
        return scanned("-", () => scanner.scan(stdin, { name: "-", signal }), false);
      case "file":
        return scanned(input.path, () => scanner.scanFile(input.path, { signal }), true);
    }
  }

  async function scanned(path: FilePath, scan: () => Promise<Report>, isRepeatable: boolean): Promise<Outcome | null> {
    if (signal.aborted) return null;
    try {
      return { path, report: await scan() };
    } catch (error) {
      if (signal.aborted) return null;
      const fault = error instanceof ScanError ? error : new ScanError("input", String(error));
      const { code } = fault;
      if (code === "unauthenticated" || code === "forbidden") run.stop({ kind: "fault", error: fault });
      if (!isRepeatable || (code !== "connection" && code !== "unavailable")) return { path, error: fault };
    }
    try {
      await target.ready(signal);
    } catch (error) {
      if (!signal.aborted) run.stop({ kind: "fault", error: error instanceof Error ? error : new Error(String(error)) });
      return null;
    }
    // It was away for a while, or had no room for this one.
    return scanned(path, scan, false);
  }

  return inOrder(found, request.jobs, outcomeOf);
}

function exitCodeOf({ files, errors, isBlocked }: Summary, stopped: Stop | null): number {
  if (stopped?.kind === "signal") return exitCodes[stopped.signal];
  if (isBlocked) return 1;
  return stopped !== null || errors > 0 || files === 0 ? 2 : 0;
}

function tellTarget({ name, status }: ScanTarget, { isVerbose }: ScanRequest, tell: (line: string) => void): void {
  if (isVerbose) {
    tell(
      `${name} scans${status?.engine == null ? "" : `: ClamAV ${status.engine.engine}, signatures ${status.engine.database}`}`,
    );
    for (const warning of status?.warnings ?? []) tell(`to look at: ${warning}`);
  }
  if (status?.engine?.testOnly) tell("TEST SIGNATURES ONLY: they find nothing but test files");
}

function tellEnd({ files, letPass }: Summary, { format, isQuiet }: ScanRequest, tell: (line: string) => void): void {
  if (files === 0) tell("there is nothing to scan");
  // The other formats tell of each.
  if (letPass > 0 && format === "clamscan" && !isQuiet)
    tell(`${letPass} ${letPass === 1 ? "file was" : "files were"} let pass though not clean`);
}

function tellStop(stopped: Stop, { outputPath }: ScanRequest, tell: (line: string) => void): void {
  const unwritten = outputPath === null ? "" : `; ${outputPath} is not written`;
  if (stopped.kind === "signal") tell(`${stopped.signal}: ended before all was scanned${unwritten}`);
  else if (!(stopped.error instanceof ReaderGone)) tell(`${stopped.error.message}${unwritten}`);
}

/** Without these a signal would end the process at once, its results cut short. */
function heedSignals(
  process: NodeJS.Process,
  { first, second }: { readonly first: (signal: keyof typeof exitCodes) => void; readonly second: () => void },
): { close(): void } {
  let isFirst = true;
  const heed = (signal: keyof typeof exitCodes) => {
    if (isFirst) first(signal);
    else second();
    isFirst = false;
  };
  const listeners = { SIGINT: () => heed("SIGINT"), SIGTERM: () => heed("SIGTERM") } as const;
  process.on("SIGINT", listeners.SIGINT).on("SIGTERM", listeners.SIGTERM);
  return { close: () => void process.off("SIGINT", listeners.SIGINT).off("SIGTERM", listeners.SIGTERM) };
}
