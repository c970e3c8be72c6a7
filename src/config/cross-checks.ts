/** What must hold between settings; each by itself is right already. */

import { join, relative } from "node:path";
import { describeListenAddress } from "../codec/clamd/listen-address.ts";
import { isLoopbackHost } from "../codec/ip-address.ts";
import { formatSize } from "./numbers.ts";
import type { Config } from "./settings.ts";

/** A socket's path ends within 104 bytes on macOS and 108 on Linux (unix(7) sun_path); a few are left over. */
const largestSocketPathBytes = 100;
const socketPathBelowState = join("run-xxxxxxxx", "clamd.sock");

type Check = (config: Partial<Config>) => string | null;

const checks: readonly Check[] = [
  spoolHoldsFile,
  proxyPortDiffers,
  clamdPortsDiffer,
  clamdPeersAreNamed,
  proxyUserHasPassword,
  socketPathFits,
  spoolIsApart,
  clientsAreListed,
  accessIsAsked,
  tokensCanBeRead,
  certificatesCanBeShown,
  recordHasPlace,
];

/**
 * One line for each rule that is broken.
 * @param config without the settings that are wrong by themselves: a default in their place would be judged for them.
 */
export function crossCheck(config: Partial<Config>): readonly string[] {
  return checks.map((check) => check(config)).filter((fault) => fault !== null);
}

function spoolHoldsFile({ MAX_FILE_SIZE: file, SPOOL_MAX: spool }: Partial<Config>): string | null {
  if (file === undefined || spool === undefined || file <= spool) return null;
  return `MAX_FILE_SIZE (${formatSize(file)}) must not be larger than SPOOL_MAX (${formatSize(spool)}).`;
}

/** PORT and SSL_PORT may be one where there is no certificate, as in clamav-rest: servers.ts judges them. */
function proxyPortDiffers({ PORT, SSL_PORT, DOWNLOAD_PROXY_PORT: port }: Partial<Config>): string | null {
  if (typeof port !== "number" || port === 0) return null;
  const other = Object.entries({ PORT, SSL_PORT }).find(([, otherPort]) => otherPort === port);
  return other === undefined ? null : `${other[0]} and DOWNLOAD_PROXY_PORT must differ; both are ${port}.`;
}

function clamdPortsDiffer({ CLAMD_LISTEN: listen, PORT, SSL_PORT, DOWNLOAD_PROXY_PORT }: Partial<Config>): string | null {
  const ports = (listen ?? []).flatMap((address) => (address.kind === "tcp" && address.port !== 0 ? [address.port] : []));
  const other = Object.entries({ PORT, SSL_PORT, DOWNLOAD_PROXY_PORT }).find(([, port]) => ports.some((own) => own === port));
  return other === undefined ? null : `${other[0]} and CLAMD_LISTEN must differ; both have port ${other[1]}.`;
}

/** The protocol knows neither names nor secrets: who may connect may have scanned what he likes, and learns what is found. */
function clamdPeersAreNamed({ CLAMD_LISTEN: listen, CLAMD_ALLOW_FROM: peers }: Partial<Config>): string | null {
  if (peers === undefined || peers.length > 0) return null;
  const open = (listen ?? []).find((address) => address.kind === "tcp" && !isLoopbackHost(address.host));
  if (open === undefined) return null;
  return `CLAMD_ALLOW_FROM must say who may connect to CLAMD_LISTEN at ${describeListenAddress(open)}, as 10.0.0.0/8 or private.`;
}

/** The wording of clamav-rest (rest.md 71). */
function proxyUserHasPassword({ PROXY_USERNAME: user, PROXY_PASSWORD: password }: Partial<Config>): string | null {
  if (typeof user !== "string" || password !== null) return null;
  return "PROXY_PASSWORD must be set when PROXY_USERNAME is provided.";
}

