/** What the gateway's look into archives and packages costs beside clamd's own, and what two hostile ones cost everybody else. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { createScanner } from "../../client/src/index.ts";
import { ar } from "../../test/containers/made-packages.ts";
import { harmless, madeZip } from "../../test/containers/made-zip.ts";
import { tar } from "../../test/fault/tar.ts";
import { spreadOf } from "../load/statistics.ts";
import type { Row } from "../row.ts";
import type { Scenario } from "../scenario.ts";
import type { RunningGateway } from "../stage.ts";

/** Each call makes another body: neither clamd nor the gateway has seen it. */
const bodies: Readonly<Record<string, () => Buffer>> = {
  "a zip of 1 entry": () => zipOf(1),
  "a zip of 100 entries": () => zipOf(100),
  "a zip of 10,000 entries": () => zipOf(10_000),
  "a deb of 1 MB": () => debOf(1_000_000),
  "a deb of 50 MB": () => debOf(50_000_000),
};

export const containers: Scenario = {
  name: "containers",
  async run(stage) {
    // A zip of 10,000 entries is one file more than passes by default, and takes S-real over a minute.
    const gateway = await stage.gateway("tiny", { MAX_FILES: "20000", MAX_FILE_SIZE: "100M", MAX_SCAN_SIZE: "400M" });
    const rows: Row[] = [];
    for (const [what, make] of Object.entries(bodies)) rows.push(await addedTime(what, make, gateway, stage.rounds));
    return [...rows, await lagOfOthers(gateway, stage.rounds)];
  },
};

async function addedTime(what: string, make: () => Buffer, { url, socketPath }: RunningGateway, rounds: number): Promise<Row> {
  await using bare = createScanner(`unix://${socketPath}`);
  const times = { clamd: [] as number[], gateway: [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    const theirs = async () => {
      const body = make();
      times.clamd.push(await msOf(async () => assert.equal((await bare.scan(body)).verdict.kind, "clean", what)));
    };
    const ours = async () => {
      const body = make();
      times.gateway.push(await msOf(async () => assert.equal(await upload(url, body), 200, what)));
    };
    for (const one of round % 2 === 0 ? [theirs, ours] : [ours, theirs]) await one();
  }
  return {
    scenario: containers.name,
    what: `${what}, 1 client, tiny: time added to clamd's own`,
    target: null,
    measured: spreadOf(times.gateway.map((ms, round) => ms - (times.clamd[round] ?? Number.NaN))),
    unit: "ms",
    figures: [
      { name: "clamgate /v2/scan", unit: "ms", spread: spreadOf(times.gateway) },
      { name: "bare INSTREAM", unit: "ms", spread: spreadOf(times.clamd) },
    ],
  };
}

/** /livez is answered by the event loop alone: what it waits for is the lag. */
async function lagOfOthers({ url }: RunningGateway, rounds: number): Promise<Row> {
  const idle: number[] = [];
  const meanwhile: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    idle.push(p99(await timesOfLivez(url, new Promise((resolve) => setTimeout(resolve, 1_000)))));
    const hostile = [zipOf(60_000), zipOf(60_000)].map(async (body) => assert.equal(await upload(url, body), 406));
    meanwhile.push(p99(await timesOfLivez(url, Promise.all(hostile))));
  }
  return {
    scenario: containers.name,
    what: "GET /livez while two zips of 60,000 entries are scanned: p99 over that of an idle gateway",
    target: null,
    measured: spreadOf(meanwhile.map((ms, round) => ms - (idle[round] ?? Number.NaN))),
    unit: "ms",
    figures: [
      { name: "meanwhile", unit: "ms (p99)", spread: spreadOf(meanwhile) },
      { name: "idle", unit: "ms (p99)", spread: spreadOf(idle) },
    ],
  };
}

async function timesOfLivez(url: string, until: Promise<unknown>): Promise<readonly number[]> {
  let isOver = false;
  const over = until.finally(() => {
    isOver = true;
  });
  const times: number[] = [];
  while (!isOver) {
    times.push(await msOf(async () => void (await (await fetch(`${url}/livez`)).text())));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await over;
  return times;
}

function p99(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? Number.NaN;
}

async function upload(url: string, body: Buffer): Promise<number> {
  const form = new FormData();
  form.append("file", new Blob([new Uint8Array(body)]), "body");
  const response = await fetch(`${url}/v2/scan`, { method: "POST", body: form });
  await response.text();
  return response.status;
}

async function msOf(work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

function zipOf(entries: number): Buffer {
  const stamped = { name: "stamp", bytes: randomBytes(32) };
  return madeZip([stamped, ...Array.from({ length: entries - 1 }, (_, index) => ({ name: `${index}.txt`, bytes: harmless }))]);
}

function debOf(bytes: number): Buffer {
  return ar(
    ["debian-binary", Buffer.from("2.0\n")],
    ["control.tar.gz", gzipSync(tar("./control", Buffer.from("Package: bench\n")))],
    ["data.tar.gz", gzipSync(tar("./data", randomBytes(bytes)), { level: 1 })],
  );
}
