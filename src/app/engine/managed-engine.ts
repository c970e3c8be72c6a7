/** The engine's side when clamd is ours: signatures kept fresh, loaded epoch by epoch into one supervised clamd. */

import { lookup } from "node:dns/promises";
import { readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import type { BackendOptions } from "../../clamd/backend.ts";
import type { ClamdLimits } from "../../clamd/clamd-conf.ts";
import type { EnginePool } from "../../clamd/pool.ts";
import type { Config } from "../../config/settings.ts";
import type { Emit } from "../../core/events.ts";
import type { ChildRecords } from "../../process/child-records.ts";
import { runToEnd } from "../../process/run.ts";
import { newestDatabaseSeconds } from "../../signatures/database-time.ts";
import { openEpochs } from "../../signatures/epochs.ts";
import { freshclamConf, freshclamConfMode, readFreshclamConf } from "../../signatures/freshclam/freshclam-conf.ts";
import { logTo } from "../../signatures/freshclam/freshclam-log.ts";
import { newestAttemptSeconds } from "../../signatures/freshclam/update-log.ts";
import type { LoadEpoch } from "../../signatures/set-loader.ts";
import { maxFileBytes } from "../../signatures/signature-set.ts";
import { writeTestSignatures } from "../../signatures/test-set.ts";
import { keepSignatures } from "../../signatures/updater.ts";
import { makeDatabaseDirectory } from "../directories.ts";
import { settingFault } from "../setting-fault.ts";
import type { EngineSide } from "./engine-side.ts";
import { createManagedClamd } from "./managed-clamd.ts";

export interface ManagedEngineOptions {
  readonly config: Config;
  readonly programs: { readonly clamd: string; readonly freshclam: string | null };
  readonly limits: ClamdLimits;
  readonly backend: Omit<BackendOptions, "name" | "address" | "onChange">;
  readonly pool: EnginePool;
  readonly records: ChildRecords;
  /** Whether the built-in test signatures will do while there are no others. */
  readonly allowsTestSignatures: boolean;
  readonly emit: Emit;
}

/** A change is loaded at the second look that finds it the same. */
const directoryPollMs = 5_000;
/** clamd.md 8.3 */
const freshclamTimeoutMs = 15 * 60_000;
/** It loads each new database to test it: the largest takes a third of this. */
const freshclamMemoryBytes = 3 * 1024 ** 3;
const freshclamLog = "freshclam.log";
/** With the mirror out of reach, a start that may fall back on test signatures does not wait for freshclam to find out. */
const reachMs = 4_000;

export async function managedEngine(options: ManagedEngineOptions): Promise<EngineSide> {
  const { config, pool, records, emit } = options;
  const state = config.STATE_DIRECTORY;
  const epochs = await openEpochs({ directory: join(state, "epochs") });
  const source = await signatureSource(config);
  await makeDatabaseDirectory(source.setting, source.directory);
  const clamd = createManagedClamd({
    program: options.programs.clamd,
    runRoot: state,
    databaseDirectory: epochs.currentPath,
    limits: options.limits,
    backend: options.backend,
    pool,
    records,
    emit,
  });

  const load: LoadEpoch = async (epoch) => {
    // A clamd that starts reads what is active, file by file: it must not be given half of another set.
    if (!clamd.canLoad()) return { ok: false, reason: "clamd is being restarted or stopped", blame: "engine" };
    const before = await epochs.current();
    await epochs.activate(epoch);
    const outcome = await clamd.load(epoch.id);
    // Whatever starts next must find signatures that are known to load.
    if (!outcome.ok && before !== null) await epochs.activate(before);
    return outcome;
  };

  let fallbackDirectory: string | null = null;
  if (options.allowsTestSignatures) {
    fallbackDirectory = join(state, "test-signatures");
    await writeTestSignatures(fallbackDirectory);
  }

  const canFetch = options.programs.freshclam !== null;
  if (!canFetch) emit({ kind: "notice", level: "warn", message: "freshclam is not installed: signatures are not fetched" });
  const updater = keepSignatures({
    directory: source.directory,
    epochs,
    load,
    fallbackDirectory,
    checksPerDay: canFetch ? config.SIGNATURE_CHECKS : 0,
    freshclam: {
      run: logTo(join(state, freshclamLog), (run) => runToEnd({ ...run, records })),
      command: options.programs.freshclam ?? "freshclam",
      configPath: source.configPath,
      // An operator's own file says itself whether names are looked up.
      usesDns: config.FRESHCLAM_CONF !== null || config.DATABASE_MIRROR === null,
      hasCustomUrls: config.DATABASE_CUSTOM_URLS.length > 0,
      bounds: { fileBytes: maxFileBytes, memoryBytes: freshclamMemoryBytes },
      timeoutMs: freshclamTimeoutMs,
    },
    pollMs: directoryPollMs,
    firstUpdateMs: await firstUpdateMs(options),
    emit,
    clock: () => performance.now(),
    now: Date.now,
    random: Math.random,
    after(ms, action) {
      const timer = setTimeout(action, ms);
      return () => clearTimeout(timer);
    },
  });

  return {
    start: () => updater.start(),
    async reload() {
      // A full database takes half a minute: what else is read anew does not wait for it.
      void updater.loadNow();
    },
    async stop() {
      // A load that is under way ends with its clamd.
      const closed = updater.close();
      await clamd.stop();
      await closed;
    },
    kill: () => clamd.kill(),
    signatures() {
      const { set, isTestOnly, builtAt, keptOut } = updater.status();
      const own = set?.files.filter(({ header }) => header === null);
      const official = set?.files.flatMap(({ name, header }) => {
        return header === null ? [] : [{ name: name.replace(/\.\w+$/, ""), version: header.version, builtAt: header.builtAt }];
      });
      // The answer of /readyz is open to all who reach it.
      const withoutPath = (reason: string) =>
        reason.replaceAll(`${epochs.currentPath}/`, "").replaceAll(source.directory, source.setting);
      return {
        isLoaded: set !== null,
        isTestOnly,
        builtAt,
        files: { official: official ?? [], own: own?.map(({ name }) => name) ?? [] },
        keptOut: keptOut.map(({ file, reason }) => ({ file, reason: withoutPath(reason) })),
        description: describe(updater.status()),
      };
    },
    expectedBackends: () => 1,
    updateTimes: {
      success: () => newestDatabaseSeconds(source.directory),
      attempt: () => newestAttemptSeconds(source.updateLog),
    },
  };
}

interface SignatureSource {
  /** Which one names the directory. */
  readonly setting: "DATABASE_DIRECTORY" | "FRESHCLAM_CONF";
  readonly directory: string;
  readonly configPath: string;
  readonly updateLog: string;
}

/** Where freshclam puts signatures and how it is told: a FRESHCLAM_CONF of the operator's is used as it is. */
async function signatureSource(config: Config): Promise<SignatureSource> {
  const state = config.STATE_DIRECTORY;
  const updateLog = join(state, freshclamLog);
  if (config.FRESHCLAM_CONF !== null) {
    const custom = readFreshclamConf(await readCustomConf(config.FRESHCLAM_CONF));
    return {
      setting: custom.databaseDirectory === null ? "DATABASE_DIRECTORY" : "FRESHCLAM_CONF",
      directory: custom.databaseDirectory ?? config.DATABASE_DIRECTORY,
      configPath: config.FRESHCLAM_CONF,
      updateLog: custom.updateLogFile ?? updateLog,
    };
  }
  const { PROXY_SERVER: server, PROXY_PORT: port, PROXY_USERNAME: username, PROXY_PASSWORD: password } = config;
  const text = freshclamConf({
    databaseDirectory: config.DATABASE_DIRECTORY,
    databaseOwner: process.getuid?.() === 0 ? userInfo().username : null,
    mirror: config.DATABASE_MIRROR,
    customUrls: config.DATABASE_CUSTOM_URLS,
    proxy: server === null ? null : { server, port, credentials: username && password ? { username, password } : null },
    connectTimeoutSeconds: 10,
    receiveTimeoutSeconds: 60,
    maxAttempts: 2,
  });
  const configPath = join(state, "freshclam.conf");
  // A mode counts for a new file only.
  await rm(configPath, { force: true });
  await writeFile(configPath, text, { mode: freshclamConfMode, flag: "wx" });
  return { setting: "DATABASE_DIRECTORY", directory: config.DATABASE_DIRECTORY, configPath, updateLog };
}

async function readCustomConf(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw settingFault("FRESHCLAM_CONF", `${path} cannot be read`, error);
  }
}

