/** Opens a session to wherever a target is: itself, the master its sentinels name, or the nodes of a cluster. */

import { isIP } from "node:net";
import { createClient } from "@redis/client";
import { openCluster } from "./cluster.ts";
import { type Access, clientOptions, connectTimeoutMs, type RedisSession, readAccess, refusalCode } from "./session.ts";
import { type HostPort, hostPortOf, type RedisTarget } from "./target.ts";

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

/** @param signal ends the attempt, and nothing of it stays. */
async function openNode(at: HostPort, access: Access, database: number, signal: AbortSignal): Promise<RedisSession> {
  const client = createClient({
    ...clientOptions,
    ...access.credentials,
    database,
    socket: {
      ...at,
      ...access.tls,
      ...(access.tls.tls && isIP(at.host) === 0 ? { servername: at.host } : {}),
      connectTimeout: connectTimeoutMs,
      // Where to connect next, and whether, is not for a connection to say.
      reconnectStrategy: false,
    },
  });
  const { promise: lost, resolve: lose } = Promise.withResolvers<Error>();
  client.on("error", lose);
  const destroy = () => client.destroy();
  signal.addEventListener("abort", destroy, { once: true });
  try {
    await client.connect();
  } finally {
    signal.removeEventListener("abort", destroy);
    // Destroyed before its socket was there, a client connects all the same.
    if (signal.aborted) destroy();
  }
  signal.throwIfAborted();
  return {
    send: (command) => client.sendCommand(command),
    // As every user of the cache may; and whatever stands under that key.
    async probe(key) {
      try {
        await client.sendCommand(["GETRANGE", key, "0", "0"]);
      } catch (thrown) {
        if (refusalCode(thrown) !== "WRONGTYPE") throw thrown;
      }
    },
    isWhole: () => true,
    lost,
    destroy,
  };
}

/**
 * The address of the master as the first sentinel knows it that answers (redis.io, "Sentinel client spec"). Not the client's own
 * createSentinel: while a master is down its commands wait for the next one, up to 16 seconds, where ours must miss at once.
 * @param signal ends the attempt, and nothing of it stays.
 */
async function findMaster(
  sentinels: readonly HostPort[],
  masterName: string,
  access: Access,
  signal: AbortSignal,
): Promise<HostPort> {
  const enough = new AbortController();
  const either = AbortSignal.any([signal, enough.signal]);
  try {
    return await Promise.any(sentinels.map((sentinel) => askSentinel(sentinel, masterName, access, either)));
  } catch (thrown) {
    if (!(thrown instanceof AggregateError)) throw thrown;
    const faults = thrown.errors.map((error, index) => `${sentinelName(sentinels[index])}: ${textOf(error)}`);
    throw new Error(faults.join("; "), { cause: thrown });
  } finally {
    enough.abort();
  }
}

async function askSentinel(at: HostPort, masterName: string, access: Access, signal: AbortSignal): Promise<HostPort> {
  try {
    return await askOnce(at, masterName, { ...access, credentials: {} }, signal);
  } catch (thrown) {
    // Most sentinels know no password, and refuse one; those that want one mostly have their redis's.
    if (refusalCode(thrown) !== "NOAUTH") throw thrown;
    return askOnce(at, masterName, access, signal);
  }
}

async function askOnce(at: HostPort, masterName: string, access: Access, signal: AbortSignal): Promise<HostPort> {
  const sentinel = await openNode(at, access, 0, signal);
  const destroy = () => sentinel.destroy();
  signal.addEventListener("abort", destroy, { once: true });
  try {
    const answer = await sentinel.send(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", masterName]);
    if (answer === null) throw new Error(`knows no master ${masterName}`);
    const [host, port] = Array.isArray(answer) ? answer : [];
    if (typeof host !== "string" || typeof port !== "string") throw new Error("answers something that is no address");
    return { host, port: Number(port) };
  } finally {
    signal.removeEventListener("abort", destroy);
    destroy();
  }
}

function sentinelName(at: HostPort | undefined): string {
  return at === undefined ? "sentinel" : `sentinel ${hostPortOf(at)}`;
}

/** An attempt at each address of a name has no message of its own. */
export function textOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  if (thrown instanceof AggregateError && thrown.message === "") return thrown.errors.map(textOf).join(", ");
  return thrown.message;
}
