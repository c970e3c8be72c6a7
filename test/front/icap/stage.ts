/** An ICAP server on the real scan and spool, before an engine that finds what a test has put into a body. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { AgingMap } from "../../../src/core/aging-map.ts";
import type { Engine } from "../../../src/core/engine.ts";
import { ClamgateError, type ErrorCode } from "../../../src/core/errors.ts";
import type { GatewayEvent } from "../../../src/core/events.ts";
import { createScan, type ScanParts } from "../../../src/core/scan.ts";
import type { Spool } from "../../../src/core/spool.ts";
import type { EngineVersion, UnscannableReason, Verdict } from "../../../src/core/verdict.ts";
import { createIcapServer, type IcapServer, type IcapServerOptions } from "../../../src/front/icap/icap-server.ts";
import { createIstag } from "../../../src/front/icap/istag.ts";
import { openSpool } from "../../../src/spool/spool.ts";
import { fakeVersion } from "../../fake/backend.ts";
import { fakeCache } from "../../fake/verdict-cache.ts";
import { listening } from "../../listening.ts";
import { eventually } from "../../process/stage.ts";
import { scratchDirectory } from "../../scratch-directory.ts";
import { type RawIcap, rawIcap } from "./raw-icap.ts";

export interface IcapStage extends AsyncDisposable {
  readonly port: number;
  readonly server: IcapServer;
  readonly spool: Spool;
  readonly events: GatewayEvent[];
  /** Bodies that the engine was given. */
  readonly scans: Buffer[];
  setVersion(version: EngineVersion | null): void;
  /** Held back until it resolves. */
  holdScans(): () => void;
  client(): RawIcap;
  /** Of the answers, in their order. */
  icapEvents(): readonly Extract<GatewayEvent, { kind: "icap" }>[];
  /** Nothing is left but idle connections. */
  settled(): Promise<void>;
}

export interface StageOptions extends Partial<IcapServerOptions> {
  readonly allowed?: readonly UnscannableReason[];
  readonly spoolMax?: number;
  readonly cache?: ScanParts["cache"];
}

export const limit = 200_000;

/** Clean unless `virus:<name>[,<name>]`, `unscannable:<reason>[:<heuristic>]` or `error:<code>` stands in it. */
export function scriptedVerdict(bytes: Buffer): Verdict {
  const text = bytes.toString("latin1");
  const [, virus] = /virus:([^\n]+)/.exec(text) ?? [];
  if (virus !== undefined) return { kind: "infected", signatures: virus.split(",") };
  const [, reason, heuristic] = /unscannable:([a-z-]+)(?::([\w.]+))?/.exec(text) ?? [];
  if (reason !== undefined) return { kind: "unscannable", reason: reason as UnscannableReason, heuristic: heuristic ?? null };
  const [, code] = /error:([a-z-]+)/.exec(text) ?? [];
  if (code !== undefined) throw new ClamgateError(code as ErrorCode, `Scripted ${code}`, { detail: "never shown" });
  return { kind: "clean" };
}

/** Its disposal fails when a body or a connection is left. */
export async function openIcap({
  allowed = [],
  spoolMax = 64 * 1024 * 1024,
  cache,
  ...options
}: StageOptions = {}): Promise<IcapStage> {
  const directory = await scratchDirectory();
  const events: GatewayEvent[] = [];
  const emit = (event: GatewayEvent) => void events.push(event);
  const clock = () => performance.now();
  const spool = await openSpool({
    directory: directory.path,
    memoryBytesPerBody: 32 * 1024,
    memoryBytesTotal: 8 * 1024 * 1024,
    maxFileBytesTotal: spoolMax,
    emit,
  });
  const scans: Buffer[] = [];
  let version: EngineVersion | null = fakeVersion();
  let gate: Promise<void> = Promise.resolve();
  const engine: Engine = {
    version: () => version,
    async scan(body, signal) {
      const pieces: Buffer[] = [];
      for await (const piece of body.read()) pieces.push(Buffer.from(piece));
      const bytes = Buffer.concat(pieces);
      scans.push(bytes);
      await gate;
      signal.throwIfAborted();
      const by = version ?? assert.fail("scanned without an engine");
      return { verdict: scriptedVerdict(bytes), version: by, isCacheable: true, backend: "fake", queueMs: 1, scanMs: 2 };
    },
  };
  const policy = { allowedReasons: new Set(allowed) };
  const scan = createScan({
    spool,
    engine,
    cache: cache ?? fakeCache(),
    policy,
    emit,
    clock,
    maxBytes: limit,
    verdictTtlSeconds: 60,
  });
  const server = createIcapServer({
    scan,
    policy,
    istag: createIstag({ engineVersion: () => version, settings: "the same" }),
    isReady: () => version !== null,
    maxBytes: limit,
    maxParts: 50,
    services: null,
    preview: 4096,
    maxConnections: 1000,
    onError: {
      forAll: "reset",
      forPath: new Map([
        ["proxy", "page"],
        ["told", "status"],
      ]),
    },
    trickle: null,
    cutUrls: new AgingMap({ ttlMs: 600_000, maxEntries: 100, clock }),
    headTimeoutMs: 30_000,
    idleTimeoutMs: 60_000,
    patienceMs: 10_000,
    peers: [],
    retryAfterSeconds: 5,
    uniqueId: randomUUID,
    clock,
    emit,
    ...options,
  });
  const port = await listening(server.plain);
  const clients: RawIcap[] = [];

  async function settled(): Promise<void> {
    await eventually("nothing is left in the spool", () => spool.usage().bodies === 0 && spool.usage().fileBytes === 0);
  }

  return {
    port,
    server,
    spool,
    events,
    scans,
    setVersion(next) {
      version = next;
    },
    holdScans() {
      const { promise, resolve } = Promise.withResolvers<void>();
      gate = promise;
      return resolve;
    },
    client() {
      const client = rawIcap(port);
      clients.push(client);
      return client;
    },
    icapEvents: () => events.filter((event) => event.kind === "icap"),
    settled,
    async [Symbol.asyncDispose]() {
      for (const client of clients) client[Symbol.dispose]();
      await server.close();
      try {
        assert.equal(server.connections(), 0, "connections");
        await settled();
        assert.deepEqual(
          events.filter(({ kind }) => kind === "notice"),
          [],
          "nothing unexpected",
        );
      } finally {
        await spool.close();
        await directory[Symbol.asyncDispose]();
      }
    },
  };
}
