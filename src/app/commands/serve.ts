/** The serve command: runs a gateway until it is told to end. */

import { setTimeout as delay } from "node:timers/promises";
import { isatty } from "node:tty";
import type { Config } from "../../config/settings.ts";
import { messageOf } from "../../core/errors.ts";
import { logTo } from "../../log/destination.ts";
import { createLog, type Log } from "../../log/log.ts";
import { openDoorWarning } from "../access.ts";
import { type Gateway, startGateway } from "../gateway.ts";
import { type ServiceManager, serviceManager } from "../service-manager.ts";

export interface ServeOptions {
  readonly config: Config;
  /** What the settings say and is not run so. */
  readonly warnings: readonly string[];
  readonly allowsTestSignatures: boolean;
  readonly version: string;
  /** For its signals and environment. */
  readonly process: NodeJS.Process;
}

const standardOutput = 1;
const progressMs = 5_000;

/** npm passes on a Ctrl-C that the terminal has sent us as well: two signals this close together are one. */
const sameSignalMs = 1_000;

/** Resolves with the exit code when nothing of the gateway is left. */
export async function serve({ config, warnings, allowsTestSignatures, version, process }: ServeOptions): Promise<number> {
  const isTerminal = isatty(standardOutput);
  const format = config.LOG_FORMAT === "auto" ? (isTerminal ? "text" : "json") : config.LOG_FORMAT;
  const destination = logTo(standardOutput);
  const log = createLog({ level: config.LOG_LEVEL, format, destination, isColored: isTerminal });
  for (const warning of warnings) log.write("warn", warning);
  warnIfRoot(process, config, log);
  const openDoor = openDoorWarning(config);
  if (openDoor !== null) log.write("warn", openDoor);
  const signals = heedSignals(process);
  const manager = serviceManager(process);
  const starting = startGateway({
    config,
    log,
    standardOutput: destination,
    allowsTestSignatures,
    version,
    searchPath: process.env.PATH,
  });
  reloadOnHangup(process, starting, log);
  const gateway = await Promise.race([starting, signals.first.then(() => null)]);
  if (gateway === null) return endStart(starting, { signals, graceMs: config.SHUTDOWN_GRACE, log, process });
  log.write("info", `listening on ${gateway.urls.join(" and ")}`);
  if (gateway.downloadProxyUrl !== null) log.write("info", `download proxy on ${gateway.downloadProxyUrl}`);
  for (const url of gateway.icapUrls) log.write("info", `ICAP on ${url}`);
  const progress = tellProgress(config, log);
  manager.tell("READY=1", "STATUS=listening; waiting for an engine with signatures");
  if (gateway.clamdAddresses.length > 0) log.write("info", `clamd door on ${gateway.clamdAddresses.join(" and ")}`);
  const failed = new Promise<End>((resolve) => {
    gateway.started.finally(progress.end).then(
      () => announce(gateway, { log, manager }),
      (error: unknown) => resolve({ kind: "failed", reason: messageOf(error) }),
    );
  });

  const end = await Promise.race([signals.first, failed]);
  progress.end();
  manager.tell("STOPPING=1");
  manager.close();
  if (end.kind === "failed") log.write("error", end.reason);
  else log.write("info", `${end.signal}: stopping; scans in flight have ${config.SHUTDOWN_GRACE / 1000} s to finish`);
  await stop(gateway, { signals, log, process });
  return end.kind === "failed" ? 1 : 0;
}

interface Stopping {
  readonly signals: Signals;
  readonly log: Log;
  readonly process: NodeJS.Process;
}

/** A start cannot be called off, and may hang for good in a system call: it has the grace to end, and what came of it is stopped. */
async function endStart(starting: Promise<Gateway>, stopping: Stopping & { readonly graceMs: number }): Promise<number> {
  const { signals, log, process, graceMs } = stopping;
  const grace = `${graceMs / 1000} s`;
  log.write("info", `${(await signals.first).signal}: stopping; the start under way has ${grace} to end`);
  const late = delay(graceMs, "late" as const, { ref: false });
  const gateway = await Promise.race([starting, signals.second, late]);
  if (gateway === "second" || gateway === "late") {
    announceEnd(log, gateway === "second" ? "a second signal" : `the start has not ended within ${grace}`);
    // exit() would wait for the thread that hangs (exit(3) joins libuv's). There are no children yet that would be left.
    process.kill(process.pid, "SIGKILL");
    return 1;
  }
  await stop(gateway, stopping);
  return 0;
}

