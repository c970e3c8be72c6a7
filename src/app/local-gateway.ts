/** A gateway for one run of the command line: its own clamd, nothing that outlives it, and no door but one on loopback. */

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { limitSettings } from "../config/groups/limit-settings.ts";
import { scanningSettings } from "../config/groups/scanning-settings.ts";
import { type Environment, readConfig } from "../config/read-config.ts";
import { untilAborted } from "../core/until-aborted.ts";
import { logTo } from "../log/destination.ts";
import { createLog } from "../log/log.ts";
import { startGateway } from "./gateway.ts";

export interface LocalGatewayOptions {
  readonly environment: Environment;
  /** Of the gateway. */
  readonly version: string;
  readonly signal: AbortSignal;
}

export interface LocalGateway {
  readonly url: string;
  /** Resolves when nothing of it is left. */
  stop(): Promise<void>;
  kill(): void;
}

/** Where the packages of ClamAV keep the signatures that their freshclam fetches. */
const usualDirectory = "/var/lib/clamav";
const standardError = 2;
const signatureFile = /\.(c[lv]d|ndb|hdb|hsb|ldb|mdb|yara?)$/;

/** Resolves when it can scan. Rejects with an Error for the user where it cannot; nothing is left behind then. */
export async function openLocalGateway({ environment, version, signal }: LocalGatewayOptions): Promise<LocalGateway> {
  const signatures = environment.DATABASE_DIRECTORY || usualDirectory;
  const found = await readdir(signatures).catch(() => []);
  if (!found.some((name) => signatureFile.test(name))) {
    throw new Error(`there are no signatures in ${signatures}: run freshclam, or set DATABASE_DIRECTORY to where they are`);
  }
  const state = await mkdtemp(join(tmpdir(), "clamgate-"));
  const remove = () => rm(state, { recursive: true, force: true });
  try {
    const config = configOf(environment, { state, signatures });
    const destination = logTo(standardError);
    const log = createLog({ level: "error", format: "text", destination });
    const gateway = await startGateway({
      config,
      log,
      standardOutput: destination,
      allowsTestSignatures: false,
      version,
      searchPath: environment.PATH,
    });
    const stop = async () => {
      await gateway.stop();
      await remove();
    };
    try {
      await untilAborted(gateway.started, signal);
      if (!gateway.signatures().isLoaded) throw new Error(`the signatures in ${signatures} cannot be loaded`);
    } catch (error) {
      await stop();
      throw error;
    }
    return { url: gateway.urls[0] ?? "", stop, kill: () => gateway.kill() };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Limits and policy as the environment has them; not the doors, the pool or the cache of a gateway that may be meant by the rest. */
function configOf(environment: Environment, { state, signatures }: { readonly state: string; readonly signatures: string }) {
  const taken = [...limitSettings, ...scanningSettings].map(({ name }) => [name, environment[name]] as const);
  const reading = readConfig(
    {
      ...Object.fromEntries(taken),
      MAX_THREADS: environment.MAX_THREADS,
      HOST: "127.0.0.1",
      PORT: "0",
      DOWNLOAD_PROXY_PORT: "off",
      STATE_DIRECTORY: state,
      DATABASE_DIRECTORY: signatures,
      SIGNATURE_CHECKS: "0",
      VERDICT_CACHE: "memory:",
      SHUTDOWN_DELAY: "0",
      SHUTDOWN_GRACE: "1s",
    },
    { cwd: process.cwd(), cores: availableParallelism() },
  );
  if (reading.kind === "faults") throw new Error(reading.faults.join("; "));
  return reading.config;
}
