/** B8, B11, B12, B14: bodies that wear a scanner out, keep it from seeing, or take longer than it may: none is ever clean. */

import assert from "node:assert/strict";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { zstdCompressSync } from "node:zlib";
import type { GatewayProcess } from "../e2e/gateway-process.ts";
import { marker } from "../live/clamd.ts";
import { zip } from "../live/zip.ts";
import { closedTraffic } from "../load/traffic.ts";
import { chooseSeed, seededRandom } from "./harness/random.ts";
import { openFaultStage } from "./harness/stage.ts";
import { subject } from "./harness/subjects.ts";
import { hostileArchives } from "./hostile-archives.ts";

const maxScanBytes = 30 * 1024 * 1024;
const maxFiles = 1_000;
const maxThreads = 2;
const env = {
  MAX_SCAN_SIZE: String(maxScanBytes),
  MAX_FILE_SIZE: "8M",
  MAX_FILES: String(maxFiles),
  MAX_THREADS: String(maxThreads),
};

/** The most that clamd ever had on the disk at once, looked at as often as may be. */
async function mostUnpacked(gateway: GatewayProcess, signal: AbortSignal): Promise<number> {
  let most = 0;
  while (!signal.aborted) {
    most = Math.max(most, await bytesIn(gateway.state, (name) => name.startsWith("run-")));
    await delay(10);
  }
  return most;
}

async function bytesIn(directory: string, isWanted: (name: string) => boolean = () => true): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(directory, { withFileTypes: true }).catch(() => [])) {
    if (!isWanted(entry.name)) continue;
    const path = join(directory, entry.name);
    if (entry.isDirectory()) bytes += await bytesIn(path);
    else bytes += (await stat(path).catch(() => null))?.size ?? 0; // removed meanwhile
  }
  return bytes;
}

describe("archives that wear a scanner out, or hide what is in them", () => {
  test("are never clean, in time and in bounds, and honest bodies beside them have their verdicts (B8, B11)", async (context) => {
    const hostile = hostileArchives({ maxScanBytes, maxFiles });
    await using stage = await openFaultStage({ env, withinMs: 75_000 });
    const { gateway, rest, subjects, random } = stage;
    const done = new AbortController();
    const honestMs: number[] = [];
    const honest = closedTraffic({ workers: 2, signal: done.signal }, async () => {
      const { answer, exchange } = await rest.raw(random.next() < 0.5 ? subjects.infected(2_000) : subjects.clean(2_000));
      assert.notEqual(answer?.status, 503);
      honestMs.push(exchange.elapsedMs);
    });
    const watching = mostUnpacked(gateway, done.signal);
    const names: string[] = [];
    try {
      for (const one of hostile) {
        const settled = await Promise.all([rest.raw(one), rest.upload([one]), rest.upload([subjects.clean(500), one])]);
        for (const { answer, exchange } of settled) {
          assert.equal(answer?.status, 406, one.name);
          names.push(/Heuristics[\w.]*/.exec(String(exchange.answer?.body))?.[0] ?? `${one.name}: no name`);
        }
      }
    } finally {
      done.abort();
      await honest;
    }
    const most = await watching;
    honestMs.sort((a, b) => a - b);
    const p99 = honestMs[Math.floor(honestMs.length * 0.99)] ?? 0;
    context.diagnostic(`${[...new Set(names)].join(", ")}`);
    context.diagnostic(
      `at most ${most >> 20} MiB unpacked; ${honestMs.length} honest bodies, 99 % of them within ${p99.toFixed(0)} ms`,
    );
    // None would be seen, were it looked for in the wrong place.
    assert.ok(most >= 1024 * 1024, `${most} bytes on the disk`);
    assert.ok(most <= 2 * maxThreads * maxScanBytes, `${most} bytes on the disk`);
  });

  test("and take longer than a scan may are not clean, the second and third time either (B14)", async (context) => {
    const random = seededRandom(chooseSeed());
    const entries = Array.from({ length: maxFiles - 10 }, (_, index) => ({ name: `${index}`, bytes: random.bytes(5_000) }));
    const evil = { name: "evil", bytes: Buffer.from(marker) };
    const bodies = [1, 2, 3].map((number) =>
      subject(`slow-${number}.zip`, zip([{ name: `${number}`, bytes: random.bytes(10) }, ...entries, evil]), "infected"),
    );
    await using stage = await openFaultStage({ env: { ...env, MAX_SCAN_TIME: "5ms" } });
    for (const one of bodies) {
      for (let turn = 0; turn < 3; turn += 1) {
        for (const { answer } of [await stage.rest.raw(one), await stage.rest.upload([one])]) {
          assert.ok(answer?.status === 406 || answer?.status === 503, `${one.name}: ${answer?.status}`);
        }
      }
    }
    const { bodies: said, errors } = stage.account.totals();
    context.diagnostic(`${JSON.stringify(said)}`);
    assert.ok(said.unscannable + errors > 0, "some took longer");
  });

  test("in a format that the operator has listed as one to be refused are refused, each time (B12)", async () => {
    await using stage = await openFaultStage({ env: { UNSUPPORTED_FORMATS: "zstd" } });
    const one = subject("clean.zst", zstdCompressSync(Buffer.from("no harm")), "unscannable");
    for (let turn = 0; turn < 2; turn += 1) {
      assert.equal((await stage.rest.raw(one)).answer?.status, 406);
      assert.equal((await stage.rest.upload([one])).answer?.status, 406);
    }
    assert.equal(stage.account.totals().bodies.unscannable, 4);
  });
});
