/** Connections kept for the next request: one pool per origin and set of checked addresses, so that none serves another policy (download-proxy.md S13, S19). */

import type { Socket } from "node:net";
import { type Dispatcher, Pool } from "undici";
import { ClamgateError } from "../core/errors.ts";
import { readHeads } from "./answer-head.ts";
import type { Dialer } from "./dialer.ts";
import { originOf, type Target } from "./target.ts";

export interface OriginPoolsOptions {
  readonly dialer: Dialer;
  readonly keepAliveMs: number;
  /** Of an answer's head, with the interim ones before it; a larger one is an error. */
  readonly maxHeaderBytes: number;
  /** Pools nobody uses are closed beyond this many. */
  readonly maxPools: number;
}

export interface OriginPools {
  /** Released when the exchange has ended; until then the pool stays open. */
  borrow(target: Target, addresses: readonly string[]): BorrowedPool;
  /** Ends all connections, and the exchanges on them. */
  close(): Promise<void>;
}

export interface BorrowedPool {
  readonly dispatcher: Dispatcher;
  release(): void;
}

interface Entry {
  readonly pool: Pool;
  users: number;
}

export function createOriginPools({ dialer, keepAliveMs, maxHeaderBytes, maxPools }: OriginPoolsOptions): OriginPools {
  const entries = new Map<string, Entry>();
  const closing = new AbortController();

  return {
    borrow(target, addresses) {
      const key = [originOf(target), ...[...addresses].sort()].join(" ");
      const entry = entries.get(key) ?? { pool: open(target, addresses), users: 0 };
      entry.users += 1;
      // The last in the map is the one used last.
      entries.delete(key);
      entries.set(key, entry);
      closeUnused();
      let isReleased = false;
      return {
        dispatcher: entry.pool,
        release() {
          if (isReleased) return;
          isReleased = true;
          entry.users -= 1;
        },
      };
    },
    async close() {
      closing.abort(new ClamgateError("stopping", "The gateway is stopping"));
      const pools = [...entries.values()].map(({ pool }) => pool.destroy());
      entries.clear();
      await Promise.all(pools);
    },
  };

  function open(target: Target, addresses: readonly string[]): Pool {
    return new Pool(originOf(target), {
      // It is told a name and ignores it: what may be dialled has been decided.
      connect: (_options, callback) => {
        dialer.dial(target, addresses, closing.signal).then(
          (socket) => {
            markResets(socket);
            readHeads(socket, maxHeaderBytes);
            callback(null, socket);
          },
          (error: Error) => callback(error, null),
        );
      },
      allowH2: false,
      useMilo: false,
      pipelining: 1,
      keepAliveTimeout: keepAliveMs,
      // Not longer because an origin says so.
      keepAliveMaxTimeout: keepAliveMs,
      maxHeaderSize: maxHeaderBytes,
      // Time is kept by the exchange, which knows when it is the reader who waits.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  function closeUnused(): void {
    for (const [key, entry] of entries) {
      if (entries.size <= maxPools) return;
      if (entry.users > 0) continue;
      entries.delete(key);
      // Destroyed, not closed: nothing runs on it, and idle connections would keep it waiting.
      entry.pool.destroy().catch(() => {}); // nothing is left to be told
    }
  }
}

/**
 * undici takes ECONNRESET behind the head for the end of a body without length (it happens on macOS after a whole one), and so would pass
 * a truncated download as complete (P26). Under another code a reset is the error it is.
 */
function markResets(socket: Socket): void {
  socket.on("error", (error: Error & { code?: string }) => {
    if (error.code === "ECONNRESET") error.code = "UPSTREAM_RESET";
  });
}
