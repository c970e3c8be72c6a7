/** The download proxy under its settings: sources and their gates, routes, the server. */

import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import type { Access } from "../auth/access.ts";
import { isLoopbackHost } from "../codec/ip-address.ts";
import type { Config } from "../config/settings.ts";
import type { Clock } from "../core/clock.ts";
import { systemCodeOf } from "../core/errors.ts";
import type { Emit } from "../core/events.ts";
import type { GivenCopies } from "../core/given-copies.ts";
import type { Scan } from "../core/scan.ts";
import { trickleDefaults } from "../core/trickle.ts";
import type { EngineVersion } from "../core/verdict.ts";
import type { UrlVerdictCache } from "../core/verdict-cache.ts";
import { tcpConnect } from "../egress/dialer.ts";
import { createNameLookup } from "../egress/name-lookup.ts";
import type { Endpoint } from "../egress/origin-gate.ts";
import { lookupDefaults, type UpstreamOptions, upstreamDefaults } from "../egress/upstream.ts";
import { createProxyServer, proxyLimits } from "../front/proxy/proxy-server.ts";
import { parseRouteTable, type Route } from "../front/proxy/routes/routes.ts";
import { createSources, type Sources } from "../front/proxy/routes/sources.ts";
import { createSystemNames, thisSystem } from "../names/system-names.ts";
import { settingFault } from "./setting-fault.ts";

export interface DownloadProxyOptions {
  readonly config: Config;
  readonly scan: Scan;
  readonly engineVersion: () => EngineVersion | null;
  readonly urlVerdicts: UrlVerdictCache;
  readonly givenCopies: GivenCopies;
  readonly verdictTtlSeconds: number;
  /** As `DownloadParts.remembersAgain`. */
  readonly remembersAgain: boolean;
  readonly isTestOnly: () => boolean;
  readonly retryAfterSeconds: number;
  /** Whether a port that is taken is no reason to give up the start. */
  readonly mayBeLeftOut: boolean;
  /** Addresses of our own that no download may lead to, besides those that the settings tell. */
  readonly ownUrls: readonly string[];
  readonly access: Access | null;
  readonly emit: Emit;
  readonly clock: Clock;
}

export interface DownloadProxy {
  readonly url: string;
  /** Reads its files anew, for requests that come from now on; resolves with how many routes there are. Rejects as the start does: then all stays as it was. */
  reload(): Promise<number>;
  drain(): Promise<void>;
  close(): Promise<void>;
}

export interface ProxyPlace {
  readonly host: string;
  /** True where it would listen on HOST, if only something said what it is for. */
  readonly isKeptHere: boolean;
}

/** An open relay for whoever reaches it is nothing that somebody gets without having asked for it. */
export function proxyPlace(config: Config): ProxyPlace {
  const { HOST, DOWNLOAD_PROXY_HOST: named, DOWNLOAD_ORIGINS: origins } = config;
  if (named !== null) return { host: named, isKeptHere: false };
  const hasPurpose =
    origins.every(({ kind }) => kind !== "any") || config.DOWNLOAD_TRUSTED_PEERS.length > 0 || config.DOWNLOAD_ROUTES !== null;
  return hasPurpose || isLoopbackHost(HOST) ? { host: HOST, isKeptHere: false } : { host: "127.0.0.1", isKeptHere: true };
}

/**
 * Listens. Rejects with an Error for the operator where a file or the address is unusable; nothing is left then. Null where it is off, or
 * left out.
 */
