/** The engine's side when clamd servers are given: found by their addresses, proved by EICAR, their signatures told by a canary where we may write one. */

import { setTimeout as delay } from "node:timers/promises";
import type { ThreadShares } from "../../cache/redis/thread-shares.ts";
import { type Backend, type BackendOptions, createBackend } from "../../clamd/backend.ts";
import { type ClamdAddress, describeAddress } from "../../clamd/connection.ts";
import { type Discovery, discoverBackends } from "../../clamd/discovery.ts";
import type { EnginePool } from "../../clamd/pool.ts";
import { askReload, type Clamd, epochCanary } from "../../clamd/proof.ts";
import type { Config } from "../../config/settings.ts";
import { messageOf } from "../../core/errors.ts";
import type { Emit } from "../../core/events.ts";
import { createSystemNames, thisSystem } from "../../names/system-names.ts";
import { canaryBytes, canaryFileName, epochOf } from "../../signatures/canary.ts";
import { type DirectoryEpoch, watchDirectoryEpoch } from "../../signatures/directory-epoch.ts";
import type { EngineSide } from "./engine-side.ts";
import { poolName } from "./pool-name.ts";

export interface ExternalEngineOptions {
  readonly addresses: NonNullable<Config["CLAMD_PORT"]>;
  readonly backend: Omit<BackendOptions, "name" | "address" | "onChange">;
  /** Of the threads of each clamd; null where `backend.slots` says it all. */
  readonly shares: ThreadShares | null;
  /** GIVEN_EPOCH_FILE. */
  readonly epochFile: string | null;
  readonly pool: EnginePool;
  /** MAX_RECONNECT_TIME. */
  readonly attempts: number;
  readonly emit: Emit;
}

/** As clamav-rest: rest.md 69. */
const attemptMs = 4_000;
const lookupMs = 5_000;
const refreshMs = 30_000;
const pollMs = 100;
const epochPollMs = 2_000;
/** A clamd that has not loaded the canary by then is asked again: it may have lost the command in another reload. */
const reloadAgainMs = 30_000;

/** One clamd, and when it was last asked to reload. */
interface Member {
  readonly backend: Backend;
  readonly clamd: Clamd;
  reloadAskedAt: number;
  isTold: boolean;
}

export function externalEngine(options: ExternalEngineOptions): EngineSide {
  const { addresses, backend, shares, epochFile, pool, attempts, emit } = options;
  const stopped = new AbortController();
  const members = new Set<Member>();
  let epoch: DirectoryEpoch | null = null;
  const names = createSystemNames(thisSystem());
  let discovery: Discovery | null = null;

  function createMember(address: ClamdAddress): Backend {
    const shownEpoch = { canary: epochCanary(canaryBytes, epochOf), current: () => epoch?.current() ?? null };
    const slots = () => share?.size() ?? backend.slots();
    const clamd = { ...backend, slots, address, ...(epochFile === null ? {} : { shownEpoch }) };
    const made = createBackend({ ...clamd, name: describeAddress(address), onChange: () => pool.dispatch() });
    const member: Member = { backend: made, clamd, reloadAskedAt: Number.NEGATIVE_INFINITY, isTold: false };
    members.add(member);
    const share = shares?.take({
      clamd: poolName([address]),
      demand: () => ({ used: made.inFlight(), wanted: made.inFlight() + pool.status().queued }),
      onChange: () => pool.dispatch(),
    });
    const leave = (end: () => void) => () => {
      members.delete(member);
      void share?.release();
      end();
    };
    return Object.assign(made, { retire: leave(made.retire), close: leave(made.close) });
  }

  /** Whoever has not loaded the canary that the directory holds now. */
  async function askForReloads(): Promise<void> {
    for (const member of members) {
      if (epoch?.current() == null || !member.backend.isUp() || member.backend.isSettled()) continue;
      if (performance.now() - member.reloadAskedAt < reloadAgainMs) continue;
      member.reloadAskedAt = performance.now();
      await askReload(member.clamd, stopped.signal).catch((error: unknown) => {
        if (stopped.signal.aborted || member.isTold) return;
        member.isTold = true;
        const reason = messageOf(error);
        emit({ kind: "notice", level: "warn", message: `${member.backend.name} was not asked to reload: ${reason}` });
      });
    }
  }

  function onEpoch(): void {
    for (const member of members) {
      member.reloadAskedAt = Number.NEGATIVE_INFINITY;
      void member.backend.renew();
    }
  }

  async function reloadNowAndThen(): Promise<void> {
    while (!stopped.signal.aborted) {
      await delay(epochPollMs, undefined, { signal: stopped.signal, ref: false }).catch(() => {}); // stopped
      await askForReloads();
    }
  }

  /** For people: why the signatures are not told. */
  function epochFault(): string | null {
    if (epoch === null) return null;
    const fault = epoch.fault();
    if (fault !== null) return `the canary cannot be written: ${fault}`;
    const now = performance.now();
    const isLate = ({ backend, reloadAskedAt }: Member) => !backend.isSettled() && now - reloadAskedAt > reloadAgainMs / 2;
    const isAsked = ({ reloadAskedAt }: Member) => reloadAskedAt > 0;
    const late = [...members].filter((member) => isAsked(member) && isLate(member)).length;
    return late === 0
      ? null
      : `${late} given clamd servers do not show it: they load another directory, or official databases only`;
  }

  return {
    async start() {
      if (epochFile !== null) {
        epoch = watchDirectoryEpoch({ file: epochFile, pollMs: epochPollMs, onChange: onEpoch });
        void reloadNowAndThen();
      }
      discovery = discoverBackends({
        addresses,
        pool,
        createBackend: createMember,
        lookup: (host, signal) => names(host, "the gateway itself", signal),
        timeoutMs: lookupMs,
        intervalMs: refreshMs,
        emit,
      });
      const deadline = performance.now() + Math.max(1, attempts) * attemptMs;
      while (pool.version() === null && !stopped.signal.aborted) {
        // Those that take connections and are late with their proof have more to do than they can: they will come to it.
        const isBusy = pool.status().backends.some((one) => one.isBusy);
        if (performance.now() >= deadline && !isBusy) {
          throw new Error(`CLAMD_PORT: no clamd has answered in ${attempts} attempts (MAX_RECONNECT_TIME)`);
        }
        await delay(pollMs, undefined, { signal: stopped.signal }).catch(() => {}); // stopped
      }
    },
    async reload() {
      await discovery?.refresh();
    },
    async stop() {
      stopped.abort();
      epoch?.close();
      discovery?.close();
      await shares?.close();
    },
    kill: () => stopped.abort(),
    signatures() {
      const version = pool.version();
      const fault = epochFault();
      return {
        isLoaded: version !== null,
        isTestOnly: false,
        builtAt: version?.databaseTime ?? null,
        files: null,
        // Their directory is theirs, but for one file.
        keptOut: fault === null ? [] : [{ file: canaryFileName, reason: fault }],
        description: version === null ? "no clamd has answered yet" : `those of the given clamd servers (${version.database})`,
      };
    },
    expectedBackends: () => pool.status().backends.length,
    updateTimes: {
      success: async () => Math.floor((pool.version()?.databaseTime?.getTime() ?? 0) / 1000),
      attempt: async () => 0, // their freshclam is theirs
    },
  };
}
