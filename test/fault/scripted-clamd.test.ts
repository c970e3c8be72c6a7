/** F2, F4, F20 and the replies of B3 over the whole gateway: clamd servers that answer as no clamd should. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { eventually } from "../process/stage.ts";
import { givenClamd } from "./harness/given-clamd.ts";
import { seededRandom } from "./harness/random.ts";
import { type Manner, manners, startScriptedClamd } from "./harness/scripted-clamd.ts";
import { openFaultStage } from "./harness/stage.ts";
import { subject, subjectSource } from "./harness/subjects.ts";

describe("a gateway whose clamd servers misbehave", () => {
  test("never says clean of what is not, and answers every request, whatever they do", async (context) => {
    const random = seededRandom(20);
    const finite = manners.filter((manner) => manner !== "never");
    const manner = (): Manner => (random.next() < 0.6 ? "honest" : random.pick(finite));
    await using first = await startScriptedClamd({ manner });
    await using second = await startScriptedClamd({ manner });
    await using stage = await openFaultStage({ env: givenClamd({ ports: [first.address.port, second.address.port] }) });
    const subjects = subjectSource(random, { isPlain: true });
    const send = async () => {
      for (let count = 0; count < 20; count += 1) {
        const one = random.next() < 0.5 ? subjects.infected(random.size(50, 300_000)) : subjects.clean(random.size(50, 300_000));
        await (random.next() < 0.5 ? stage.rest.raw(one) : stage.rest.upload([one, subjects.infected(100)]));
      }
    };
    await Promise.all(Array.from({ length: 20 }, send));
    const { verdicts, errors } = stage.account.totals();
    assert.equal(verdicts + errors, 400);
    assert.ok(verdicts > 100, `${verdicts} verdicts`);
    context.diagnostic(
      `${verdicts} verdicts, ${errors} errors, ${first.bodies.length + second.bodies.length} bodies seen by clamd`,
    );
  });

  test("gives up a body that kills clamd after two of them, and one twice that had nothing else to do; goes on with all others (F2)", async () => {
    const isPoison = (body: Buffer) => body.includes("poison");
    const manner = (_: number, body: Buffer): Manner => (isPoison(body) ? "reset without a word" : "honest");
    await using first = await startScriptedClamd({ manner });
    await using second = await startScriptedClamd({ manner });
    await using third = await startScriptedClamd({ manner });
    const servers = [first, second, third];
    await using stage = await openFaultStage({ env: givenClamd({ ports: servers.map(({ address }) => address.port) }) });
    const deadly = subject("poison", Buffer.from("poison that kills"), "unscannable");
    const subjects = subjectSource(seededRandom(2), { isPlain: true });

    const [first503] = await Promise.all([
      stage.rest.raw(deadly),
      ...Array.from({ length: 50 }, (_, index) => stage.rest.raw(index % 2 ? subjects.infected(500) : subjects.clean(500))),
    ]);
    assert.equal(first503.answer?.status, 503);
    for (let again = 0; again < 5; again += 1) {
      const { answer, exchange } = await stage.rest.raw(deadly);
      assert.equal(answer?.status, 406);
      assert.match(exchange.answer?.body.toString() ?? "", /Heuristics\.Clamgate\.Poison/);
    }
    const deaths = servers.flatMap(({ bodies }) => bodies).filter(isPoison).length;
    assert.equal(deaths, 4);
    const { bodies } = stage.account.totals();
    assert.deepEqual(bodies, { clean: 25, infected: 25, unscannable: 5, error: 1 });
  });

  test("answers a scan that never ends at its time, keeps its slot, and does not try that body again (F4)", async () => {
    const isEndless = (body: Buffer) => body.includes("endless");
    await using clamd = await startScriptedClamd({ manner: (_, body) => (isEndless(body) ? "never" : "honest") });
    const env = { ...givenClamd({ ports: [clamd.address.port], slots: 2 }), SCAN_TIMEOUT: "500ms" };
    await using stage = await openFaultStage({ env, withinMs: 5_000 });
    const subjects = subjectSource(seededRandom(3), { isPlain: true });
    const endless = subject("endless", Buffer.from("an endless scan"), "unscannable");

    const timedOut = await stage.rest.raw(endless);
    assert.equal(timedOut.answer?.status, 503);
    assert.ok(timedOut.exchange.elapsedMs >= 500 && timedOut.exchange.elapsedMs < 3_000);
    assert.equal(timedOut.exchange.answer?.headers["retry-after"], "5");
    assert.equal(await stage.gateway.metric("clamgate_slots_in_use"), 1);
    const again = await stage.rest.raw(endless);
    assert.match(again.exchange.answer?.body.toString() ?? "", /Heuristics\.Clamgate\.LimitTime/);
    assert.equal(clamd.bodies.filter(isEndless).length, 1);
    // One slot is left, and it serves.
    for (let count = 0; count < 10; count += 1) {
      assert.equal((await stage.rest.raw(subjects.infected(200))).answer?.status, 406);
    }
    await clamd.kill();
    await eventually("the slot is free again", async () => (await stage.gateway.metric("clamgate_slots_in_use")) === 0);
  });
});
