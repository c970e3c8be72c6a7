/** The composition root: a Config becomes a running gateway, and its orderly end. */

import { statfsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { FastifyPluginAsync } from "fastify";
import { createPool } from "../clamd/pool.ts";
import { readAgain } from "../clamd/read-again.ts";
import type { Config } from "../config/settings.ts";
import { isOfFormat } from "../containers/format.ts";
import { createInspect } from "../containers/inspect.ts";
import type { PoolStats } from "../core/engine.ts";
import { messageOf } from "../core/errors.ts";
import type { Emit } from "../core/events.ts";
import { lookInside } from "../core/look-inside.ts";
import { createScan, decide } from "../core/scan.ts";
import type { Verdict } from "../core/verdict.ts";
import type { VerdictKey } from "../core/verdict-cache.ts";
import { opsRoutes } from "../front/ops/ops-routes.ts";
import { judgeReadiness, type Readiness, type ReadinessState } from "../front/ops/readiness.ts";
import { docs } from "../front/page/docs.ts";
import { loadPage } from "../front/page/page.ts";
import { type RestFrontOptions, restFront } from "../front/rest/front.ts";
import { usualLinger } from "../http/linger.ts";
import { logEvents } from "../log/events.ts";
import type { Log, LogDestination } from "../log/log.ts";
import type { GaugeSnapshot } from "../metrics/gauges.ts";
import { createMetrics } from "../metrics/metrics.ts";
import { openChildRecords } from "../process/child-records.ts";
import { type DirectoryLock, lockDirectory } from "../process/lock.ts";
import { openSpool } from "../spool/spool.ts";
import { openAccess } from "./access.ts";
import { openAudit, recordedScan } from "./audit.ts";
import { openCaches } from "./caches.ts";
import { type ClamdDoor, openClamdDoor } from "./clamd-door.ts";
import { makeSettingDirectories, spoolDirectoryOf } from "./directories.ts";
import { emitToAll } from "./emit-to-all.ts";
import { openEngine } from "./engine/engine-choice.ts";
import type { SignatureState } from "./engine/engine-side.ts";
import { wipeRuns } from "./engine/managed-clamd.ts";
import { type Icap, startIcap } from "./icap.ts";
import { openapiOptions } from "./openapi.ts";
import { startDownloadProxy } from "./proxy.ts";
import { type Servers, type ServersOptions, startServers } from "./servers.ts";
import { settingFault } from "./setting-fault.ts";
import { watchTroubles } from "./troubles.ts";

export interface GatewayOptions {
  readonly config: Config;
  readonly log: Log;
  /** For the record of what was asked, beside the log's lines. */
  readonly standardOutput: LogDestination;
  /** Whether the built-in test signatures will do where no others can be had; never in production. */
  readonly allowsTestSignatures: boolean;
  /** The gateway's own version. */
  readonly version: string;
  /** PATH, to find the ClamAV programs. */
  readonly searchPath: string | undefined;
}

export interface Gateway {
  readonly urls: readonly string[];
  /** Null where it is off. */
  readonly downloadProxyUrl: string | null;
  /** None where it is off. */
  readonly icapUrls: readonly string[];
  /** Where it answers as a clamd does. */
  readonly clamdAddresses: readonly string[];
  /** Resolves when an engine has proved itself, or with nothing to be had for now; rejects when there is no point in going on. */
  readonly started: Promise<void>;
  signatures(): SignatureState;
  readiness(): Readiness;
  /**
   * Takes up what has changed in the files and names that the settings name, and tells of it in the log. What is not right stays as it was.
   * Never rejects.
   */
  reload(): Promise<void>;
  /** Not ready from now on; after SHUTDOWN_DELAY it takes nothing new, answers what is under way within the grace, then ends everything. Resolves when nothing is left. */
  stop(): Promise<void>;
  /** Ends the children at once, for a process that ends now. */
  kill(): void;
}

/** Besides the routes. All other settings are variables of the environment, which never change for a process. */
const reloadable =
  "DATABASE_DIRECTORY, API_KEYS_FILE, AUDIT, DOWNLOAD_EXTRA_CA, SSL_CERT, SSL_KEY, SSL_CLIENT_CA, ICAP_CLIENT_CA, the names in CLAMD_PORT";
const reapGraceMs = 5_000;
/** For a question that is answered "unknown" sooner than it waits for a scan. */
const lookUpMs = 1_000;
const healthcheckMaxAgeHours = 48;
/** What a refused client is told to wait: a restart of clamd with a full database takes longer, a full queue far less. */
const retryAfterSeconds = 5;

/** Rejects with an Error for the operator when the gateway cannot run here; nothing is left behind then. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const opened = new AsyncDisposableStack();
  try {
    return await open(options, opened);
  } catch (error) {
    await opened.disposeAsync();
    throw error;
  }
}

async function open(
  { config, log, standardOutput, allowsTestSignatures, version, searchPath }: GatewayOptions,
  opened: AsyncDisposableStack,
): Promise<Gateway> {
  const clock = () => performance.now();
  const metrics = opened.adopt(
    createMetrics({
      version,
      gauges: () => snapshot(),
      updateTimes: { success: () => engine.updateTimes.success(), attempt: () => engine.updateTimes.attempt() },
      children: ["clamd", "freshclam"],
    }),
    async (made) => made.close(),
  );
  const troubles = watchTroubles(clock);
  const audit = openAudit(config, standardOutput);
  if (audit !== null) opened.defer(async () => audit.close());
  const emit: Emit = emitToAll(logEvents(log), metrics.emit, troubles.emit, ...(audit === null ? [] : [audit.emit]));

  const state = config.STATE_DIRECTORY;
  await makeSettingDirectories(config);
  opened.adopt(await lock("STATE_DIRECTORY", state), (held) => held.release());
  opened.adopt(await lock("SPOOL_DIRECTORY", config.SPOOL_DIRECTORY), (held) => held.release());
  const records = await openChildRecords(join(state, "children"));
  for (const { pid, command } of await records.reapOrphans({ graceMs: reapGraceMs })) {
    emit({ kind: "notice", level: "warn", message: `ended ${command} (process ${pid}), left by a gateway that was killed` });
  }
  await wipeRuns(state);

  const spool = opened.adopt(
    await openSpool({
      directory: spoolDirectoryOf(config),
      memoryBytesPerBody: config.SPOOL_MEMORY,
      memoryBytesTotal: config.SPOOL_MEMORY_TOTAL,
      maxFileBytesTotal: config.SPOOL_MAX,
      emit,
    }).catch((error: unknown) => {
      throw settingFault("SPOOL_DIRECTORY", `${config.SPOOL_DIRECTORY} cannot be used`, error);
    }),
    (made) => made.close(),
  );
  const access = await openAccess({ config, emit, clock });
  if (access !== null) opened.defer(() => access.close());
  const caches = opened.adopt(await openCaches(config, emit), (made) => made.close());
  const ofOneClient = config.QUEUE_MAX_PER_CLIENT || config.QUEUE_MAX;
  const pool = opened.adopt(
    createPool({
      queueMax: config.QUEUE_MAX,
      queueMaxPerClient: access === null ? ofOneClient : Math.min(ofOneClient, halfOf(config.QUEUE_MAX)),
      priorityOf: access?.priorityOf,
      queueTimeoutMs: config.QUEUE_TIMEOUT,
      clock,
    }),
    async (made) => made.close(),
  );
  const engine = opened.adopt(
    await openEngine({ config, pool, emit, clock, records, allowsTestSignatures, searchPath }),
    (made) => made.stop(),
  );

  const isTestOnly = () => engine.signatures().isTestOnly;
  // VERSION alone does not tell all of a given clamd's signatures, so its verdicts are believed for less long (clamd.md 4.3).
  const isUnseen = config.CLAMD_PORT !== null && config.GIVEN_EPOCH_FILE === null;
  const verdictTtlSeconds = Math.min(config.VERDICT_TTL, isUnseen ? config.GIVEN_VERDICT_TTL : Infinity) / 1000;
  const policy = { allowedReasons: config.ON_UNSCANNABLE };
  const unrecorded = createScan({
    spool,
    engine: lookInside(readAgain(pool), {
      inspect: createInspect({ clock, maxFiles: config.MAX_FILES, formats: config.UNSUPPORTED_FORMATS }),
      spool,
      limits: {
        maxMs: config.MAX_SCAN_TIME,
        maxFiles: config.MAX_FILES === 0 ? Number.POSITIVE_INFINITY : config.MAX_FILES,
        maxRecursion: config.MAX_RECURSION,
        maxBytes: config.MAX_SCAN_SIZE,
        maxPieceBytes: config.MAX_FILE_SIZE,
      },
      clock,
    }),
    cache: caches.verdicts,
    policy,
    emit,
    clock,
    maxBytes: config.MAX_FILE_SIZE,
    verdictTtlSeconds,
    ...(config.UNSUPPORTED_FORMATS.length === 0 ? {} : { isUnsupported: (body) => isOfFormat(body, config.UNSUPPORTED_FORMATS) }),
  });

  const required = config.AUDIT_REQUIRED ? audit : null;
  const scan = required === null ? unrecorded : recordedScan(unrecorded, required);

  /** A clean verdict says nothing of a format that the operator blocks: for that the bytes are needed. */
  const knownVerdict: RestFrontOptions["knownVerdict"] = async (sha256) => {
    const version = pool.version();
    if (version === null) return null;
    const key = { sha256, tag: version.tag };
    const verdict = caches.verdicts.peek(key) ?? (await sharedVerdict(key));
    if (verdict === null || (verdict.kind === "clean" && config.UNSUPPORTED_FORMATS.length > 0)) return null;
    return { verdict, decision: decide(verdict, policy) };
  };
  /** What a store of several gateways knows: nobody scans here, so nobody is to wait for it. */
  async function sharedVerdict(key: VerdictKey): Promise<Verdict | null> {
    try {
      const found = await caches.verdicts.lookUp?.(key, AbortSignal.timeout(lookUpMs));
      if (found?.kind === "known") return found.value;
      found?.lease?.end(false);
    } catch {
      // Another gateway scans it just now.
    }
    return null;
  }

  let isStopping = false;
  let isStarting = true;
  const startedAt = clock();
  let clamdDoor: ClamdDoor | null = null;
  const readiness = (): Readiness => {
    const signatures = engine.signatures();
    const { backends } = pool.status();
    const up = backends.filter(({ isUp }) => isUp);
    return judgeReadiness({
      isStopping,
      startingMs: isStarting ? clock() - startedAt : null,
      backendsUp: up.length,
      backendsBusy: up.filter(({ isBusy }) => isBusy).length,
      backendsTotal: engine.expectedBackends(),
      restarts: troubles.restarts(),
      lacking: [...new Set(backends.flatMap(({ lacking }) => lacking))],
      backendsBehind: up.filter(({ isBehind }) => isBehind).length,
      isAlike: new Set(up.map(({ tag }) => tag)).size <= 1,
      signatures: {
        loaded: signatures.isLoaded,
        isTestOnly: signatures.isTestOnly,
        builtAt: signatures.builtAt,
        files: signatures.files,
        requireReal: !allowsTestSignatures,
        keptOut: signatures.keptOut,
      },
      maxDatabaseAgeMs: config.MAX_DATABASE_AGE,
      warnDatabaseAgeMs: config.WARN_DATABASE_AGE === 0 ? null : config.WARN_DATABASE_AGE,
      now: Date.now(),
      spool: {
        fileBytes: spool.usage().fileBytes,
        maxFileBytes: config.SPOOL_MAX,
        disk: diskOf(spoolDirectoryOf(config)),
        isRefusing: troubles.isSpoolRefusing(),
      },
      certificate: servers.certificate(),
      cacheDegraded: caches.health() === "degraded",
    });
  };

  let icap: Icap | null = null;
  function snapshot(): GaugeSnapshot {
    const { backends, queued } = pool.status();
    const up = backends.filter(({ isUp }) => isUp);
    const { builtAt, isTestOnly, keptOut } = engine.signatures();
    return {
      slots: { inUse: sum(backends.map(({ inFlight }) => inFlight)), total: sum(up.map(({ slots }) => slots)) },
      queueLength: queued,
      backends: {
        up: up.length,
        down: Math.max(0, engine.expectedBackends() - up.length),
        busy: up.filter(({ isBusy }) => isBusy).length,
        behind: up.filter(({ isBehind }) => isBehind).length,
        lacking: backends.filter(({ lacking }) => lacking.length > 0).length,
      },
      icapConnections: icap?.connections() ?? 0,
      spool: spool.usage(),
      clamdConnections: clamdDoor?.connections() ?? 0,
      signatures: { builtAt, isTestOnly, keptOut: keptOut.length },
      engine: pool.version(),
      lostLogLines: log.lostLines(),
    };
  }

  const poolStats = (): PoolStats => {
    const { slots, queueLength, backends } = snapshot();
    return { backendsUp: backends.up, slots: slots.total, inFlight: slots.inUse, queued: queueLength };
  };
  const page = config.PAGE
    ? await loadPage({ retryAfterSeconds, linger: usualLinger, trustedProxies: config.TRUSTED_PROXIES, emit })
    : null;
  const rest = restFront({
    scan,
    engineVersion: () => pool.version(),
    signatureFiles: () => engine.signatures().files?.own ?? [],
    poolStats,
    knownVerdict,
    cacheHealth: () => caches.health(),
    home: page?.home ?? null,
    warnings: () =>
      readiness()
        .checks.filter(({ ok }) => !ok)
        .map(({ name, detail }) => `${name}: ${detail}`),
    maxBytes: config.MAX_FILE_SIZE,
    scanPathRoots: config.SCAN_PATH_ROOTS,
    allowOrigins: config.ALLOW_ORIGINS,
    retryAfterSeconds,
    trustedProxies: config.TRUSTED_PROXIES,
    access,
    areMetricsOpen: !config.METRICS_AUTH,
    ...(required === null ? {} : { wasRecorded: () => required.wasRecorded() }),
    upload: { idleTimeoutMs: config.CLIENT_IDLE_TIMEOUT, minBytesPerSecond: config.CLIENT_MIN_RATE },
    isTestOnly,
    emit,
  });
  const ops = opsRoutes({
    readiness,
    metrics: () => metrics.expose(),
    engineVersion: () => pool.version(),
    maxAgeHours: healthcheckMaxAgeHours,
  }) as FastifyPluginAsync;
  const servers = opened.adopt(
    await listenOn({
      config,
      fronts: [rest.plugin, ops, ...(page === null ? [] : [page.routes, docs])],
      take: rest.take,
      version,
      emit,
    }),
    (made) => made.close(),
  );

  icap = await startIcap({
    config,
    scan,
    policy,
    engineVersion: () => pool.version(),
    isReady: () => readiness().status !== "not-ready",
    retryAfterSeconds,
    emit,
    clock,
  });
  if (icap !== null) opened.adopt(icap, (made) => made.close());

  clamdDoor = opened.adopt(
    await openClamdDoor({ config, scan, engineVersion: () => pool.version(), poolStats, emit, clock }),
    (made) => made.close(),
  );

  const proxy = await startDownloadProxy({
    config,
    scan,
    engineVersion: () => pool.version(),
    urlVerdicts: caches.urlVerdicts,
    givenCopies: caches.givenCopies,
    verdictTtlSeconds,
    remembersAgain: !isUnseen,
    isTestOnly,
    retryAfterSeconds,
    mayBeLeftOut: allowsTestSignatures,
    // Behind all other doors, as none may be reached through it.
    ownUrls: [...servers.urls, ...(icap?.urls ?? []), ...clamdDoor.addresses.filter((address) => address.startsWith("tcp:"))],
    access,
    emit,
    clock,
  });
  if (proxy !== null) opened.adopt(proxy, (made) => made.close());

  const started = engine.start().finally(() => {
    isStarting = false;
    pool.endStart();
  });
  started.catch(() => {}); // it is the caller's to hear
  return {
    urls: servers.urls,
    downloadProxyUrl: proxy?.url ?? null,
    icapUrls: icap?.urls ?? [],
    clamdAddresses: clamdDoor.addresses,
    started,
    signatures: () => engine.signatures(),
    readiness,
    async reload() {
      if (isStopping) return;
      audit?.reload(emit);
      await Promise.all([access?.reload(), servers.reload(), icap?.reload(), engine.reload()]);
      try {
        const routes = (await proxy?.reload()) ?? 0;
        emit({
          kind: "notice",
          level: "info",
          message: `read anew: ${routes} routes, ${reloadable}; every other setting needs a restart`,
        });
      } catch (error) {
        const reason = messageOf(error);
        emit({ kind: "notice", level: "error", message: `the routes stay as they were: ${reason}` });
      }
    },
    async stop() {
      const { status } = readiness();
      const wasReady = status === "ready" || status === "degraded";
      isStopping = true;
      // Nobody sends anything to one that was not.
      if (wasReady) await delay(config.SHUTDOWN_DELAY);
      const drained = [servers.drain(), proxy?.drain(), icap?.drain(), clamdDoor?.drain()];
      await within(config.SHUTDOWN_GRACE, Promise.all(drained));
      await opened.disposeAsync();
    },
    kill: () => engine.kill(),
  };
}

