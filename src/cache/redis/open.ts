/** Opens a session to wherever a target is: itself, the master its sentinels name, or the nodes of a cluster. */

import { openCluster } from "./cluster.ts";
import { findMaster, openNode, readAccess } from "./node.ts";
import type { RedisSession } from "./session.ts";
import type { RedisTarget } from "./target.ts";

export interface OpenRedisOptions {
  /** From 0 to below 1. */
  readonly random: () => number;
  /** Ends the attempt, and nothing of it stays. */
  readonly signal: AbortSignal;
}

/** Rejects with the fault of whatever stood in the way: a certificate's file, an address, redis's refusal of the password. */
export async function openRedis(target: RedisTarget, { random, signal }: OpenRedisOptions): Promise<RedisSession> {
  const access = await readAccess(target);
  const { place, database } = target;
  switch (place.kind) {
    case "standalone":
      return openNode({ host: place.host, port: place.port }, access, database, signal);
    case "sentinel":
      return openNode(await findMaster(place.sentinels, place.masterName, access, signal), access, database, signal);
    case "cluster":
      return openCluster(place.nodes, access, random, signal);
  }
}
