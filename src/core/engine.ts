/** What scans a body: the interface of the engine. */

import type { SpooledBody } from "./spool.ts";
import type { EngineVersion, Verdict } from "./verdict.ts";

export interface EngineScan {
  readonly verdict: Verdict;
  /** The version that made the verdict. */
  readonly version: EngineVersion;
  /** False when the signatures may have changed during the scan: such a verdict answers its request and is not remembered. */
  readonly isCacheable: boolean;
  /** A short name of the backend, for the log. */
  readonly backend: string;
  readonly queueMs: number;
  readonly scanMs: number;
}

export interface Engine {
  /** The newest version among the backends that have proved themselves; null while there is none. */
  version(): EngineVersion | null;
  /**
   * Waits for a slot and has the body scanned. The caller keeps the body until the promise settles; an engine that needs the
   * bytes longer holds them itself.
   * @param signal leaves the queue; a scan that has begun goes on to its answer.
   * @param client in whose turn it waits.
   */
  scan(body: SpooledBody, signal: AbortSignal, client: string): Promise<EngineScan>;
}

/** All backends together. */
export interface PoolStats {
  readonly backendsUp: number;
  readonly slots: number;
  readonly inFlight: number;
  readonly queued: number;
}
