/** A pool over whatever clamd servers a test names, with a real spool to scan from, and what must be left when it is over. */

import assert from "node:assert/strict";
import { type Backend, type BackendOptions, backendTiming, createBackend } from "../../src/clamd/backend.ts";
import type { ClamdSocket } from "../../src/clamd/clamd-socket.ts";
import { type ClamdAddress, dialClamd } from "../../src/clamd/connection.ts";
import { createPool, type EnginePool, type PoolOptions } from "../../src/clamd/pool.ts";
import { eicarCanary } from "../../src/clamd/proof.ts";
import type { GatewayEvent } from "../../src/core/events.ts";
import type { Spool, SpooledBody } from "../../src/core/spool.ts";
import { openSpool } from "../../src/spool/spool.ts";
import { eventually } from "../process/stage.ts";
import { scratchDirectory } from "../scratch-directory.ts";

export const clock = () => performance.now();

/** A second of waiting is a failure here. */
export const quickTiming = {
  ...backendTiming,
  connectTimeoutMs: 1_000,
  proofTimeoutMs: 1_000,
  proofIntervalMs: 25,
  proofRetryMs: 10,
};

/** Bodies of more bytes than this are in files. */
export const memoryBytesPerBody = 64 * 1024;

export interface PoolStageOptions extends Partial<Omit<PoolOptions, "clock">> {
  readonly addresses: readonly ClamdAddress[];
  readonly backend?: Partial<BackendOptions>;
}

export interface PoolStage extends AsyncDisposable {
  readonly pool: EnginePool;
  readonly backends: readonly Backend[];
  readonly events: GatewayEvent[];
  /** Connections that were opened and are not closed yet. */
  openSockets(): number;
  readonly spool: Spool;
  body(bytes: string | Uint8Array): Promise<SpooledBody>;
  /** Spools the bytes, scans them and gives them up again. */
  scan(bytes: string | Uint8Array, signal?: AbortSignal): ReturnType<EnginePool["scan"]>;
  /** @param wrap what the pool gets in its place. */
  addBackend(address: ClamdAddress, wrap?: (made: Backend) => Backend): Backend;
  /** Resolves when so many backends are up. */
  isUp(count?: number): Promise<void>;
}

/** Resolves when every backend has been tried. Its disposal fails when a body or a connection is left. */
export async function openPool(options: PoolStageOptions): Promise<PoolStage> {
  const { addresses, backend, queueMax = 1000, queueTimeoutMs = 10_000 } = options;
  const directory = await scratchDirectory();
  const spool = await openSpool({
    directory: directory.path,
    memoryBytesPerBody,
    memoryBytesTotal: 256 * 1024 * 1024,
    maxFileBytesTotal: 256 * 1024 * 1024,
  });
  const events: GatewayEvent[] = [];
  const sockets = new Set<ClamdSocket>();
  const never = new AbortController().signal;
  const pool = createPool({ queueMax, queueMaxPerClient: queueMax, queueTimeoutMs, clock });
  const backends: Backend[] = [];

  function dial(address: ClamdAddress): ClamdSocket {
    const socket = (backend?.dial ?? dialClamd)(address);
    sockets.add(socket);
    return socket.once("close", () => sockets.delete(socket));
  }

  function addBackend(address: ClamdAddress, wrap = (made: Backend) => made): Backend {
    const made = wrap(
      createBackend({
        name: `clamd-${backends.length}`,
        slots: () => 2,
        hasSpareSlot: false,
        sharesSpool: false,
        maxScanTimeMs: null,
        scanTimeoutMs: 10_000,
        canary: eicarCanary(),
        limits: "",
        probes: [],
        isStrict: false,
        timing: quickTiming,
        ...backend,
        address,
        clock,
        dial,
        emit: (event) => events.push(event),
        onChange: () => pool.dispatch(),
      }),
    );
    backends.push(made);
    pool.add(made);
    return made;
  }

  async function body(bytes: string | Uint8Array): Promise<SpooledBody> {
    async function* source(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(bytes);
    }
    return spool.take(source(), { maxBytes: Number.MAX_SAFE_INTEGER, signal: never });
  }

  for (const address of addresses) addBackend(address);
  await Promise.all(backends.map((made) => made.prove()));
  pool.endStart();
  return {
    pool,
    backends,
    events,
    openSockets: () => sockets.size,
    spool,
    body,
    async scan(bytes, signal = never) {
      await using held = await body(bytes);
      return await pool.scan(held, signal, "a client");
    },
    addBackend,
    isUp: (count = 1) => eventually(`${count} are up`, () => pool.status().backends.filter(({ isUp }) => isUp).length === count),
    async [Symbol.asyncDispose]() {
      pool.close();
      try {
        await eventually("every connection is closed", () => sockets.size === 0);
        await eventually("no body is held", () => spool.usage().bodies === 0);
        assert.deepEqual(pool.status().queued, 0);
      } finally {
        await spool.close();
        await directory[Symbol.asyncDispose]();
      }
    },
  };
}
