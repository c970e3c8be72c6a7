/** F12: a Redis that fails in every way it can. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startRedis } from "../live/redis.ts";
import { eventually } from "../supervise/stage.ts";
import { type RelayFault, startRelay } from "./relay.ts";
import { traffic } from "./rest-traffic.ts";
import { openFaultStage } from "./stage.ts";

describe("a Redis that keeps the verdicts", () => {
  test("and is late, silent, cut, killed, full or filled with garbage costs no request and makes no wrong verdict (F12)", async (context) => {
    await using redis = await startRedis();
    await using relay = await startRelay({ to: { host: redis.host, port: redis.port }, fault: () => ({ kind: "refuse" }) });
    await using stage = await openFaultStage({ env: { VERDICT_CACHE: `redis://127.0.0.1:${relay.port}` } });
    const { rest, subjects } = stage;
    const isRemembering = async (when: string) => {
      const one = subjects.infected(500);
      await eventually(`it remembers ${when}`, async () => (await rest.raw(one)).answer?.isCached === true);
    };
    const notes: string[] = [];
    const phase = async (name: string) => {
      const before = stage.account.totals();
      const perSecond = await traffic(stage, 0.8);
      const { errors, slowestMs } = stage.account.totals();
      notes.push(`${name} ${perSecond.toFixed(0)}/s`);
      assert.equal(errors, 0, name);
      assert.ok(slowestMs < 5_000, `${name}: ${slowestMs} ms (before: ${before.slowestMs})`);
    };
    await phase("not there at the start");
    relay.setFault(() => ({ kind: "none" }));
    await isRemembering("once it is there");
    await phase("as it should be");
    const faults: readonly (readonly [string, RelayFault])[] = [
      ["500 ms late", { kind: "late", ms: 500 }],
      ["silent", { kind: "silence" }],
      ["refused", { kind: "refuse" }],
      ["cut in the answer", { kind: "cut", way: "reply", afterBytes: 400, how: "reset" }],
      ["garbage", { kind: "rewrite", reply: () => Buffer.from("$5\r\nclean\r\n") }],
    ];
    for (const [name, fault] of faults) {
      relay.setFault(() => fault);
      relay.resetAll();
      await phase(name);
    }
    relay.setFault(() => ({ kind: "none" }));
    relay.resetAll();
    redis.freeze();
    await phase("hung");
    redis.thaw();
    await redis.kill();
    await phase("killed");
    await redis.restart();
    await phase("empty again");
    await isRemembering("after all that");
    await redis.command("REPLICAOF", "127.0.0.1", "1");
    await phase("a replica that takes no writes");
    await redis.command("REPLICAOF", "NO", "ONE");
    await redis.command("CONFIG", "SET", "maxmemory", "1");
    await phase("out of memory");
    await redis.command("CONFIG", "SET", "maxmemory", "0");
    const keys = await redis.command("KEYS", "*");
    for (const key of Array.isArray(keys) ? keys : []) await redis.command("SET", String(key), '{"v":1,"verdict":"clean"}');
    await phase("filled with what we never wrote");
    for (const key of Array.isArray(keys) ? keys : []) {
      await redis.command("DEL", String(key));
      await redis.command("LPUSH", String(key), "clean");
    }
    await phase("of the wrong type");
    await isRemembering("at the end");
    context.diagnostic(notes.join(", "));
  });
});