export async function startDownloadProxy(options: DownloadProxyOptions): Promise<DownloadProxy | null> {
  const { config, emit, clock } = options;
  if (config.DOWNLOAD_PROXY_PORT === null) return null;
  const ownEndpoints: Endpoint[] = [...endpointsOf(config), ...options.ownUrls.map(endpointOf)];
  const upstream: Omit<UpstreamOptions, "extraCa"> = {
    ...upstreamDefaults,
    origins: config.DOWNLOAD_ORIGINS,
    redirectOrigins: config.DOWNLOAD_REDIRECT_ORIGINS,
    allowPrivate: config.DOWNLOAD_ALLOW_PRIVATE,
    ownEndpoints,
    localAddresses,
    headers: { forwardAuthorization: true, forwardHeaders: config.DOWNLOAD_FORWARD_HEADERS, gatewayId: randomUUID() },
    times: { ...upstreamDefaults.times, idleTimeoutMs: config.DOWNLOAD_IDLE_TIMEOUT, totalTimeoutMs: config.DOWNLOAD_TIMEOUT },
    lookup: createNameLookup({ ...lookupDefaults, resolve: createSystemNames(thisSystem()), clock }),
    connect: tcpConnect,
    clock,
    random: Math.random,
  };
  /** What of the sources is in files. */
  async function openSources(): Promise<Sources> {
    const routes = await readRoutes(config.DOWNLOAD_ROUTES);
    const extraCa = config.DOWNLOAD_EXTRA_CA === null ? null : await readFile(config.DOWNLOAD_EXTRA_CA, "utf8");
    return createSources({ routes, mode: config.DOWNLOAD_MODE, upstream: { ...upstream, extraCa } });
  }
  let sources = await openSources();
  const opened = new Set([sources]);

  const proxy = createProxyServer({
    ...options,
    source: sources.source,
    routes: sources.routes,
    trustedPeers: config.DOWNLOAD_TRUSTED_PEERS,
    maxBytes: config.MAX_FILE_SIZE,
    trickle: { ...trickleDefaults, afterMs: config.DOWNLOAD_TRICKLE_AFTER, intervalMs: config.DOWNLOAD_TRICKLE_INTERVAL },
    slots: { total: config.DOWNLOAD_MAX, perOrigin: config.DOWNLOAD_MAX_PER_ORIGIN, perClient: config.DOWNLOAD_MAX_PER_CLIENT },
    passSetCookie: false,
    clientIdleTimeoutMs: config.CLIENT_IDLE_TIMEOUT,
    uniqueId: randomUUID,
    limits: { ...proxyLimits, headersTimeoutMs: config.CLIENT_HEAD_TIMEOUT, maxConnections: config.MAX_CONNECTIONS },
  });

  const { host, isKeptHere } = proxyPlace(config);
  const shownHost = host.includes(":") ? `[${host}]` : host;
  try {
    proxy.server.listen(config.DOWNLOAD_PROXY_PORT, host);
    await once(proxy.server, "listening");
  } catch (error) {
    await sources.close();
    const place = `${shownHost}:${config.DOWNLOAD_PROXY_PORT}`;
    const isTaken = systemCodeOf(error) === "EADDRINUSE";
    if (!isTaken || !options.mayBeLeftOut) {
      throw settingFault("DOWNLOAD_PROXY_HOST, DOWNLOAD_PROXY_PORT", `${place} cannot be listened on`, error);
    }
    const remedy = "DOWNLOAD_PROXY_PORT gives it another port, or is `off`";
    emit({ kind: "notice", level: "warn", message: `the download proxy is left out: ${place} is taken; ${remedy}` });
    return null;
  }
  const { port } = proxy.server.address() as AddressInfo; // it listens on TCP
  ownEndpoints.push({ host, port });
  emit({ kind: "notice", level: "info", message: `download proxy: ${describePolicy(config, sources.routes.length)}` });
  if (isKeptHere) emit({ kind: "notice", level: "info", message: keptHere });
  return {
    url: `http://${shownHost}:${port}`,
    async reload() {
      const before = sources;
      sources = await openSources();
      opened.add(sources);
      void proxy.useSources(sources).then(async () => {
        opened.delete(before);
        await before.close();
      });
      return sources.routes.length;
    },
    drain: () => proxy.drain(),
    async close() {
      await proxy.close();
      await Promise.all([...opened].map((one) => one.close()));
    },
  };
}

async function readRoutes(path: string | null): Promise<readonly Route[]> {
  if (path === null) return [];
  const table = parseRouteTable(await readFile(path, "utf8"));
  switch (table.kind) {
    case "routes":
      return table.routes;
    case "faults":
      throw new Error(`DOWNLOAD_ROUTES: ${path} is wrong:\n  ${table.faults.join("\n  ")}`);
  }
}

/** What the settings name: engines and cache must not be reached through us. */
function endpointsOf(config: Config): Endpoint[] {
  const engines = (config.CLAMD_PORT ?? []).flatMap((address) => (address.kind === "tcp" ? [address] : []));
  return [...engines, ...cacheServers(config)].map(({ host, port }) => ({ host: host.toLowerCase(), port }));
}

function cacheServers({ VERDICT_CACHE: cache }: Config): readonly { readonly host: string; readonly port: number }[] {
  if (cache.kind !== "redis") return [];
  const { place } = cache.target;
  switch (place.kind) {
    case "standalone":
      return [place];
    case "sentinel":
      return place.sentinels;
    case "cluster":
      return place.nodes;
  }
}

function endpointOf(url: string): Endpoint {
  const { hostname, port, protocol } = new URL(url);
  return { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || (protocol === "https:" ? 443 : 80)) };
}

function localAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).map(({ address }) => address));
}

const keptHere =
  "download proxy: listens on 127.0.0.1 only, as none of DOWNLOAD_ORIGINS, DOWNLOAD_TRUSTED_PEERS and DOWNLOAD_ROUTES says what it is for; DOWNLOAD_PROXY_HOST names another address";

function describePolicy(config: Config, routes: number): string {
  const isAny = config.DOWNLOAD_ORIGINS.some(({ kind }) => kind === "any");
  const origins = isAny ? "any public origin" : `${config.DOWNLOAD_ORIGINS.length} listed origins`;
  const inside =
    config.DOWNLOAD_ALLOW_PRIVATE.length === 0
      ? "no private address"
      : `${config.DOWNLOAD_ALLOW_PRIVATE.length} listed private addresses`;
  const peers = config.DOWNLOAD_TRUSTED_PEERS.length === 0 ? "anybody" : "the trusted peers";
  return `${peers} may fetch from ${origins}, ${inside}; ${routes} routes; mode ${config.DOWNLOAD_MODE}`;
}
