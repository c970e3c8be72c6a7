/** Several gateways on one Redis: what they share, and what becomes of it while new signatures come to one after the other. */

import assert from "node:assert/strict";
import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { bodySignature, type RealClamd, startRealClamd, testSignatures } from "../../live/clamd.ts";
import { type LiveRedis, startRedis } from "../../live/redis.ts";
import { upload } from "../client.ts";
import { type GatewayProcess, startGatewayProcess } from "../gateway-process.ts";
import { unknownBytes } from "../samples.ts";

const late = 'clamgate_cache_errors_total{operation="get"}';
const byEngine = 'clamgate_verdict_source_total{source="engine"}';
const bodiesEach = 6;
const common = unknownBytes(3_000);

describe("gateways on one Redis", () => {
  test("with own clamds share verdicts while they are alike; in a rolling update no old clean is given", async (context) => {
    await using opened = new AsyncDisposableStack();
    const redis = opened.use(await startRedis());
    const directories = await Promise.all([1, 2, 3].map(() => databaseDirectory(opened)));
    const gateways = await start(
      opened,
      redis,
      directories.map((directory) => ({ DATABASE_DIRECTORY: directory })),
    );
    const report = await rollOver(gateways, async (index, files) => {
      const before = await loads(gateways[index]);
      await place(directories[index] ?? "", files);
      gateways[index]?.signal("SIGHUP");
      await until("the update is loaded", async () => (await loads(gateways[index])) > before);
    });
    context.diagnostic(report);
  });

  test("with one pool of given clamds and GIVEN_EPOCH_FILE, too", async (context) => {
    await using opened = new AsyncDisposableStack();
    const redis = opened.use(await startRedis());
    const shared = await databaseDirectory(opened);
    const clamds = await startClamds(opened, 2, `DatabaseDirectory ${shared}\n`);
    const env = { CLAMD_PORT: portsOf(clamds), GIVEN_EPOCH_FILE: join(shared, "clamgate_epoch.ndb") };
    const gateways = await start(opened, redis, [env, env, env]);
    await until("all are alike", async () => (await Promise.all(gateways.map(isReady))).every(Boolean));
    const report = await rollOver(gateways, async (index, files) => {
      if (index > 0) return; // their clamds are the same
      const before = await readFile(env.GIVEN_EPOCH_FILE, "latin1");
      await place(shared, files);
      // Nobody else asks for a reload: the gateways do.
      await until("the canary is another one", async () => (await readFile(env.GIVEN_EPOCH_FILE, "latin1")) !== before);
      await delay(2_500); // and each gateway has looked
      await until("all have loaded it", async () => (await Promise.all(gateways.map(isReady))).every(Boolean));
    });
    context.diagnostic(report);
  });

  test("with unlike given clamds share nothing; what is remembered of one whose signatures change unseen ends with its time", async () => {
    await using opened = new AsyncDisposableStack();
    const redis = opened.use(await startRedis());
    const body = unknownBytes(2_000);
    const [first, second] = await Promise.all([
      startRealClamd({ listens: "tcp" }),
      startRealClamd({ listens: "tcp", signatures: { ...testSignatures, "own.ndb": bodySignature("Own.Name", body.bytes) } }),
    ]);
    opened.use(first);
    opened.use(second);
    const ttl = { GIVEN_VERDICT_TTL: "2s" };
    const [one, other, alike] = await start(opened, redis, [
      { CLAMD_PORT: portsOf([first]), ...ttl },
      { CLAMD_PORT: portsOf([second]), ...ttl },
      { CLAMD_PORT: portsOf([first]), ...ttl },
    ]);
    if (one === undefined || other === undefined || alike === undefined) throw new Error("not started");
    // Of one VERSION, and both without a fault of theirs.
    assert.equal((await upload(one.url, body)).status, 200);
    assert.equal((await upload(other.url, body)).status, 406);
    assert.equal((await upload(one.url, body)).status, 200, "nor the other way round");
    const before = await alike.metric(byEngine);
    assert.equal((await upload(one.url, common)).status, 200);
    assert.equal((await upload(alike.url, common)).status, 200);
    assert.equal(await alike.metric(byEngine), before, "of one pool they do");

    await first.reload({ "own.ndb": bodySignature("Own.Name", body.bytes) });
    // However often it is asked for meanwhile.
    await until("what is remembered has ended, and the reload is done", async () => (await upload(one.url, body)).status === 406);
  });
});