/** How long the first fetch is waited for. */
async function firstUpdateMs({ config, allowsTestSignatures, emit }: ManagedEngineOptions): Promise<number> {
  if (!allowsTestSignatures || config.FRESHCLAM_CONF !== null || config.SIGNATURE_CHECKS === 0) return config.FIRST_FETCH_TIMEOUT;
  const mirror = config.PROXY_SERVER ?? config.DATABASE_MIRROR ?? "https://database.clamav.net";
  if (await isReachable(mirror, config.PROXY_SERVER === null ? null : config.PROXY_PORT)) return config.FIRST_FETCH_TIMEOUT;
  emit({ kind: "notice", level: "warn", message: "the signature mirror cannot be reached: going on without waiting for it" });
  return Math.min(reachMs, config.FIRST_FETCH_TIMEOUT);
}

async function isReachable(server: string, port: number | null): Promise<boolean> {
  const url = URL.parse(server.includes("://") ? server : `http://${server}`);
  if (url === null) return true; // freshclam will tell what is wrong with it
  const signal = AbortSignal.timeout(reachMs);
  const expired = new Promise<boolean>((resolve) => signal.addEventListener("abort", () => resolve(false), { once: true }));
  return Promise.race([canConnect(url, port), expired]);
}

async function canConnect(url: URL, port: number | null): Promise<boolean> {
  try {
    const { address } = await lookup(url.hostname.replace(/^\[|\]$/g, ""));
    const toPort = port ?? Number(url.port || (url.protocol === "https:" ? 443 : 80));
    return await new Promise((resolve) => {
      const socket = connect({ host: address, port: toPort, timeout: reachMs });
      const end = (isOpen: boolean) => {
        socket.destroy();
        resolve(isOpen);
      };
      socket
        .once("connect", () => end(true))
        .once("error", () => end(false))
        .once("timeout", () => end(false));
    });
  } catch {
    return false; // its name is not known here
  }
}

function describe(status: ReturnType<ReturnType<typeof keepSignatures>["status"]>): string {
  const { set, isTestOnly, builtAt, updates, keptOut } = status;
  const out = keptOut.length === 0 ? "" : `; kept out: ${keptOut.map(({ file }) => file ?? "the newest set").join(", ")}`;
  const fetched =
    updates === "on" ? "" : updates === "off" ? "; never fetched" : "; the directory is read-only, so nothing is fetched";
  const rest = `${fetched}${out}`;
  if (set === null) return `none yet${rest}`;
  if (isTestOnly) return `TEST SIGNATURES ONLY: EICAR and ClamAV's own test file are detected, nothing else${rest}`;
  const age = builtAt === null ? "" : `, built ${builtAt.toISOString()}`;
  const daily = set.daily === null ? "" : `, daily ${set.daily.version}`;
  return `${set.files.length} files${daily}${age}${rest}`;
}
