/** Connections to single servers: a redis, or a sentinel that knows where one is. */

import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { createClient } from "@redis/client";
import { type RedisSession, refusalCode } from "./session.ts";
import { type HostPort, hostPortOf, type RedisTarget } from "./target.ts";

export interface Tls {
  readonly tls: true;
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** What every connection to a target has in common. */
export interface Access {
  readonly credentials: { readonly username?: string; readonly password?: string };
  readonly tls: Tls | { readonly tls?: false };
}

export const connectTimeoutMs = 1000;
/** Commands without a reply; far more than the scans that run at a time. */
const maxWaiting = 4096;

/** RESP 2 and no commands but ours: then Redis 5 will do, and a user who may do nothing else. */
export const clientOptions = {
  RESP: 2,
  disableOfflineQueue: true,
  disableClientInfo: true,
  maintNotifications: "disabled",
  commandsQueueMaxLength: maxWaiting,
  // A timer for each command that has not been written yet; what was written would wait on.
  commandOptions: { timeout: 0 },
} as const;

/** Rejects when a file of the certificates cannot be read. */
export async function readAccess({ username, password, tls }: RedisTarget): Promise<Access> {
  const credentials = { ...(username === null ? {} : { username }), ...(password === null ? {} : { password }) };
  if (tls === null) return { credentials, tls: {} };
  const [ca, cert, key] = await Promise.all([tls.ca, tls.cert, tls.key].map((path) => (path === null ? null : readFile(path))));
  return { credentials, tls: { tls: true, ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) } };
}

/** @param signal ends the attempt, and nothing of it stays. */
export async function openNode(at: HostPort, access: Access, database: number, signal: AbortSignal): Promise<RedisSession> {
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
export async function findMaster(
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
