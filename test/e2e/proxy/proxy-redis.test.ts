import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ok } from "../../fake/origin.ts";
import { type LiveRedis, startRedis, untilTrue } from "../../live/redis.ts";
import { eicar, unknownBytes } from "../samples.ts";
import { type DownloadStage, openDownloads } from "./proxy-stage.ts";

const clients = 8;
const byCache = 'clamgate_verdict_source_total{source="cache"}';
const faults = "clamgate_cache_errors_total";

/** What one address has to answer, whatever Redis does. */
interface File {
  readonly path: string;
  readonly bytes: Buffer;
  readonly status: 200 | 409;
}

describe("Redis killed and restarted under load", () => {
  for (const mode of ["strict", "verified-stream"]) {
    test(`fails no request in mode ${mode}; /readyz says degraded meanwhile, and verdicts are remembered again after`, async (context) => {
      await using redis = await startRedis();
      await using stage = await openDownloads({ VERDICT_CACHE: `redis://127.0.0.1:${redis.port}`, DOWNLOAD_MODE: mode });
      const load = await startLoad(stage);
      await whenServed(load, 100);
      assert.ok((await stage.gateway.metric(byCache)) > 0);
      assert.ok(await remembers(stage));

      await redis.kill();
      await untilTrue(async () => !(await remembers(stage)));
      const faultsWhileDown = await stage.gateway.metric(faults);
      assert.ok(faultsWhileDown > 0);
      await whenServed(load, 100);
      assert.ok(!(await remembers(stage)));

      await redis.restart();
      await untilTrue(async () => remembers(stage));
      const hits = await stage.gateway.metric(byCache);
      await whenServed(load, 100);
      assert.ok((await stage.gateway.metric(byCache)) > hits);

      await freezeAndThaw(redis, stage, load);
      const { served, failures } = await load.end();
      assert.deepEqual(failures, []);
      context.diagnostic(`${served} requests, none failed; ${faultsWhileDown} faults of Redis counted while it was gone`);
    });
  }
});

/** It hangs with its connections open: nothing says so but the time. */
async function freezeAndThaw(redis: LiveRedis, stage: DownloadStage, load: Load): Promise<void> {
  redis.freeze();
  try {
    await untilTrue(async () => !(await remembers(stage)));
    await whenServed(load, 100);
  } finally {
    redis.thaw();
  }
  await untilTrue(async () => remembers(stage));
}

interface Load {
  served(): number;
  end(): Promise<{ readonly served: number; readonly failures: readonly string[] }>;
}

/** Clients that ask without a pause: mostly for what has been seen before, now and then for something new. */
async function startLoad(stage: DownloadStage): Promise<Load> {
  const known: readonly File[] = [
    ...[0, 1000, 100_000].map((size) => fileOf(`/known-${size}`, unknownBytes(size).bytes, 200)),
    fileOf("/virus", Buffer.concat([unknownBytes(1000).bytes, eicar.bytes]), 409),
  ];
  for (const { path, bytes } of known) stage.files.set(path, () => ok(bytes));
  const failures: string[] = [];
  let served = 0;
  let isOver = false;
  const work = async (client: number) => {
    for (let turn = 0; !isOver; turn += 1) {
      const file = turn % 5 === 4 ? newFile(`/new-${client}-${turn}`) : known[turn % known.length];
      if (file === undefined) continue;
      const wrong = await fault(file);
      if (wrong !== null) failures.push(`${file.path}: ${wrong}`);
      served += 1;
    }
  };
  const fault = async ({ path, bytes, status }: File): Promise<string | null> => {
    try {
      const answer = await stage.get(path, ["Cache-Scan: True"]);
      if (answer.status !== status) return `${answer.status} ${answer.body.toString().slice(0, 100)}`;
      if (!answer.isWhole) return "it was cut";
      return status === 200 && !answer.body.equals(bytes) ? "other bytes" : null;
    } catch (error) {
      return String(error);
    }
  };
  const newFile = (path: string): File => {
    const file = fileOf(path, unknownBytes(2000).bytes, 200);
    stage.files.set(path, () => ok(file.bytes));
    return file;
  };
  const working = Promise.all(Array.from({ length: clients }, (_, client) => work(client)));
  return {
    served: () => served,
    async end() {
      isOver = true;
      await working;
      return { served, failures };
    },
  };
}

function fileOf(path: string, bytes: Buffer, status: File["status"]): File {
  return { path, bytes, status };
}

/** Resolves when so many more have been answered. */
async function whenServed(load: Load, more: number): Promise<void> {
  const enough = load.served() + more;
  await untilTrue(() => load.served() >= enough);
}

/** As /readyz says of the cache. */
async function remembers({ gateway }: DownloadStage): Promise<boolean> {
  assert.equal((await fetch(`${gateway.url}/readyz`)).status, 200);
  return !(await gateway.troubles()).includes("cache");
}
