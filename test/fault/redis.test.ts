/** F12: a Redis that fails in every way it can. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type LiveRedis, startRedis } from "../live/redis.ts";
import { eventually } from "../process/stage.ts";
import { type RelayFault, startRelay } from "./harness/relay.ts";
import { type TrafficMeasure, traffic } from "./harness/rest-traffic.ts";
import { openFaultStage } from "./harness/stage.ts";
import type { Subject } from "./harness/subjects.ts";

/** So few that what one request waits for is most of what it takes. */
const workers = 2;

interface Phase extends TrafficMeasure {
  readonly name: string;
}

/** Who waited for the cache would wait 50 ms (src/app/caches.ts), or until a connection is given up. */
function assertNobodyWaited(phases: readonly Phase[], well: readonly TrafficMeasure[]): void {
  const medianMs = Math.max(...well.map((one) => one.medianMs)) + 30;
  const perSecond = Math.min(...well.map((one) => one.perSecond)) / 5;
  const slowestMs = Math.max(...well.map((one) => one.slowestMs)) + 2_000;
  for (const phase of phases) {
    assert.ok(phase.medianMs <= medianMs, `${phase.name}: half took longer than ${phase.medianMs} ms, ${medianMs} may be`);
    assert.ok(phase.perSecond >= perSecond, `${phase.name}: ${phase.perSecond}/s, ${perSecond} should be`);
    assert.ok(phase.slowestMs <= slowestMs, `${phase.name}: the slowest took ${phase.slowestMs} ms, ${slowestMs} may be`);
  }
}

/** None of it is a verdict, though some of it says clean. */
const garbage = [
  '{"v":1,"verdict":"clean"}',
  "clean",
  '"clean"',
  // A value without a byte looks like none.
  " ",
  "null",
  '{"kind":"clean"',
  '{"kind":"CLEAN"}',
  '[{"kind":"clean"}]',
  '{"kind":"infected","signatures":[]}',
  "\0\u00ff",
];

type Spoil = (key: string, index: number) => readonly (readonly string[])[];

const spoilings: Readonly<Record<string, Spoil>> = {
  garbage: (key, index) => [["SET", key, garbage[index % garbage.length] ?? ""]],
  "values of other types": (key, index) => {
    const commands = [
      ["LPUSH", key, '{"kind":"clean"}'],
      ["HSET", key, "kind", "clean"],
      ["SADD", key, '{"kind":"clean"}'],
      ["ZADD", key, "0", '{"kind":"clean"}'],
    ];
    return [["DEL", key], commands[index % commands.length] ?? []];
  },
};

async function keyOf(redis: LiveRedis, { name, sha256 }: Subject): Promise<string> {
  const keys = await redis.command("KEYS", `*${sha256}*`);
  assert.ok(Array.isArray(keys) && keys.length === 1, `${name}: ${String(keys)}`);
  return String(keys[0]);
}