/** A given clamd has its own socket. */
function socketPathFits({ STATE_DIRECTORY: state, CLAMD_PORT: given }: Partial<Config>): string | null {
  if (state === undefined || given !== null) return null;
  const excess = Buffer.byteLength(join(state, socketPathBelowState)) - largestSocketPathBytes;
  if (excess <= 0) return null;
  const bytes = Buffer.byteLength(state);
  return `STATE_DIRECTORY: ${JSON.stringify(state)} is too long for a socket below it: allowed are ${bytes - excess} bytes, it has ${bytes}.`;
}

function clientsAreListed({ AUTH: ways, API_KEYS_FILE: file }: Partial<Config>): string | null {
  if (ways === undefined || file !== null || ways.every((way) => way === "jwt")) return null;
  return `API_KEYS_FILE must name the file of the clients when AUTH is ${ways.join(",")}.`;
}

const tokenSettings = ["JWT_ISSUER", "JWT_AUDIENCE", "JWT_JWKS"] as const;

function tokensCanBeRead(config: Partial<Config>): string | null {
  if (config.AUTH?.includes("jwt") !== true) return null;
  const missing = tokenSettings.filter((setting) => config[setting] === null);
  return missing.length === 0 ? null : `${missing.join(", ")} must be set when AUTH has jwt.`;
}

/** Whoever sets one of these believes that nobody else comes in. */
function accessIsAsked(config: Partial<Config>): string | null {
  if (config.AUTH === undefined) return null;
  const { AUTH: ways, API_KEYS_FILE: keys, METRICS_AUTH: metrics, SSL_CLIENT_CA: authorities } = config;
  const said = ways.length === 0 ? "none" : ways.join(",");
  if (!ways.includes("keys") && !ways.includes("mtls") && typeof keys === "string") {
    return `AUTH must be keys or mtls when API_KEYS_FILE is set: it is ${said}.`;
  }
  if (ways.length === 0 && metrics === true) return "AUTH must be keys, jwt or mtls when METRICS_AUTH is yes: it is none.";
  const token = tokenSettings.find((setting) => typeof config[setting] === "string");
  if (!ways.includes("jwt") && token !== undefined) return `AUTH must have jwt when ${token} is set.`;
  if (!ways.includes("mtls") && typeof authorities === "string") return "AUTH must have mtls when SSL_CLIENT_CA is set.";
  return null;
}

function recordHasPlace({ AUDIT: place, AUDIT_REQUIRED: isRequired }: Partial<Config>): string | null {
  return isRequired === true && place === null ? "AUDIT must be set when AUDIT_REQUIRED is yes." : null;
}

function certificatesCanBeShown({
  AUTH: ways,
  SSL_CLIENT_CA: ca,
  SSL_PORT: port,
  TRUSTED_PROXIES: proxies,
}: Partial<Config>): string | null {
  if (ways?.includes("mtls") !== true || ca === undefined || port === undefined || proxies === undefined) return null;
  if (ca !== null && port === null) return "SSL_PORT must be set when SSL_CLIENT_CA is: a certificate is shown over TLS.";
  if (ca !== null || proxies.length > 0) return null;
  return "SSL_CLIENT_CA, or TRUSTED_PROXIES that pass certificates on, must be set when AUTH has mtls.";
}

/** The spool refuses a directory that holds anything else, but only once all else has started. */
function spoolIsApart(config: Partial<Config>): string | null {
  const { SPOOL_DIRECTORY: spool, VERDICT_CACHE: cache } = config;
  if (spool === undefined) return null;
  const others: readonly (readonly [name: string, path: string | undefined])[] = [
    ["STATE_DIRECTORY", config.STATE_DIRECTORY],
    ["DATABASE_DIRECTORY", config.DATABASE_DIRECTORY],
    ["VERDICT_CACHE", cache?.kind === "sqlite" ? cache.path : undefined],
  ];
  const within = others.filter(([, path]) => path !== undefined && isWithin(path, spool)).map(([name]) => name);
  if (within.length === 0) return null;
  return `SPOOL_DIRECTORY: ${JSON.stringify(spool)} must be a directory of its own; it holds ${within.join(", ")}.`;
}

/** True for the directory itself too. By name only: links are not followed. */
function isWithin(path: string, directory: string): boolean {
  const way = relative(directory, path);
  return way !== ".." && !way.startsWith("../");
}
