/** The scan function on a real spool, with an engine and a cache that do as a test says. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { GatewayEvent } from "../../src/core/events.ts";
import { createScan, type Scan, type ScanOptions, type ScanParts } from "../../src/core/scan.ts";
import type { Spool } from "../../src/core/spool.ts";
import type { Verdict } from "../../src/core/verdict.ts";
import { openSpool } from "../../src/spool/spool.ts";
import { type FakeEngine, fakeEngine } from "../fake/engine.ts";
import { type FakeCache, fakeCache } from "../fake/verdict-cache.ts";
import { eventually } from "../process/stage.ts";
import { scratchDirectory } from "../scratch-directory.ts";

export const clean: Verdict = { kind: "clean" };
export const infected: Verdict = { kind: "infected", signatures: ["Eicar"] };
export const encrypted: Verdict = { kind: "unscannable", reason: "encrypted", heuristic: "Heuristics.Encrypted.Zip" };

export interface ScanStage extends AsyncDisposable {
  readonly scan: Scan;
  readonly spool: Spool;
  readonly engine: FakeEngine;
  readonly cache: FakeCache;
  readonly events: GatewayEvent[];
  /** In milliseconds. */
  readonly time: { now: number };
  /** Posts a body and gives up its bytes once there is a report. */
  post(text: string, options?: Partial<ScanOptions>): Promise<Awaited<ReturnType<Scan>>>;
  /** Posts it and has the engine answer so when it is asked. */
  judge(text: string, verdict: Verdict): Promise<Awaited<ReturnType<Scan>>>;
  /** All events of requests, as their kinds and codes. */
  outcomes(): string[];
}

export function requestOptions(options: Partial<ScanOptions> = {}): ScanOptions {
  return { via: "rest", requestId: "r1", name: "a.txt", client: "a client", signal: new AbortController().signal, ...options };
}

export async function* chunks(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

export const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** Its disposal fails when a body is held or a request has not exactly one event. */
export async function openScan(parts: Partial<ScanParts> = {}): Promise<ScanStage> {
  const directory = await scratchDirectory();
  const mebibyte = 1024 * 1024;
  const spool = await openSpool({
    directory: directory.path,
    memoryBytesPerBody: 100,
    memoryBytesTotal: mebibyte,
    maxFileBytesTotal: mebibyte,
  });
  const engine = fakeEngine();
  const cache = fakeCache();
  const events: GatewayEvent[] = [];
  const time = { now: 0 };
  let requests = 0;
  const inner = createScan({
    spool,
    engine,
    cache,
    policy: { allowedReasons: new Set() },
    emit: (event) => events.push(event),
    clock: () => time.now,
    maxBytes: 100_000,
    verdictTtlSeconds: 60,
    ...parts,
  });
  const scan: Scan = (body, options) => {
    requests += 1;
    return inner(body, options);
  };
  const requestFacts = () => events.filter(({ kind }) => kind === "scanned" || kind === "scan-failed");

  async function post(text: string, options: Partial<ScanOptions> = {}) {
    await using scanned = await scan(chunks(text), requestOptions(options));
    return scanned;
  }

  return {
    scan,
    spool,
    engine,
    cache,
    events,
    time,
    post,
    async judge(text, verdict) {
      engine.answerAll(() => verdict);
      try {
        return await post(text);
      } finally {
        engine.answerAll(null);
      }
    },
    outcomes: () =>
      requestFacts().map((event) => (event.kind === "scanned" ? event.source : event.kind === "scan-failed" ? event.code : "")),
    async [Symbol.asyncDispose]() {
      engine.answerAll(() => clean);
      try {
        await eventually("no body is held", () => spool.usage().bodies === 0);
        assert.equal(requestFacts().length, requests, "events, one for each request");
      } finally {
        await spool.close();
        await directory[Symbol.asyncDispose]();
      }
    },
  };
}
