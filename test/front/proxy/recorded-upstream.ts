/** An upstream whose names and connections are the test's: it records whatever would have been asked or dialled, and dials nothing but loopback. */

import type { Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { parseIpAddress } from "../../../src/codec/ip-address.ts";
import { tcpConnect } from "../../../src/egress/dialer.ts";
import type { UpstreamRequest, UpstreamResponse } from "../../../src/egress/fetch-upstream.ts";
import { createNameLookup } from "../../../src/egress/name-lookup.ts";
import { createUpstream, lookupDefaults, type UpstreamOptions, upstreamDefaults } from "../../../src/egress/upstream.ts";
import { parseBase } from "../../../src/front/proxy/download-address.ts";
import { origins, privates } from "./rules.ts";

export interface Given extends Partial<Omit<UpstreamOptions, "origins" | "redirectOrigins" | "allowPrivate" | "times">> {
  /** What names resolve to; one answer per question, the last for ever. Any other name does not exist. */
  readonly names?: Readonly<Record<string, readonly (readonly string[])[]>>;
  readonly origins?: readonly string[];
  readonly redirectOrigins?: readonly string[];
  readonly allowPrivate?: readonly string[];
  readonly times?: Partial<UpstreamOptions["times"]>;
  readonly dnsTtlMs?: number;
}

export interface RecordedUpstream extends AsyncDisposable {
  /** A GET without headers, up to 1 MiB, unless said otherwise. */
  fetch(url: string, request?: Partial<UpstreamRequest>): Promise<UpstreamResponse>;
  /** `address:port`, in order. */
  readonly dialled: string[];
  readonly asked: string[];
  close(): Promise<void>;
}

export function recordedUpstream(given: Given = {}): RecordedUpstream {
  const dialled: string[] = [];
  const asked: string[] = [];
  const clock = () => performance.now();
  const resolve = async (name: string): Promise<readonly string[]> => {
    const answers = given.names?.[name];
    const answer = answers?.[Math.min(asked.filter((other) => other === name).length, answers.length - 1)];
    asked.push(name);
    if (answer === undefined) throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: "ENOTFOUND" });
    return answer;
  };
  const connect = (address: string, port: number, signal: AbortSignal): Promise<Socket> => {
    dialled.push(`${address}:${port}`);
    return loopbackOnly(address, port, signal);
  };
  const upstream = createUpstream({
    ...upstreamDefaults,
    ownEndpoints: [],
    localAddresses: () => [],
    headers: { forwardAuthorization: true, forwardHeaders: [], gatewayId: "test" },
    extraCa: null,
    lookup: createNameLookup({ ...lookupDefaults, ttlMs: given.dnsTtlMs ?? lookupDefaults.ttlMs, resolve, clock }),
    connect,
    clock,
    random: () => 0.5,
    retryAfterMs: 1,
    ...given,
    origins: origins(...(given.origins ?? ["any"])),
    redirectOrigins: origins(...(given.redirectOrigins ?? [])),
    allowPrivate: privates(...(given.allowPrivate ?? [])),
    times: { ...upstreamDefaults.times, ...given.times },
  });
  return {
    dialled,
    asked,
    fetch(url, request = {}) {
      const base = parseBase(url.split("?", 1).join(""));
      const target = { ...base, path: base.path + (/\?.*$/.exec(url)?.[0] ?? "") };
      const { signal } = new AbortController();
      return upstream.fetch({
        method: "GET",
        rawHeaders: [],
        client: "192.0.2.1",
        maxBytes: 1024 * 1024,
        signal,
        target,
        ...request,
      });
    },
    close: () => upstream.close(),
    [Symbol.asyncDispose]: () => upstream.close(),
  };
}

/** Where a scripted origin on loopback is allowed, and nothing else is. */
export const loopback = ["127.0.0.0/8:*", "::1/128:*"] as const;

/** Whatever the code under test does: no packet leaves this machine. */
export function loopbackOnly(address: string, port: number, signal: AbortSignal): Promise<Socket> {
  const isLoopback = /^127\.\d+\.\d+\.\d+$/.test(address) || address === "::1";
  if (parseIpAddress(address) !== null && isLoopback) return tcpConnect(address, port, signal);
  return Promise.reject(Object.assign(new Error(`connect ECONNREFUSED ${address}:${port}`), { code: "ECONNREFUSED" }));
}

export async function bytesOf(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Reads to the end and forgets. */
export async function drain(body: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const chunk of body) bytes += chunk.length;
  return bytes;
}
