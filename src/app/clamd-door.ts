/** The clamd door under its settings: the front and its listeners. */

import { randomUUID } from "node:crypto";
import type { Config } from "../config/settings.ts";
import type { Clock } from "../core/clock.ts";
import type { PoolStats } from "../core/engine.ts";
import type { Emit } from "../core/events.ts";
import type { Scan } from "../core/scan.ts";
import type { EngineVersion } from "../core/verdict.ts";
import { createClamdFront } from "../front/clamd/front.ts";
import { openListeners } from "../front/clamd/listeners.ts";
import { settingFault } from "./setting-fault.ts";

export interface ClamdDoorOptions {
  readonly config: Config;
  readonly scan: Scan;
  readonly engineVersion: () => EngineVersion | null;
  readonly poolStats: () => PoolStats;
  readonly emit: Emit;
  readonly clock: Clock;
}

export interface ClamdDoor {
  /** Where it listens; none where it is off. */
  readonly addresses: readonly string[];
  /** Open now. */
  connections(): number;
  drain(): Promise<void>;
  close(): Promise<void>;
}

/** Listens. Rejects with an Error for the operator where an address is unusable; nothing is left then. */
export async function openClamdDoor({ config, ...options }: ClamdDoorOptions): Promise<ClamdDoor> {
  const front = createClamdFront({
    ...options,
    maxBytes: config.MAX_FILE_SIZE,
    scanPathRoots: config.SCAN_PATH_ROOTS,
    allowFrom: config.CLAMD_ALLOW_FROM,
    maxConnections: config.CLAMD_MAX_CONNECTIONS,
    commandTimeoutMs: config.CLAMD_COMMAND_TIMEOUT,
    readTimeoutMs: config.CLAMD_READ_TIMEOUT,
    minBytesPerSecond: config.CLIENT_MIN_RATE,
    answerTimeoutMs: config.CLIENT_IDLE_TIMEOUT,
    uniqueId: randomUUID,
  });
  const listeners = await openListeners(config.CLAMD_LISTEN ?? [], front.accept).catch((error: Error) => {
    throw settingFault("CLAMD_LISTEN", `${error.message} cannot be listened on`, error.cause);
  });
  return {
    addresses: listeners.addresses,
    connections: () => front.connections(),
    async drain() {
      await Promise.all([listeners.close(), front.drain()]);
    },
    async close() {
      await listeners.close();
      front.destroy();
    },
  };
}
