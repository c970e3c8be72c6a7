/** B15: verdicts that are shared and remembered, attacked: what a client claims of its bytes, and clients that leave the scan they began. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type FaultStage, openFaultStage } from "./harness/stage.ts";
import { subject } from "./harness/subjects.ts";

describe("a verdict that others may share", () => {
  let stage: FaultStage;
  before(async () => {
    stage = await openFaultStage();
  });
  after(() => stage[Symbol.asyncDispose]());

  test("is by the bytes that came, whatever a client claims of them (B15)", async () => {
    const { rest, subjects } = stage;
    for (let turn = 0; turn < 5; turn += 1) {
      const clean = subjects.clean(2_000);
      const infected = subjects.infected(2_000);
      assert.equal((await rest.raw(clean)).answer?.status, 200);
      const base64 = Buffer.from(clean.sha256, "hex").toString("base64");
      const headers = {
        "x-sha256": clean.sha256,
        "x-clamgate-sha256": clean.sha256,
        "x-clamgate-cache": "hit",
        digest: `sha-256=${base64}`,
        "content-digest": `sha-256=:${base64}:`,
        "repr-digest": `sha-256=:${base64}:`,
        etag: `"${clean.sha256}"`,
        "if-none-match": `"${clean.sha256}"`,
      };
      for (let again = 0; again < 2; again += 1) {
        const { answer } = await rest.send([infected], { path: "/scanHandlerBody", headers, body: infected.bytes });
        assert.equal(answer?.status, 406);
      }
      assert.equal((await rest.raw(clean)).answer?.isCached, true);
    }
  });

  test("is not that of another body of the same name and length (B15)", async () => {
    const { rest, subjects, random } = stage;
    const running = Array.from({ length: 40 }, async (_, index) => {
      const infected = subjects.infected(1_000);
      const filling = random.bytes(infected.bytes.length);
      const { bytes, truth } = index % 2 === 0 ? infected : { bytes: filling, truth: "clean" as const };
      const { answer } = await rest.upload([subject("same.bin", bytes, truth)]);
      assert.equal(answer?.status, truth === "clean" ? 200 : 406);
    });
    await Promise.all(running);
  });

  test("comes to all who wait for it, though those leave who began it (B15)", async (context) => {
    const { rest, subjects, random, account } = stage;
    const before = account.totals();
    let stayed = 0;
    for (let round = 0; round < 25; round += 1) {
      const one = round % 2 === 0 ? subjects.infected(300_000) : subjects.clean(300_000);
      const running = Array.from({ length: 16 }, async (_, index) => {
        if (index % 2 === 1) {
          stayed += 1;
          return assert.equal((await rest.raw(one)).answer?.status, one.truth === "clean" ? 200 : 406);
        }
        const leave = new AbortController();
        const sending = rest.raw(one, leave.signal);
        await delay(random.below(25)); // somewhere in its upload, its scan or its answer
        leave.abort();
        await sending;
      });
      await Promise.all(running);
      const { answer } = await rest.raw(one);
      assert.equal(answer?.status, one.truth === "clean" ? 200 : 406);
    }
    const { errors, left, verdicts } = account.totals();
    context.diagnostic(`${left} left, ${stayed} stayed`);
    assert.equal(errors, 0);
    assert.ok(verdicts - before.verdicts >= stayed + 25);
  });
});