async function lock(setting: "STATE_DIRECTORY" | "SPOOL_DIRECTORY", directory: string): Promise<DirectoryLock> {
  try {
    return await lockDirectory(directory);
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw new Error(`${setting}: ${messageOf(error)}`, { cause: error });
    const user = process.getuid?.() ?? "this user";
    throw settingFault(setting, `${directory} cannot be written by user ${user}`, error);
  }
}

interface Listening {
  readonly config: Config;
  readonly fronts: readonly FastifyPluginAsync[];
  readonly take: ServersOptions["take"];
  readonly version: string;
  readonly emit: Emit;
}

function listenOn({ config, fronts, take, version, emit }: Listening): Promise<Servers> {
  const clientCa = config.SSL_CLIENT_CA === null ? null : ({ setting: "SSL_CLIENT_CA", path: config.SSL_CLIENT_CA } as const);
  return startServers({
    host: config.HOST,
    port: config.PORT,
    tls:
      config.SSL_PORT === null
        ? null
        : { port: config.SSL_PORT, certPath: config.SSL_CERT, keyPath: config.SSL_KEY, ca: clientCa },
    maxConnections: config.MAX_CONNECTIONS,
    headTimeoutMs: config.CLIENT_HEAD_TIMEOUT,
    answerTimeoutMs: config.CLIENT_IDLE_TIMEOUT,
    fronts,
    take,
    openapi: openapiOptions(config, version),
    emit,
  });
}

/** Null where it does not tell. */
function diskOf(directory: string): ReadinessState["spool"]["disk"] {
  try {
    const { blocks, bavail, bsize } = statfsSync(directory);
    return blocks === 0 ? null : { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  } catch {
    return null;
  }
}

/** Waits no longer than that. */
async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([work, promise]);
  clearTimeout(timer);
}

/** One may always wait where anybody may. */
function halfOf(queueMax: number): number {
  return Math.max(Math.min(1, queueMax), Math.floor(queueMax / 2));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
