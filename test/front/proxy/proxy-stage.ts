/** The download proxy on a real port, with a real spool, a scripted origin and an engine that does as a test says. Nothing leaves loopback. */

import assert from "node:assert/strict";
import { performance } from "node:perf_hooks";
import { memoryCopies } from "../../../src/cache/memory-copies.ts";
import type { GatewayEvent } from "../../../src/core/events.ts";
import { createScan } from "../../../src/core/scan.ts";
import type { Spool, SpooledBody } from "../../../src/core/spool.ts";
import type { UnscannableReason, Verdict } from "../../../src/core/verdict.ts";
import { createNameLookup } from "../../../src/egress/name-lookup.ts";
import { createUpstream, lookupDefaults, type UpstreamOptions, upstreamDefaults } from "../../../src/egress/upstream.ts";
import { parseBase } from "../../../src/front/proxy/download-address.ts";
import { createProxyServer, type ProxyServerOptions, proxyLimits } from "../../../src/front/proxy/proxy-server.ts";
import type { RoutedSource, Source } from "../../../src/front/proxy/routes/sources.ts";
import { openSpool } from "../../../src/spool/spool.ts";
import { type FakeEngine, fakeEngine } from "../../fake/engine.ts";
import { type FakeOrigin, type OriginAct, type OriginRequest, startFakeOrigin } from "../../fake/origin.ts";
import { type FakeUrlCache, fakeUrlCache } from "../../fake/url-verdict-cache.ts";
import { type FakeCache, fakeCache } from "../../fake/verdict-cache.ts";
import { listening } from "../../listening.ts";
import { eventually } from "../../process/stage.ts";
import { scratchDirectory } from "../../scratch-directory.ts";
import { ask, type RawAnswer, requestText } from "./raw-client.ts";
import { loopbackOnly } from "./recorded-upstream.ts";
import { origins, privates } from "./rules.ts";

export type DownloadEvent = Extract<GatewayEvent, { readonly kind: "download" }>;

/** A body with it is infected, wherever it stands. */
export const virusMark = "A-VIRUS-FOR-THE-FAKE-ENGINE";
export const maxBytes = 3 * 1024 * 1024;

export interface ProxyStage extends AsyncDisposable {
  readonly port: number;
  readonly origin: FakeOrigin;
  readonly engine: FakeEngine;
  readonly digests: FakeCache;
  readonly urls: FakeUrlCache;
  readonly events: GatewayEvent[];
  readonly spool: Spool;
  readonly spoolDirectory: string;
  readonly time: { now: number };
  /** Where the origin is. */
  readonly base: string;
  /** Asks for a path of the origin by Download-From. */
  get(path: string, lines?: readonly string[], options?: { method?: string; version?: string }): Promise<RawAnswer>;
  /** The request as text, for a client of the test's own. */
  text(path: string, lines?: readonly string[], options?: { method?: string; version?: string }): string;
  downloads(): readonly DownloadEvent[];
  /** Connections of clients that have sent a request. */
  connections(): number;
  close(): Promise<void>;
  drain(): Promise<void>;
}

export interface StageOptions {
  readonly front?: Partial<Omit<ProxyServerOptions, "source" | "routes">>;
  readonly mode?: Source["mode"];
  readonly forwardAuthorization?: boolean;
  readonly upstream?: Partial<UpstreamOptions>;
  /** Of routes to the origin; `base` is below the origin. */
  readonly routes?: readonly (Partial<Omit<RoutedSource, "base">> & Pick<RoutedSource, "match"> & { readonly base: string })[];
  /** Larger bodies go to files, where `verdictOf` sees nothing of them. Default: none do. */
  readonly memoryBytesPerBody?: number;
  readonly allowed?: readonly UnscannableReason[];
  /** Default: true. */
  readonly remembersAgain?: boolean;
  /** Where the origin is allowed; false: nowhere. */
  readonly isAllowed?: boolean;
}

/** Answers every scan at once by what is in the body; `engine.answerAll(null)` leaves that to the test. */
export function verdictOf(body: SpooledBody): Verdict {
  const bytes = Buffer.from(body.bytes ?? []);
  if (bytes.includes(virusMark)) return { kind: "infected", signatures: ["Test.Mark"] };
  if (bytes.includes("ENCRYPTED")) return { kind: "unscannable", reason: "encrypted", heuristic: "Heuristics.Encrypted.Zip" };
  return { kind: "clean" };
}