async function stop(gateway: Gateway, { signals, log, process }: Stopping): Promise<void> {
  const stopped = gateway.stop().then(() => "stopped" as const);
  if ((await Promise.race([stopped, signals.second])) !== "stopped") {
    announceEnd(log, "a second signal");
    gateway.kill();
    process.exit(1);
  }
  log.write("info", "stopped");
  log.flush();
}

function announceEnd(log: Log, reason: string): void {
  log.write("warn", `${reason}: ending at once`);
  log.flush();
}

type Signal = { readonly kind: "signal"; readonly signal: string };
type End = Signal | { readonly kind: "failed"; readonly reason: string };

interface Signals {
  readonly first: Promise<Signal>;
  readonly second: Promise<"second">;
}

function heedSignals(process: NodeJS.Process): Signals {
  const first = Promise.withResolvers<Signal>();
  const second = Promise.withResolvers<"second">();
  let firstAt: number | null = null;
  const onSignal = (signal: string) => {
    if (firstAt !== null && performance.now() - firstAt > sameSignalMs) second.resolve("second");
    firstAt ??= performance.now();
    first.resolve({ kind: "signal", signal });
  };
  process.on("SIGTERM", onSignal).on("SIGINT", onSignal);
  return { first: first.promise, second: second.promise };
}

/** Without a listener it would end the process at once, as when its terminal is closed. One reload at a time, and none before the start. */
function reloadOnHangup(process: NodeJS.Process, starting: Promise<Gateway>, log: Log): void {
  let last: Promise<void> = Promise.resolve();
  process.on("SIGHUP", () => {
    log.write("info", "SIGHUP: reading anew what can change without a restart");
    last = last
      .then(() => starting)
      .then(
        (gateway) => gateway.reload(),
        () => {}, // the start has failed, and that has been told
      );
  });
}

/** A full database takes half a minute to load, its first fetch minutes. */
function tellProgress({ CLAMD_PORT }: Config, log: Log): { end(): void } {
  const startedAt = performance.now();
  const what = CLAMD_PORT === null ? "loading signatures" : "waiting for clamd";
  const timer = setInterval(() => {
    log.write("info", `${what}, ${Math.round((performance.now() - startedAt) / 1000)} s`);
  }, progressMs).unref();
  return { end: () => clearInterval(timer) };
}

/** What is there, what somebody should look at, and in the last line whether it can be used, and how. */
function announce(gateway: Gateway, { log, manager }: { readonly log: Log; readonly manager: ServiceManager }): void {
  const { isTestOnly, isLoaded, description } = gateway.signatures();
  log.write(isTestOnly || !isLoaded ? "warn" : "info", `signatures: ${description}`);
  const { status, checks } = gateway.readiness();
  for (const { name, ok, detail, action } of checks) {
    if (!ok) log.write("warn", `to look at: ${name}: ${detail}${action === undefined ? "" : ` (${action})`}`);
  }
  const [url = ""] = gateway.urls;
  const local = url.replace("[::]", "localhost").replace("0.0.0.0", "localhost");
  const isReady = status !== "not-ready" && status !== "loading";
  manager.tell(`STATUS=${isReady ? "ready" : "NOT READY"}; signatures: ${description}`);
  if (!isReady) log.write("warn", `NOT READY: ${local}/readyz tells why, and when it is`);
  else log.write("info", `READY: scans what is sent to ${local}; try: curl -F file=@README.md ${local}/v2/scan`);
}

/** Parsers of hostile files had better not run as root. */
function warnIfRoot(process: NodeJS.Process, config: Config, log: Log): void {
  if (process.getuid?.() !== 0 || config.CLAMD_PORT !== null) return;
  log.write("warn", "running as root, and clamd with it: for production use the container image or a user of its own");
}