/** Adds a signature for some bodies to one gateway after the other, and asks all of them for all bodies after each. */
async function rollOver(
  gateways: readonly GatewayProcess[],
  update: (index: number, files: Readonly<Record<string, string>>) => Promise<void>,
): Promise<string> {
  const bad = Array.from({ length: bodiesEach }, () => unknownBytes(1_000));
  const good = Array.from({ length: bodiesEach }, () => unknownBytes(1_000));
  /** Those of the engines, and how often a gateway had to do without Redis, as on a machine that others use too. */
  const counts = async () => {
    const each = await Promise.all(gateways.map((gateway) => gateway.metrics(byEngine, late)));
    return { scans: sum(each.map(([scans = 0]) => scans)), late: sum(each.map(([, late = 0]) => late)) };
  };
  const askAll = async (updated: number) => {
    const before = await counts();
    let wrong = 0;
    for (const [index, gateway] of gateways.entries()) {
      for (const body of good) assert.equal((await upload(gateway.url, body)).status, 200);
      for (const body of bad) {
        const { status } = await upload(gateway.url, body);
        if (index < updated && status !== 406) wrong += 1;
        // Their own engine does not know it yet.
        if (index >= updated) assert.equal(status, 200);
      }
    }
    assert.equal(wrong, 0, `${wrong} cleans after ${updated} updates`);
    const after = await counts();
    return { scans: after.scans - before.scans, late: after.late - before.late };
  };
  const all = gateways.length * 2 * bodiesEach;
  const first = await askAll(0);
  const surplus = first.scans - 2 * bodiesEach;
  assert.ok(surplus >= 0 && surplus <= first.late, `alike gateways scan each body once, and ${surplus} again`);
  const told = [`at first ${all - first.scans} of ${all} answers without a scan`];
  const names = bad.map(({ bytes }, index) => bodySignature(`Roll.${index}`, bytes)).join("");
  for (const index of gateways.keys()) {
    await update(index, { "roll.ndb": names });
    const isShared = (await scanOf(gateways, bad[0])).every((status) => status === 406);
    const { scans: scanned } = await askAll(isShared ? gateways.length : index + 1);
    told.push(`after update ${index + 1}: ${all - scanned} of ${all}, 0 wrong cleans`);
  }
  const last = await askAll(gateways.length);
  assert.ok(last.scans <= last.late, "in the end all is remembered");
  return told.join("; ");
}

async function scanOf(gateways: readonly GatewayProcess[], body = common): Promise<number[]> {
  return Promise.all(gateways.map(async ({ url }) => (await upload(url, body)).status));
}

async function start(
  opened: AsyncDisposableStack,
  redis: LiveRedis,
  envs: readonly Readonly<Record<string, string>>[],
): Promise<readonly GatewayProcess[]> {
  const shared = { VERDICT_CACHE: `redis://127.0.0.1:${redis.port}`, DOWNLOAD_PROXY_PORT: "off" };
  const gateways = await Promise.all(envs.map((env) => startGatewayProcess({ env: { ...shared, ...env } })));
  for (const gateway of gateways) opened.use(gateway);
  await Promise.all(gateways.map((gateway) => gateway.ready()));
  return gateways;
}

async function startClamds(opened: AsyncDisposableStack, count: number, conf: string): Promise<readonly RealClamd[]> {
  const clamds = await Promise.all(Array.from({ length: count }, () => startRealClamd({ listens: "tcp", conf })));
  for (const clamd of clamds) opened.use(clamd);
  return clamds;
}

async function databaseDirectory(opened: AsyncDisposableStack): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "clamgate-signatures-"));
  opened.defer(() => rm(directory, { recursive: true, force: true }));
  await place(directory, testSignatures);
  return directory;
}

async function place(directory: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(directory, `.${name}`), text);
    await rename(join(directory, `.${name}`), join(directory, name));
  }
}

async function loads(gateway: GatewayProcess | undefined): Promise<number> {
  return gateway?.metric('clamgate_reloads_total{outcome="loaded"}') ?? 0;
}

/** A load, on a machine that others use too. */
async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!(await isSo())) {
    assert.ok(performance.now() < deadline, `it never came true that ${what}`);
    await delay(50);
  }
}

/** Not degraded by its engines or its cache. */
async function isReady(gateway: GatewayProcess): Promise<boolean> {
  // The test's signatures are no official ones.
  return (await gateway.troubles()).every((name) => name === "signatures");
}

function portsOf(clamds: readonly RealClamd[]): string {
  return clamds.map(({ address }) => `tcp://127.0.0.1:${address.kind === "tcp" ? address.port : 0}`).join(",");
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