export async function openProxy(
  script: (request: OriginRequest) => OriginAct | Promise<OriginAct>,
  options: StageOptions = {},
): Promise<ProxyStage> {
  const directory = await scratchDirectory();
  const events: GatewayEvent[] = [];
  const emit = (event: GatewayEvent) => events.push(event);
  const spool = await openSpool({
    directory: directory.path,
    memoryBytesPerBody: options.memoryBytesPerBody ?? 2 * maxBytes,
    memoryBytesTotal: 1024 * 1024 * 1024,
    maxFileBytesTotal: 1024 * 1024 * 1024,
    emit,
  });
  const engine = fakeEngine();
  engine.answerAll(verdictOf);
  const digests = fakeCache();
  const urls = fakeUrlCache();
  const time = { now: 0 };
  const origin = await startFakeOrigin(script);
  const clock = () => performance.now();
  const headers = { forwardAuthorization: options.forwardAuthorization ?? true, forwardHeaders: [], gatewayId: "test" };
  const upstream = createUpstream({
    ...upstreamDefaults,
    origins: origins("any"),
    redirectOrigins: [],
    allowPrivate: privates(...(options.isAllowed === false ? [] : ["127.0.0.0/8:*"])),
    ownEndpoints: [],
    localAddresses: () => [],
    headers,
    extraCa: null,
    lookup: createNameLookup({ ...lookupDefaults, resolve: () => Promise.reject(new Error("no name is looked up")), clock }),
    connect: loopbackOnly,
    clock,
    random: () => 0.5,
    retryAfterMs: 1,
    ...options.upstream,
  });
  const base = `http://127.0.0.1:${origin.port}/`;
  const source: Source = {
    id: "Download-From",
    lookUp: upstream.lookUp,
    fetch: upstream.fetch,
    headers,
    mode: options.mode ?? "strict",
  };
  const routes = (options.routes ?? []).map((route, place) => ({
    ...source,
    id: `route ${place}`,
    isCacheOn: false,
    rewrite: [],
    ...route,
    base: parseBase(base + route.base),
  }));
  let ids = 0;
  const proxy = createProxyServer({
    scan: createScan({
      spool,
      engine,
      cache: digests,
      policy: { allowedReasons: new Set(options.allowed ?? []) },
      emit,
      clock,
      maxBytes,
      verdictTtlSeconds: 60,
    }),
    maxBytes,
    engineVersion: () => engine.version(),
    urlVerdicts: urls,
    givenCopies: memoryCopies({ maxEntries: 1000, now: () => time.now }),
    verdictTtlSeconds: 86_400,
    remembersAgain: options.remembersAgain ?? true,
    source,
    routes,
    trustedPeers: [],
    access: null,
    trickle: { afterMs: 10_000, intervalMs: 10_000, maxBytes: 64 },
    slots: { total: 0, perOrigin: 0, perClient: 0 },
    passSetCookie: false,
    clientIdleTimeoutMs: 60_000,
    retryAfterSeconds: 5,
    isTestOnly: () => false,
    emit,
    clock: () => time.now,
    uniqueId: () => {
      ids += 1;
      return `r${ids}`;
    },
    limits: proxyLimits,
    ...options.front,
  });
  const asking = new Set<unknown>();
  proxy.server.on("request", ({ socket }) => {
    if (asking.has(socket)) return;
    asking.add(socket);
    socket.once("close", () => asking.delete(socket));
  });
  const port = await listening(proxy.server);
  const text: ProxyStage["text"] = (path, lines = [], how = {}) =>
    requestText(path, options.routes === undefined ? [`Download-From: ${base}`, ...lines] : lines, how);
  const downloads = () => events.filter((event) => event.kind === "download");
  return {
    port,
    origin,
    engine,
    digests,
    urls,
    events,
    spool,
    spoolDirectory: directory.path,
    time,
    base,
    text,
    get: (path, lines, how) => ask(port, text(path, lines, how)),
    downloads,
    connections: () => asking.size,
    close: () => proxy.close(),
    drain: () => proxy.drain(),
    async [Symbol.asyncDispose]() {
      engine.answerAll(() => ({ kind: "clean" }));
      try {
        await eventually("no body is held", () => spool.usage().bodies === 0);
        await eventually("each request has its line", () => downloads().length === ids);
      } finally {
        await proxy.close();
        await upstream.close();
        await origin[Symbol.asyncDispose]();
        await spool.close();
        await directory[Symbol.asyncDispose]();
      }
      for (const event of downloads()) if (event.mode === "strict") assert.equal(event.releasedBytes, 0);
    },
  };
}
