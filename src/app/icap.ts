/** The ICAP server under its settings. */

import { randomUUID } from "node:crypto";
import type { AddressInfo, Server } from "node:net";
import type { Config } from "../config/settings.ts";
import { AgingMap } from "../core/aging-map.ts";
import type { Clock } from "../core/clock.ts";
import type { Emit } from "../core/events.ts";
import type { Policy, Scan } from "../core/scan.ts";
import { trickleDefaults } from "../core/trickle.ts";
import type { EngineVersion } from "../core/verdict.ts";
import { createIcapServer, type IcapServer } from "../front/icap/icap-server.ts";
import { createIstag } from "../front/icap/istag.ts";
import { type CertificateWatch, certificateFault, readCertificate, watchCertificate } from "./certificate.ts";
import { settingFault } from "./setting-fault.ts";

export interface IcapOptions {
  readonly config: Config;
  readonly scan: Scan;
  readonly policy: Policy;
  readonly engineVersion: () => EngineVersion | null;
  readonly isReady: () => boolean;
  readonly retryAfterSeconds: number;
  readonly emit: Emit;
  readonly clock: Clock;
}

export interface Icap {
  /** As `icap://[::]:1344`. */
  readonly urls: readonly string[];
  connections(): number;
  /** Looks at the certificate's files now; what came of it is emitted. */
  reload(): Promise<void>;
  drain(): Promise<void>;
  close(): Promise<void>;
}

const headTimeoutMs = 30_000;
/** As REST has it. */
const maxParts = 10_000;
const cutUrlsTtlMs = 10 * 60_000;
const maxCutUrls = 10_000;

/** Listens. Rejects with an Error for the operator where an address or the certificate is unusable; nothing is left then. Null where it is off. */
export async function startIcap(options: IcapOptions): Promise<Icap | null> {
  const { config, emit } = options;
  const { ICAP_PORT: port, ICAP_SSL_PORT: tlsPort } = config;
  if (port === null && tlsPort === null) return null;
  const icap = createIcapServer(frontOptions(options));
  const urls: string[] = [];
  let watch: CertificateWatch | null = null;
  try {
    if (port !== null) urls.push(await listen(icap.plain, { config, scheme: "icap", name: "ICAP_PORT", port }));
    if (tlsPort !== null) {
      const secured = await secure(icap, config, emit);
      watch = secured.watch;
      urls.push(await listen(secured.server, { config, scheme: "icaps", name: "ICAP_SSL_PORT", port: tlsPort }));
    }
  } catch (error) {
    watch?.close();
    await icap.close();
    throw error;
  }
  emit({ kind: "notice", level: "info", message: `ICAP: ${describePolicy(config)}` });
  return {
    urls,
    connections: () => icap.connections(),
    reload: async () => await watch?.look(),
    async drain() {
      watch?.close();
      await icap.drain();
    },
    async close() {
      watch?.close();
      await icap.close();
    },
  };
}

function frontOptions({ config, engineVersion, clock, ...options }: IcapOptions): Parameters<typeof createIcapServer>[0] {
  const trickle = { ...trickleDefaults, afterMs: config.ICAP_TRICKLE_AFTER, intervalMs: config.ICAP_TRICKLE_INTERVAL };
  const { forAll, forPath } = config.ICAP_ON_ERROR;
  // What a client may be told of the same bytes depends on these.
  const settings = [
    [...options.policy.allowedReasons].sort(),
    [config.MAX_FILE_SIZE, config.UNSUPPORTED_FORMATS, config.ICAP_MODE, config.ICAP_PREVIEW],
    [forAll, ...[...forPath].sort()],
  ];
  return {
    ...options,
    clock,
    istag: createIstag({ engineVersion, settings }),
    maxBytes: config.MAX_FILE_SIZE,
    maxParts,
    services: config.ICAP_SERVICES === null ? null : new Set(config.ICAP_SERVICES),
    preview: config.ICAP_PREVIEW,
    maxConnections: config.ICAP_MAX_CONNECTIONS,
    onError: config.ICAP_ON_ERROR,
    trickle: config.ICAP_MODE === "trickle" ? trickle : null,
    cutUrls: new AgingMap({ ttlMs: cutUrlsTtlMs, maxEntries: maxCutUrls, clock }),
    headTimeoutMs,
    idleTimeoutMs: config.ICAP_IDLE_TIMEOUT,
    patienceMs: config.CLIENT_IDLE_TIMEOUT,
    peers: config.ICAP_CLIENTS,
    uniqueId: randomUUID,
  };
}

async function secure(icap: IcapServer, config: Config, emit: Emit) {
  const ca = config.ICAP_CLIENT_CA === null ? null : ({ setting: "ICAP_CLIENT_CA", path: config.ICAP_CLIENT_CA } as const);
  const paths = { certPath: config.SSL_CERT, keyPath: config.SSL_KEY, ca };
  try {
    const certificate = await readCertificate(paths);
    if (certificate === null) throw new Error("a file is not there");
    const { server, use } = icap.secure(certificate);
    return { server, watch: watchCertificate({ ...paths, certificate, emit }, use) };
  } catch (error) {
    throw certificateFault(paths, error);
  }
}

interface ListenOptions {
  readonly config: Config;
  readonly scheme: string;
  readonly name: string;
  readonly port: number;
}

async function listen(server: Server, { config, scheme, name, port }: ListenOptions): Promise<string> {
  const host = config.HOST;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  }).catch((error: unknown) => {
    throw settingFault(`HOST, ${name}`, `${host}:${port} cannot be listened on`, error);
  });
  const { port: actual } = server.address() as AddressInfo; // it listens on TCP
  return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${actual}`;
}

function describePolicy(config: Config): string {
  const peers = config.ICAP_CLIENTS.length === 0 ? "anybody" : `${config.ICAP_CLIENTS.length} listed ranges`;
  const tls = config.ICAP_CLIENT_CA === null ? "" : ", over TLS with a certificate";
  const services = config.ICAP_SERVICES === null ? "any path" : config.ICAP_SERVICES.join(", ");
  const { forAll, forPath } = config.ICAP_ON_ERROR;
  const words = [forAll, ...[...forPath].map(([path, word]) => `${path}=${word}`)].join(",");
  return `${peers} may ask${tls}; ${services}; mode ${config.ICAP_MODE}; without a verdict ${words}`;
}
