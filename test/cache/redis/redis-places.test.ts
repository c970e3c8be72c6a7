/** The ways to a redis: users and passwords, TLS, the sentinels that name a master, the nodes of a cluster. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, afterEach, before, describe, test } from "node:test";
import { redisCopies } from "../../../src/cache/redis/copies.ts";
import type { RedisPlace } from "../../../src/cache/redis/target.ts";
import type { GivenCopies } from "../../../src/core/given-copies.ts";
import type { VerdictKey } from "../../../src/core/verdict-cache.ts";
import { makeCertificate } from "../../e2e/certificate.ts";
import {
  type LiveCluster,
  type LiveRedis,
  moveSlot,
  startCluster,
  startRedis,
  startSentinel,
  untilTrue,
} from "../../live/redis.ts";
import { startQuietClock } from "../../quiet-clock.ts";
import { type ScratchDirectory, scratchDirectory } from "../../scratch-directory.ts";
import {
  clean,
  connectedCache,
  infected,
  key,
  type StagedCache,
  stageCache,
  standalone,
  stored,
  storedKey,
} from "../redis-stage.ts";

const options = { timeout: 120_000 };

const always = () => true;
const never = () => false;

function keyNumber(number: number): VerdictKey {
  return { sha256: createHash("sha256").update(String(number)).digest("hex"), tag: key.tag };
}

const copy = { sha256: "cd".repeat(32), validators: ['"v1"'] };

function openCopies(
  place: RedisPlace,
  opened: AsyncDisposableStack,
  user: { readonly username: string; readonly password: string } | null = null,
): GivenCopies {
  const target = { place, username: null, password: null, database: 0, tls: null, ...user };
  const copies = redisCopies({
    target,
    keyPrefix: "clamgate:2:given:",
    emit: () => {},
    clock: () => performance.now(),
    now: Date.now,
  });
  opened.defer(() => copies.close());
  return copies;
}

describe("redisCache of a user", () => {
  let redis: LiveRedis;
  before(async () => {
    redis = await startRedis({
      conf: ["user gate on >p@ss:word/1 ~clamgate:2:* +getrange +set", "user reader on >other ~clamgate:2:* +getrange"],
    });
  });
  after(() => redis[Symbol.asyncDispose]());

  test("needs GETRANGE and SET on its own keys, and nothing else", options, async () => {
    await using staged = await connectedCache(standalone(redis), { username: "gate", password: "p@ss:word/1" });
    await staged.cache.set(key, clean, 60);
    assert.deepEqual(await staged.cache.get(key), clean);
    assert.deepEqual(staged.faults(), []);
  });

  test("needs EVAL and TIME as well for what was given", options, async () => {
    await redis.command("ACL", "SETUSER", "giver", "on", ">given", "~clamgate:2:*", "+getrange", "+set", "+eval", "+time");
    await using opened = new AsyncDisposableStack();
    const copies = openCopies(standalone(redis), opened, { username: "giver", password: "given" });
    await untilTrue(() => copies.health() === "ok");
    assert.equal((await copies.give(key.sha256, copy))?.isSole(copy), true);
  });

  test("reads where it may not write, and is degraded", options, async () => {
    await redis.command("SET", storedKey, stored(infected));
    await using staged = await connectedCache(standalone(redis), { username: "reader", password: "other" });
    for (let index = 0; index < 10; index += 1) await staged.cache.set(key, clean, 60);
    assert.deepEqual(await staged.cache.get(key), infected);
    assert.deepEqual([staged.faults("set").length, staged.cache.health()], [10, "degraded"]);
    assert.match(staged.faults()[0]?.detail ?? "", /^NOPERM/);
  });
});

describe("redisCache with TLS", () => {
  let directory: ScratchDirectory;
  let pem: { readonly cert: string; readonly key: string };
  before(async () => {
    directory = await scratchDirectory();
    pem = await makeCertificate(directory.path);
  });
  after(() => directory[Symbol.asyncDispose]());

  test("trusts the authority it is given, and no other", options, async () => {
    await using redis = await startRedis({ tls: { ...pem, asksForCertificate: false } });
    await using staged = await connectedCache(standalone(redis), { tls: { ca: pem.cert, cert: null, key: null } });
    await staged.cache.set(key, clean, 60);
    assert.deepEqual(await staged.cache.get(key), clean);

    await using wary = stageCache(standalone(redis), { tls: { ca: null, cert: null, key: null } });
    await untilTrue(() => wary.faults("open").length >= 2);
    assert.match(wary.faults()[0]?.detail ?? "", /self-signed certificate/);
    await using plain = stageCache(standalone(redis));
    await untilTrue(() => plain.faults("open").length >= 2);
    assert.equal(await plain.cache.get(key), null);
  });

  test("shows its own certificate to a server that asks for one", options, async () => {
    await using redis = await startRedis({ tls: { ...pem, asksForCertificate: true } });
    await using staged = await connectedCache(standalone(redis), { tls: { ca: pem.cert, cert: pem.cert, key: pem.key } });
    await staged.cache.set(key, clean, 60);
    assert.deepEqual(await staged.cache.get(key), clean);
    await using without = stageCache(standalone(redis), { tls: { ca: pem.cert, cert: null, key: null } });
    await untilTrue(() => without.faults("open").length >= 2);
    assert.equal(without.cache.health(), "degraded");
  });

  test("is degraded without the file of its authority", options, async () => {
    await using redis = await startRedis({ tls: { ...pem, asksForCertificate: false } });
    await using staged = stageCache(standalone(redis), { tls: { ca: `${pem.cert}.none`, cert: null, key: null } });
    await untilTrue(() => staged.faults("open").length >= 2);
    assert.match(staged.faults()[0]?.detail ?? "", /ENOENT/);
  });
});

describe("redisCache of sentinels", () => {
  test("asks whichever sentinel answers, and follows the master when it fails over", options, async () => {
    await using live = await startSentinel("secret");
    const nobody = { host: "127.0.0.1", port: 1 };
    const place = { kind: "sentinel", sentinels: [nobody, live.sentinel], masterName: live.masterName } as const;
    await using staged = await connectedCache(place, { password: "secret" });
    await staged.cache.set(key, infected, 600);
    assert.equal(await live.master.command("DBSIZE"), 1);
    await untilTrue(async () => (await live.replica.command("DBSIZE")) === 1);

    await live.master.kill();
    await staged.untilDegraded();
    assert.equal(await staged.cache.get(key), null);
    await staged.untilOk();
    assert.deepEqual(await staged.cache.get(key), infected);
    await staged.cache.set(keyNumber(1), clean, 600);
    assert.deepEqual(await staged.cache.get(keyNumber(1)), clean);
    assert.equal(await live.replica.command("DBSIZE"), 2);

    // The sentinel is needed to find the master, not to talk to it.
    await live.sentinel.kill();
    assert.deepEqual(await staged.cache.get(key), infected);
    assert.doesNotMatch(JSON.stringify(staged.events), /secret/);
  });

  test("leaves a master that is made a replica", options, async () => {
    await using live = await startSentinel();
    const place = { kind: "sentinel", sentinels: [live.sentinel], masterName: live.masterName } as const;
    await using staged = await connectedCache(place);
    // Refused until the sentinel has seen the replica well ("NOGOODSLAVE").
    const failOver = () => live.sentinel.command("SENTINEL", "FAILOVER", live.masterName);
    await untilTrue(() => failOver().then(always, never));
    await untilTrue(async () => {
      const address = await live.sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", live.masterName);
      return String(address) === `127.0.0.1,${live.replica.port}`;
    });
    // The sentinel does it too, after a while.
    await live.master.command("REPLICAOF", "127.0.0.1", String(live.replica.port));
    await untilTrue(async () => {
      await staged.cache.set(key, clean, 600);
      return staged.cache.health() === "ok";
    });
    assert.deepEqual(await staged.cache.get(key), clean);
    assert.equal(await live.replica.command("DBSIZE"), 1);
    assert.match(staged.faults()[0]?.detail ?? "", /^READONLY/);
  });

  test("says which sentinel knows no such master, and which is not there", options, async () => {
    await using sentinel = await startRedis({ isSentinel: true, readyLine: /Sentinel ID is/ });
    const sentinels = [sentinel, { host: "127.0.0.1", port: 1 }];
    await using staged = stageCache({ kind: "sentinel", sentinels, masterName: "nobody" });
    await untilTrue(() => staged.faults("open").length >= 2);
    const detail = staged.faults()[0]?.detail ?? "";
    assert.match(detail, new RegExp(`sentinel 127\\.0\\.0\\.1:${sentinel.port}: knows no master nobody`));
    assert.match(detail, /sentinel 127\.0\.0\.1:1: connect ECONNREFUSED/);
    assert.equal(await staged.cache.get(key), null);
  });
});

describe("redisCache of a cluster", () => {
  let cluster: LiveCluster;
  before(async () => {
    cluster = await startCluster();
  });
  after(() => cluster[Symbol.asyncDispose]());
  afterEach(() => cluster.revive());

  test("has what was given on every node", options, async () => {
    await using opened = new AsyncDisposableStack();
    const copies = openCopies({ kind: "cluster", nodes: cluster.nodes }, opened);
    await untilTrue(() => copies.health() === "ok");
    for (let number = 0; number < 30; number += 1) {
      const { sha256: address } = keyNumber(number);
      assert.equal((await copies.give(address, copy))?.isSole(copy), true);
      const other = { ...copy, sha256: address };
      assert.equal((await copies.give(address, other))?.isSole(other), false);
    }
  });

  test("learns all nodes from one, and gives each its keys", options, async () => {
    const [first] = cluster.nodes;
    assert.ok(first);
    const nobody = { host: "127.0.0.1", port: 1 };
    await using staged = await connectedCache({ kind: "cluster", nodes: [nobody, first] });
    for (let number = 0; number < 100; number += 1) await staged.cache.set(keyNumber(number), infected, 600);
    for (let number = 0; number < 100; number += 1) assert.deepEqual(await staged.cache.get(keyNumber(number)), infected);
    for (const node of cluster.nodes) assert.ok(Number(await node.command("DBSIZE")) > 10);
    assert.deepEqual(staged.faults(), []);
  });

  test("follows a slot to another node", options, async () => {
    await using staged = await connectedCache({ kind: "cluster", nodes: cluster.nodes });
    await staged.cache.set(keyNumber(1000), clean, 600);
    const name = `clamgate:2:${keyNumber(1000).sha256}${key.tag}`;
    const [first] = cluster.nodes;
    const slot = String(await first?.command("CLUSTER", "KEYSLOT", name));
    const owner = cluster.nodes[Math.floor((Number(slot) * 3) / 16_384)];
    const heir = cluster.nodes.find((node) => node !== owner);
    assert.ok(owner && heir);
    await owner.command("DEL", name);
    await moveSlot(cluster, slot, owner, heir);
    assert.equal(await staged.cache.get(keyNumber(1000)), null);
    await staged.cache.set(keyNumber(1000), infected, 600);
    assert.deepEqual(await staged.cache.get(keyNumber(1000)), infected);
    assert.equal(await heir.command("EXISTS", name), 1);
    assert.deepEqual(staged.faults(), []);
  });

  test("misses what a lost node keeps, finds the rest, and all when the node is back", options, async () => {
    for (const node of cluster.nodes) await node.command("CONFIG", "SET", "cluster-require-full-coverage", "no");
    await using staged = await connectedCache({ kind: "cluster", nodes: cluster.nodes });
    const numbers = Array.from({ length: 60 }, (_, index) => index);
    for (const number of numbers) await staged.cache.set(keyNumber(number), clean, 600);
    const lost = cluster.nodes[1];
    assert.ok(lost);
    const found = async () => {
      const verdicts = await Promise.all(numbers.map((number) => staged.cache.get(keyNumber(number))));
      return verdicts.filter((verdict) => verdict !== null).length;
    };
    assert.equal(await found(), 60);
    await lost.kill();
    await staged.untilDegraded();
    const left = await found();
    assert.ok(left > 20 && left < 60, `${left} of 60`);
    await using late = stageCache({ kind: "cluster", nodes: cluster.nodes });
    await untilTrue(() => late.events.some(({ kind }) => kind === "notice"));
    const lateFound = await Promise.all(numbers.map((number) => late.cache.get(keyNumber(number))));
    assert.equal(lateFound.filter((verdict) => verdict !== null).length, left);
    assert.equal(late.cache.health(), "degraded");

    await lost.restart();
    const isAllBack = async ({ cache }: StagedCache) => {
      for (const number of numbers) await cache.set(keyNumber(number), clean, 600);
      const verdicts = await Promise.all(numbers.map((number) => cache.get(keyNumber(number))));
      return verdicts.every((verdict) => verdict !== null) && cache.health() === "ok";
    };
    await untilTrue(() => isAllBack(staged));
    await untilTrue(() => isAllBack(late));
  });

  test("goes on with the others while a node hangs, and finds all when it does not", options, async () => {
    await using staged = await connectedCache({ kind: "cluster", nodes: cluster.nodes });
    const numbers = Array.from({ length: 60 }, (_, index) => index);
    const ask = () => Promise.all(numbers.map((number) => staged.cache.get(keyNumber(number))));
    await Promise.all(numbers.map((number) => staged.cache.set(keyNumber(number), clean, 600)));
    const hanging = cluster.nodes[2];
    hanging?.freeze();
    const left = (await ask()).filter((verdict) => verdict !== null).length;
    assert.ok(left > 20 && left < 60, `${left} of 60`);
    await staged.untilDegraded();
    hanging?.thaw();
    await untilTrue(async () => (await ask()).every((verdict) => verdict !== null));
    await staged.untilOk();
  });

  test("is degraded while there is no cluster, and finds it when there is one again", options, async () => {
    await using staged = await connectedCache({ kind: "cluster", nodes: cluster.nodes });
    for (const node of cluster.nodes) await node.kill();
    await staged.untilDegraded();
    await using early = stageCache({ kind: "cluster", nodes: cluster.nodes });
    await untilTrue(() => early.faults("open").length >= 2);
    assert.deepEqual(await Promise.all([early.cache.get(key), staged.cache.get(key)]), [null, null]);
    for (const node of cluster.nodes) await node.restart();
    for (const { cache } of [early, staged]) {
      await untilTrue(async () => {
        await cache.set(key, clean, 600);
        return (await cache.get(key)) !== null && cache.health() === "ok";
      });
    }
  });

  test("closes at once while a node hangs", options, async () => {
    await using staged = await connectedCache({ kind: "cluster", nodes: cluster.nodes });
    for (const node of cluster.nodes) node.freeze();
    const asked = staged.cache.get(key);
    const early = stageCache({ kind: "cluster", nodes: cluster.nodes });
    const quietMs = startQuietClock();
    await Promise.all([early.cache.close(), staged.cache.close()]);
    assert.ok(quietMs() < 1500);
    assert.equal(await asked, null);
  });
});
