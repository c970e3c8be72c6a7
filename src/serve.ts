/** The serve command: runs a gateway until it is told to end. */

import type { Config } from "./config/settings.ts";
import { type Gateway, startGateway } from "./gateway.ts";
import { createLog, type Log, logTo } from "./observe/log.ts";

export interface ServeOptions {
  readonly config: Config;
  readonly allowsTestSignatures: boolean;
  readonly version: string;
  /** For its signals, standard output and environment. */
  readonly process: NodeJS.Process;
}

/** npm passes on a Ctrl-C that the terminal has sent us as well: two signals this close together are one. */
const sameSignalMs = 1_000;

/** Resolves with the exit code when nothing of the gateway is left. */
export async function serve({ config, allowsTestSignatures, version, process }: ServeOptions): Promise<number> {
  const format = config.LOG_FORMAT === "auto" ? (process.stdout.isTTY ? "text" : "json") : config.LOG_FORMAT;
  const log = createLog({ level: config.LOG_LEVEL, format, destination: logTo(1), isColored: process.stdout.isTTY });
  warnIfRoot(process, config, log);
  const signals = heedSignals(process);
  const gateway = await startGateway({ config, log, allowsTestSignatures, version, searchPath: process.env.PATH });
  log.write("info", `listening on ${gateway.urls.join(" and ")}`);
  if (gateway.downloadProxyUrl !== null) log.write("info", `download proxy on ${gateway.downloadProxyUrl}`);
  const failed = new Promise<End>((resolve) => {
    gateway.started.then(
      () => announce(gateway, log),
      (error: unknown) => resolve({ kind: "failed", reason: error instanceof Error ? error.message : String(error) }),
    );
  });

  const end = await Promise.race([signals.first, failed]);
  if (end.kind === "failed") log.write("error", end.reason);
  else log.write("info", `${end.signal}: stopping; scans in flight have ${config.SHUTDOWN_GRACE / 1000} s to finish`);
  const stopped = gateway.stop().then(() => "stopped" as const);
  if ((await Promise.race([stopped, signals.second])) !== "stopped") {
    log.write("warn", "a second signal: ending at once");
    log.flush();
    gateway.kill();
    process.exit(1);
  }
  log.write("info", "stopped");
  log.flush();
  return end.kind === "failed" ? 1 : 0;
}

type End = { readonly kind: "signal"; readonly signal: string } | { readonly kind: "failed"; readonly reason: string };

interface Signals {
  readonly first: Promise<End>;
  readonly second: Promise<"second">;
}

function heedSignals(process: NodeJS.Process): Signals {
  const first = Promise.withResolvers<End>();
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

/** Says where things are, for whoever has just started it. */
function announce(gateway: Gateway, log: Log): void {
  const { isTestOnly, isLoaded, description } = gateway.signatures();
  log.write(isTestOnly || !isLoaded ? "warn" : "info", `signatures: ${description}`);
  const { status } = gateway.readiness();
  const [url = ""] = gateway.urls;
  const local = url.replace("[::]", "localhost").replace("0.0.0.0", "localhost");
  if (status === "not-ready") log.write("warn", `not ready yet: ${local}/readyz tells why`);
  else log.write("info", `${status}; try: curl -F file=@README.md ${local}/v2/scan`);
}

/** Parsers of hostile files had better not run as root. */
function warnIfRoot(process: NodeJS.Process, config: Config, log: Log): void {
  if (process.getuid?.() !== 0 || config.CLAMD_PORT !== null) return;
  log.write("warn", "running as root, and clamd with it: for production use the container image or a user of its own");
}
