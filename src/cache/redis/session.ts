/** One way to a redis that is open: a connection, or those to a cluster. It ends once and is not mended. */

import { ErrorReply } from "@redis/client";

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
