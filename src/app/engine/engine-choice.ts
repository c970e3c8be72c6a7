/** Which engine's side there is: a clamd of our own, or those that CLAMD_PORT gives. */

import type { ThreadShares, ThreadSharesOptions } from "../../cache/redis/thread-shares.ts";
import { alertProbes } from "../../clamd/alerts.ts";
import { type ClamdLimits, describeLimits } from "../../clamd/clamd-conf.ts";
import { dialClamd } from "../../clamd/connection.ts";
import type { EnginePool } from "../../clamd/pool.ts";
import { eicarCanary, epochCanary } from "../../clamd/proof.ts";
import { slotsOf } from "../../config/groups/engine-settings.ts";
import type { Config } from "../../config/settings.ts";
import type { Clock } from "../../core/clock.ts";
import type { Emit } from "../../core/events.ts";
import type { ChildRecords } from "../../process/child-records.ts";
import { findProgram } from "../../process/find-program.ts";
import { canaryBytes, epochOf } from "../../signatures/canary.ts";
import type { EngineSide } from "./engine-side.ts";
import { externalEngine } from "./external-engine.ts";
import { managedEngine } from "./managed-engine.ts";
import { poolName } from "./pool-name.ts";

export interface EngineParts {
  readonly config: Config;
  readonly pool: EnginePool;
  readonly emit: Emit;
  readonly clock: Clock;
  readonly records: ChildRecords;
  readonly allowsTestSignatures: boolean;
  readonly searchPath: string | undefined;
}

/** Rejects with an Error for the operator when ClamAV is not there. */
export async function openEngine({
  config,
  pool,
  emit,
  clock,
  records,
  allowsTestSignatures,
  searchPath,
}: EngineParts): Promise<EngineSide> {
  const shared = { dial: dialClamd, scanTimeoutMs: config.SCAN_TIMEOUT, clock, emit };
  if (config.CLAMD_PORT !== null) {
    const slots = slotsOf(config.CLAMD_SLOTS, { threads: config.CLAMD_THREADS, sharers: config.CLAMD_SHARERS });
    const backend = {
      ...shared,
      canary: eicarCanary(),
      limits: [poolName(config.CLAMD_PORT), policyOf(config)].join(" "),
      probes: alertProbes(),
      isStrict: config.GIVEN_CLAMD === "strict",
      slots: () => slots,
      hasSpareSlot: false,
      sharesSpool: config.CLAMD_SHARES_SPOOL,
      maxScanTimeMs: null,
    };
    const { CLAMD_PORT: addresses, GIVEN_EPOCH_FILE: epochFile, MAX_RECONNECT_TIME: attempts } = config;
    const shares = await openThreadShares(config, { fallback: slots, emit, clock });
    return externalEngine({ addresses, backend, shares, epochFile, pool, attempts, emit });
  }
  const clamd = await findProgram("clamd", searchPath);
  if (clamd === null) throw new Error("clamd is not installed: install ClamAV, or set CLAMD_PORT to a clamd that runs elsewhere");
  const limits = limitsOf(config);
  const backend = {
    ...shared,
    canary: epochCanary(canaryBytes, epochOf),
    limits: [describeLimits(limits), policyOf(config)].join(" "),
    // Its conf is ours, and its signatures may not know the file that shows what is unpacked.
    probes: [],
    isStrict: false,
    slots: () => config.MAX_THREADS,
    hasSpareSlot: true,
    sharesSpool: true,
    maxScanTimeMs: limits.maxScanTimeMs,
  };
  const programs = { clamd, freshclam: await findProgram("freshclam", searchPath) };
  return managedEngine({ config, programs, limits, backend, pool, records, allowsTestSignatures, emit });
}

/** Null where each gateway has as many slots as its settings say. */
async function openThreadShares(
  { CLAMD_SLOTS, CLAMD_THREADS: threads, VERDICT_CACHE: cache }: Config,
  parts: Pick<ThreadSharesOptions, "fallback" | "emit" | "clock">,
): Promise<ThreadShares | null> {
  if (CLAMD_SLOTS !== "auto" || cache.kind !== "redis") return null;
  const { redisThreadShares } = await import("../../cache/redis/thread-shares.ts");
  return redisThreadShares({ ...parts, target: cache.target, keyPrefix: "clamgate:2:threads:", threads });
}

/** What of the operator's may make another verdict of the same finding: what is remembered by address is remembered as it was judged. */
function policyOf({ UNSUPPORTED_FORMATS, ON_UNSCANNABLE }: Config): string {
  return JSON.stringify([UNSUPPORTED_FORMATS.toSorted(), [...ON_UNSCANNABLE].toSorted()]);
}

function limitsOf(config: Config): ClamdLimits {
  return {
    maxFileSize: config.MAX_FILE_SIZE,
    maxScanSize: config.MAX_SCAN_SIZE,
    maxScanTimeMs: config.MAX_SCAN_TIME,
    maxRecursion: config.MAX_RECURSION,
    maxFiles: config.MAX_FILES,
    maxEmbeddedPe: config.MAX_EMBEDDEDPE,
    maxHtmlNormalize: config.MAX_HTMLNORMALIZE,
    maxHtmlNoTags: config.MAX_HTMLNOTAGS,
    maxScriptNormalize: config.MAX_SCRIPTNORMALIZE,
    maxZipTypeRcg: config.MAX_ZIPTYPERCG,
    maxPartitions: config.MAX_PARTITIONS,
    maxIconsPe: config.MAX_ICONSPE,
    pcreMatchLimit: config.PCRE_MATCHLIMIT,
    pcreRecMatchLimit: config.PCRE_RECMATCHLIMIT,
  };
}
