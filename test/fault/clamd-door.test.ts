/** F29: the clamd door over engines that lie, die and stall, with clients that are slow, leave, or talk in sessions. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type DoorAddress, instream, length, open } from "../front/clamd/door-client.ts";
import { givenClamd } from "./harness/given-clamd.ts";
import { seededRandom } from "./harness/random.ts";
import { type Manner, manners, startScriptedClamd } from "./harness/scripted-clamd.ts";
import { type FaultStage, openFaultStage } from "./harness/stage.ts";
import { type Subject, subjectSource } from "./harness/subjects.ts";

async function doorOf({ gateway }: FaultStage): Promise<DoorAddress> {
  const port = Number(/clamd door on tcp:\/\/127\.0\.0\.1:(\d+)/.exec(await gateway.line("clamd door on "))?.[1]);
  return { host: "127.0.0.1", port };
}

interface Tally {
  readonly ok: number;
  readonly found: number;
  readonly error: number;
}

/** Counts the answers, each of which must be there once and true to its body. */
function tally(subjects: readonly Subject[], answers: readonly string[]): Tally {
  assert.equal(answers.length, subjects.length, `one answer for each command: ${JSON.stringify(answers)}`);
  const counts = { ok: 0, found: 0, error: 0 };
  for (const [index, { truth }] of subjects.entries()) {
    const answer = answers[index] ?? "";
    if (answer === "stream: OK") {
      assert.equal(truth, "clean", "OK of what is infected");
      counts.ok += 1;
    } else if (/^stream: \S+ FOUND$/.test(answer)) {
      assert.equal(truth, "infected", answer);
      counts.found += 1;
    } else {
      assert.match(answer, /^[A-Za-z ]+\. ERROR$/);
      counts.error += 1;
    }
  }
  return counts;
}

/** A connection for each body. */
async function scanAlone(door: DoorAddress, subject: Subject): Promise<Tally> {
  const connection = open(door);
  await connection.send(instream(subject.bytes.toString("latin1")));
  const { text, end } = await connection.heard;
  assert.equal(end, "fin");
  assert.match(text, /^[^\0]*\0$/);
  return tally([subject], [text.slice(0, -1)]);
}

/** One session, all bodies at once. */
async function scanInSession(door: DoorAddress, subjects: readonly Subject[]): Promise<Tally> {
  const connection = open(door);
  await connection.send("zIDSESSION\0", ...subjects.map(({ bytes }) => instream(bytes.toString("latin1"))), "zEND\0");
  const { text, end } = await connection.heard;
  assert.equal(end, "fin");
  const answers: string[] = [];
  for (const line of text.split("\0").slice(0, -1)) {
    const [, id = "", answer = ""] = /^(\d+): (.*)$/.exec(line) ?? [];
    assert.equal(answers[Number(id) - 1], undefined, `answered twice: ${line}`);
    answers[Number(id) - 1] = answer;
  }
  return tally(subjects, Array.from(answers));
}

describe("the clamd door over engines that misbehave", () => {
  test("says no OK that is not the engine's, answers each command once, and keeps nothing (F29, A26)", async (context) => {
    const random = seededRandom(29);
    const finite = manners.filter((manner) => manner !== "never");
    const manner = (): Manner => (random.next() < 0.6 ? "honest" : random.pick(finite));
    await using first = await startScriptedClamd({ manner });
    await using second = await startScriptedClamd({ manner });
    const env = { ...givenClamd({ ports: [first.address.port, second.address.port] }), CLAMD_LISTEN: "0" };
    await using stage = await openFaultStage({ env });
    const door = await doorOf(stage);
    const subjects = subjectSource(random, { isPlain: true });
    const some = () =>
      random.next() < 0.5 ? subjects.infected(random.size(50, 300_000)) : subjects.clean(random.size(50, 300_000));
    const tallies: Tally[] = [];
    const talk = async () => {
      for (let count = 0; count < 6; count += 1) {
        tallies.push(await scanAlone(door, some()));
        tallies.push(await scanInSession(door, Array.from({ length: 1 + random.below(12) }, some)));
      }
    };
    await Promise.all(Array.from({ length: 10 }, talk));
    const sum = (key: keyof Tally) => tallies.reduce((total, one) => total + one[key], 0);
    context.diagnostic(`${sum("ok")} OK, ${sum("found")} FOUND, ${sum("error")} ERROR`);
    assert.ok(sum("ok") > 50 && sum("found") > 50);
  });

  test("answers a scan that stalls at its time, and ends slow clients at theirs (F29)", async () => {
    await using clamd = await startScriptedClamd({ manner: (_, body) => (body.includes("endless") ? "never" : "honest") });
    const env = {
      ...givenClamd({ ports: [clamd.address.port] }),
      CLAMD_LISTEN: "0",
      SCAN_TIMEOUT: "500ms",
      QUEUE_TIMEOUT: "1s",
      CLAMD_READ_TIMEOUT: "1s",
    };
    await using stage = await openFaultStage({ env });
    const door = await doorOf(stage);
    const subjects = subjectSource(seededRandom(1), { isPlain: true });
    const silent = open(door);
    await silent.send(`zINSTREAM\0${length(100)}abc`);
    const stalled = open(door);
    await stalled.send(instream("an endless scan"));
    assert.equal((await stalled.heard).text, "Scan timed out. ERROR\0");
    for (let count = 0; count < 10; count += 1) await scanAlone(door, subjects.infected(500));
    assert.equal((await silent.heard).text, "COMMAND READ TIMED OUT\n");
    await clamd.kill();
    assert.match(
      (
        await (async () => {
          const late = open(door);
          await late.send(instream("nobody is there"));
          return late.heard;
        })()
      ).text,
      /^Scan engine [a-z ]+\. ERROR\0$/,
    );
  });

  test("keeps nothing of a thousand connections that are reset in any state (A52)", async () => {
    const random = seededRandom(52);
    await using clamd = await startScriptedClamd({ manner: () => "late", lateMs: 5 });
    await using stage = await openFaultStage({
      env: { ...givenClamd({ ports: [clamd.address.port] }), CLAMD_LISTEN: "0", SPOOL_MEMORY: "50K" },
    });
    const door = await doorOf(stage);
    const body = instream(random.bytes(100_000).toString("latin1"));
    const states = [
      "",
      "zIN",
      body.slice(0, 20),
      body.slice(0, 90_000),
      body,
      `zIDSESSION\0${instream("a").repeat(3)}`,
      "zPING\0",
    ];
    for (let round = 0; round < 20; round += 1) {
      await Promise.all(
        Array.from({ length: 50 }, async () => {
          const connection = open(door);
          await connection.send(random.pick(states), random.below(20));
          connection.socket.resetAndDestroy();
        }),
      );
    }
    assert.deepEqual(await scanAlone(door, subjectSource(random, { isPlain: true }).infected(500)), {
      ok: 0,
      found: 1,
      error: 0,
    });
  });
});
