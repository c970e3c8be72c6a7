/** One way to a redis that is open: a connection, or those to a cluster. It ends once and is not mended. And what all have in common. */

import { readFile } from "node:fs/promises";
import { ErrorReply } from "@redis/client";
import type { RedisTarget } from "./target.ts";

export interface RedisSession {
  /** Rejects with redis's own refusal, or with why there is no reply. */
  send(command: RedisCommand): Promise<unknown>;
  /** Asks for that key only to have an answer. Rejects when nothing can be asked here. */
  probe(key: string): Promise<void>;
  /** False while a part of it, a node of a cluster, is known not to answer. */
  isWhole(): boolean;
  /** Resolves, with the reason, when it ends by itself. */
  readonly lost: Promise<Error>;
  /** At once; commands without a reply reject. */
  destroy(): void;
}

/** Of one key: the second word, or the fourth of an EVAL. */
export type RedisCommand =
  | readonly [name: "GETRANGE" | "SET" | "SENTINEL", key: string, ...rest: readonly string[]]
  | readonly [name: "EVAL", script: string, keys: "1", key: string, ...rest: readonly string[]];

export function keyOf(command: RedisCommand): string {
  return command[0] === "EVAL" ? command[3] : command[1];
}

/** The first word of a refusal, `READONLY` for one; null for what is no reply of redis. */
export function refusalCode(thrown: unknown): string | null {
  return thrown instanceof ErrorReply ? (thrown.message.split(" ", 1)[0] ?? "") : null;
}

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
