/** Where the key set of tokens is fetched from: JWT_JWKS and nothing else, through the guarded egress. */

import { randomUUID } from "node:crypto";
import { parseIpRange } from "../codec/ip-address.ts";
import type { PrivateRule } from "../codec/origin-rule.ts";
import type { Clock } from "../core/clock.ts";
import { tcpConnect } from "../egress/dialer.ts";
import { createNameLookup } from "../egress/name-lookup.ts";
import { type Target, targetOf } from "../egress/target.ts";
import { createUpstream, lookupDefaults, upstreamDefaults } from "../egress/upstream.ts";
import { createSystemNames, thisSystem } from "../names/system-names.ts";

export interface KeySetSource {
  /** As `KeySetOptions.load`. */
  load(): Promise<unknown>;
  close(): Promise<void>;
}

/** Requests wait for it. */
const totalMs = 10_000;
const maxBytes = 1024 * 1024;

/** @param url of http or https, without credentials. */
export function openKeySetSource(url: string, clock: Clock): KeySetSource {
  const target = targetOf(URL.parse(url));
  if (target === null) throw new Error(`${url} is no address to fetch keys from`);
  const { scheme, host, port, path } = target;
  const upstream = createUpstream({
    ...upstreamDefaults,
    origins: [
      { kind: "origin", schemes: [scheme], host: { kind: "exact", name: host }, port, prefix: path.split("?", 1)[0] ?? "/" },
    ],
    redirectOrigins: [],
    allowPrivate: [privateRule(target)],
    ownEndpoints: [],
    localAddresses: () => [],
    headers: { forwardAuthorization: false, forwardHeaders: [], gatewayId: randomUUID() },
    extraCa: null,
    maxRedirects: 0,
    times: { ...upstreamDefaults.times, totalTimeoutMs: totalMs },
    lookup: createNameLookup({ ...lookupDefaults, resolve: createSystemNames(thisSystem()), clock }),
    connect: tcpConnect,
    clock,
    random: Math.random,
  });
  return {
    async load() {
      const answer = await upstream.fetch({
        method: "GET",
        target,
        rawHeaders: ["Accept", "application/jwk-set+json, application/json"],
        client: "key set",
        signal: AbortSignal.timeout(totalMs),
        maxBytes,
      });
      if (answer.status !== 200) {
        answer.discard();
        throw new Error(`it was answered with ${answer.status}`);
      }
      return JSON.parse(Buffer.concat(await Array.fromAsync(answer.body)).toString()) as unknown;
    },
    close: () => upstream.close(),
  };
}

/** An operator who writes a name of his own network, or an address, means it. */
function privateRule({ host, port }: Target): PrivateRule {
  const range = parseIpRange(host);
  return range === null ? { kind: "host", host, port } : { kind: "range", range, port };
}