describe("a Redis that keeps the verdicts", () => {
  test("and talks nonsense, is late, silent, cut, killed or full costs no request, and nobody waits for it (F12)", async (context) => {
    await using redis = await startRedis();
    await using relay = await startRelay({ to: { host: redis.host, port: redis.port }, fault: () => ({ kind: "refuse" }) });
    await using stage = await openFaultStage({
      // One for each store, once Redis is there.
      laterDescriptors: 3,
      env: { VERDICT_CACHE: `redis://127.0.0.1:${relay.port}` },
    });
    const { gateway, rest, subjects, account } = stage;
    const cacheFaults = () => gateway.metric("clamgate_cache_errors_total");
    const connections = () => gateway.lines.filter((line) => line.includes("verdict cache: connected")).length;
    /** What the gateway remembers itself says nothing of Redis. */
    const isWell = async (when: string) => {
      await eventually(`it is well ${when}`, async () => {
        await rest.raw(subjects.infected(500));
        return !(await gateway.troubles()).includes("cache");
      });
    };
    const phases: Phase[] = [];
    const measure = async (name: string): Promise<Phase> => {
      const phase = { name, ...(await traffic(stage, 0.8, workers)) };
      assert.equal(account.totals().errors, 0, name);
      phases.push(phase);
      return phase;
    };
    /** Well before it, so that it is asked until the fault is felt. */
    const phaseOf = async (name: string, befall: () => unknown) => {
      await isWell(`before: ${name}`);
      const before = await cacheFaults();
      await befall();
      await measure(name);
      assert.ok((await cacheFaults()) > before, `${name}: it was felt`);
    };

    await traffic(stage, 1, workers); // warms up
    await measure("not there at the start");
    assert.ok((await cacheFaults()) > 0);
    relay.setFault(() => ({ kind: "none" }));
    await isWell("once it is there");
    const first = await measure("as it should be");

    const faults: readonly (readonly [name: string, fault: RelayFault, connects?: boolean])[] = [
      ["nonsense", { kind: "babble", reply: Buffer.from("$5\r\nclean\r\n") }, true],
      ["500 ms late", { kind: "late", ms: 250 }, true],
      ["silent", { kind: "silence" }],
      ["refused", { kind: "refuse" }],
      ["cut in the answer", { kind: "cut", way: "reply", afterBytes: 400, how: "reset" }],
    ];
    for (const [name, fault, connects = false] of faults) {
      await phaseOf(name, async () => {
        const before = connections();
        relay.setFault(() => fault);
        relay.resetAll();
        // One for each store: only then anything is asked of it.
        if (connects) await eventually(`it is connected again: ${name}`, () => connections() >= before + 3);
      });
      relay.setFault(() => ({ kind: "none" }));
      relay.resetAll();
    }

    await phaseOf("hung", () => redis.freeze());
    redis.thaw();
    await phaseOf("killed", () => redis.kill());
    await redis.restart();
    await measure("empty again");
    await phaseOf("a replica that takes no writes", () => redis.command("REPLICAOF", "127.0.0.1", "1"));
    await redis.command("REPLICAOF", "NO", "ONE");
    await phaseOf("out of memory", () => redis.command("CONFIG", "SET", "maxmemory", "1"));
    await redis.command("CONFIG", "SET", "maxmemory", "0");
    await isWell("after all that");
    const last = await measure("as it should be, again");

    const notes = phases.map(({ name, perSecond, medianMs, slowestMs }) =>
      [name, `${perSecond.toFixed(0)}/s`, `${medianMs.toFixed(1)} ms`, `at most ${slowestMs.toFixed(0)} ms`].join(" "),
    );
    context.diagnostic(notes.join(", "));
    assertNobodyWaited(phases, [first, last]);
  });

  for (const [what, spoil] of Object.entries(spoilings)) {
    test(`and holds ${what} in their place has each body judged anew, and remembers that (F12)`, async () => {
      await using redis = await startRedis();
      const options = { env: { VERDICT_CACHE: `redis://127.0.0.1:${redis.port}` } };
      // What a gateway has found itself it knows without Redis.
      await using finder = await openFaultStage(options);
      await using stage = await openFaultStage(options);
      const { gateway, rest, subjects } = stage;
      const kept = garbage.flatMap(() => [subjects.infected(2_000), subjects.clean(2_000)]);
      const isCached = async (one: Subject, by = rest) => {
        const { answer } = await by.raw(one);
        assert.equal(answer?.status, one.truth === "clean" ? 200 : 406, one.name);
        return answer.isCached;
      };
      const verdictOf = async (one: Subject) => String(await redis.command("GET", await keyOf(redis, one)));
      const counts = () =>
        gateway.metrics(
          'clamgate_verdict_source_total{source="engine"}',
          'clamgate_verdict_source_total{source="cache"}',
          'clamgate_cache_errors_total{operation="get"}',
        );
      for (const one of kept) await eventually(`${one.name} is remembered`, () => isCached(one, finder.rest));
      for (const [index, one] of kept.entries()) {
        assert.match(await verdictOf(one), /"kind"/);
        for (const command of spoil(await keyOf(redis, one), index >> 1)) await redis.command(...command);
      }
      const [byEngine = 0, byCache = 0, faults = 0] = await counts();
      for (const one of kept) assert.equal(await isCached(one), false, one.name);
      const [byEngineNow = 0, byCacheNow = 0, faultsNow = 0] = await counts();
      assert.deepEqual([byEngineNow - byEngine, byCacheNow - byCache], [kept.length, 0]);
      assert.ok(faultsNow - faults >= kept.length, `${faultsNow - faults} faults of the cache`);
      for (const one of kept) {
        await eventually(`${one.name} is in Redis again`, async () => (await verdictOf(one)).includes('"format":'));
      }
    });
  }
});
