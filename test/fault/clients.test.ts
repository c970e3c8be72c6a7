/** F15, F16, F17: clients that are slow, that leave, and a gateway that ends while many wait. */

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { eventually, processesWith } from "../process/stage.ts";
import { countingClient } from "./harness/counting-client.ts";
import { givenClamd } from "./harness/given-clamd.ts";
import { assertNothingLeft } from "./harness/invariants.ts";
import { startRelay } from "./harness/relay.ts";
import { clamdOf } from "./harness/residue.ts";
import { startScriptedClamd } from "./harness/scripted-clamd.ts";
import { openFaultStage } from "./harness/stage.ts";
import { subjectSource } from "./harness/subjects.ts";

/** Sends the pieces with pauses until the other end has had enough; resolves with what it said and how long it bore it. */
async function drip(
  port: number,
  pieces: Iterable<string>,
  pauseMs: number,
): Promise<{ readonly text: string; readonly ms: number }> {
  const startedAt = performance.now();
  const socket = connect(port, "127.0.0.1").setEncoding("latin1");
  let text = "";
  socket.on("data", (more) => {
    text += more;
  });
  socket.on("error", () => {}); // cut: what it said before counts
  const over = new Promise<void>((resolve) => socket.once("data", () => resolve()).once("close", () => resolve()));
  for (const piece of pieces) {
    if (socket.destroyed || text !== "") break;
    socket.write(piece);
    await Promise.race([delay(pauseMs), over]);
  }
  await over;
  const ms = performance.now() - startedAt;
  socket.destroy();
  return { text, ms };
}

function* letters(head: string): Generator<string> {
  yield head;
  for (;;) yield "a";
}

describe("slow clients", () => {
  test("hold no engine and are cut: heads by their time, bodies by their rate, silence by its length (F15)", async (context) => {
    const env = { CLIENT_HEAD_TIMEOUT: "10s", CLIENT_IDLE_TIMEOUT: "2s", CLIENT_MIN_RATE: "1K" };
    await using stage = await openFaultStage({ env });
    const { gateway, rest, subjects } = stage;
    const body = "POST /scanHandlerBody HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n";
    const running = [
      drip(gateway.port, letters("POST /scanHandlerBody HTTP/1.1\r\nHost: x\r\nX-Slow: "), 200),
      drip(gateway.port, letters(body), 100),
      drip(gateway.port, [body], 0),
      drip(gateway.port, [""], 0),
    ];
    await eventually("their bodies are on the way", async () => (await gateway.metric("clamgate_spool_bodies")) >= 1);
    assert.equal(await gateway.metric("clamgate_slots_in_use"), 0);
    for (let index = 0; index < 20; index += 1) assert.equal((await rest.raw(subjects.infected(500))).answer?.status, 406);
    const [head, slow, silent, idle] = await Promise.all(running);
    context.diagnostic(
      `cut after ${[head, slow, silent, idle].map((one) => `${((one?.ms ?? 0) / 1000).toFixed(1)} s`).join(", ")}`,
    );
    assert.match(head?.text ?? "", /^(HTTP\/1\.1 408|$)/);
    for (const one of [slow, silent]) assert.match(one?.text ?? "", /^HTTP\/1\.1 408 /);
    assert.equal(idle?.text, "");
    for (const one of [head, idle]) assert.ok((one?.ms ?? 0) < 13_000);
    for (const one of [slow, silent]) assert.ok((one?.ms ?? 0) < 5_000);
  });
});

describe("clients that leave", () => {
  test("at any point of 600 uploads and scans leave nothing behind within five seconds (F16)", async (context) => {
    await using clamd = await startScriptedClamd({ manner: (index) => (index % 3 === 0 ? "late" : "honest"), lateMs: 30 });
    await using stage = await openFaultStage({ env: { ...givenClamd({ ports: [clamd.address.port] }), SPOOL_MEMORY: "50K" } });
    const { gateway, random, rest, account } = stage;
    const subjects = subjectSource(random, { isPlain: true });
    const points = [0, 0.5, 0.99, 1];
    const one = async (index: number): Promise<void> => {
      const subject = index % 2 === 0 ? subjects.infected(100_000) : subjects.clean(100_000);
      const leave = new AbortController();
      const end = Math.floor(subject.bytes.length * (points[index % points.length] ?? 0));
      const body = async function* () {
        yield subject.bytes.subarray(0, end);
        await delay(random.below(40)); // the scan, where all was sent, is somewhere
        leave.abort();
      };
      const headers = { "content-length": String(subject.bytes.length) };
      await rest.send([subject], { path: "/scanHandlerBody", headers, body: body(), signal: leave.signal });
    };
    for (let round = 0; round < 30; round += 1) await Promise.all(Array.from({ length: 20 }, (_, index) => one(index)));
    const endedAt = performance.now();
    await assertNothingLeft(gateway, { before: stage.before, withinMs: 5_000 });
    const { opened, left, verdicts } = account.totals();
    context.diagnostic(
      `${opened} requests, ${left} left, ${verdicts} with verdicts; nothing left after ${Math.round(performance.now() - endedAt)} ms`,
    );
    assert.equal(opened, 600);
    assert.ok(left > 400);
  });
});

describe("SIGTERM", () => {
  test("with 200 requests under way takes no connection any more, answers each of them and ends with 0 (F17)", async (context) => {
    const gate = Promise.withResolvers<void>();
    await using clamd = await startScriptedClamd({ manner: () => "honest", until: gate.promise });
    await using stage = await openFaultStage({ isEnded: true, env: givenClamd({ ports: [clamd.address.port], slots: 10 }) });
    const { gateway, rest, account } = stage;
    await stage.pulse[Symbol.asyncDispose]();
    const subjects = subjectSource(stage.random, { isPlain: true });
    const running = Array.from({ length: 200 }, (_, index) =>
      rest.raw(index % 2 === 0 ? subjects.infected(20_000) : subjects.clean(20_000)),
    );
    await eventually("all are under way", async () => (await gateway.metric("clamgate_queue_length")) === 190);
    gateway.signal("SIGTERM");
    await gateway.line("SIGTERM: stopping");
    await assert.rejects(fetch(`${gateway.url}/readyz`), "no new connections");
    gate.resolve();
    const statuses = (await Promise.all(running)).map(({ answer }) => answer?.status);
    assert.equal(await gateway.ended, 0);
    assert.deepEqual(new Set(statuses), new Set([200, 406]));
    const { verdicts } = account.totals();
    context.diagnostic(`${verdicts} of 200 got their verdicts after the signal`);
    assert.equal(verdicts, 200);
  });

  test("with bodies still to be scanned by its own clamd ends that last, and leaves no process and no file (F17)", async () => {
    await using stage = await openFaultStage({ isEnded: true, env: { MAX_THREADS: "2", SPOOL_MEMORY: "10K" } });
    const { gateway, rest, subjects, account } = stage;
    await stage.pulse[Symbol.asyncDispose]();
    const clamd = await clamdOf(gateway);
    assert.ok(clamd !== null);
    process.kill(clamd, "SIGSTOP");
    const running = Array.from({ length: 60 }, (_, index) =>
      rest.raw(index % 2 === 0 ? subjects.infected(50_000) : subjects.clean(50_000)),
    );
    // Two threads, and one small body more.
    await eventually("all are under way", async () => (await gateway.metric("clamgate_queue_length")) === 60 - 3);
    gateway.signal("SIGTERM");
    await gateway.line("SIGTERM: stopping");
    process.kill(clamd, "SIGCONT");
    await Promise.all(running);
    assert.equal(await gateway.ended, 0);
    assert.deepEqual(account.totals().bodies, { clean: 30, infected: 30, unscannable: 0, error: 0 });
    assert.deepEqual(await processesWith(gateway.state), []);
    assert.deepEqual(await readdir(join(gateway.state, "spool", "bodies")), []);
  });
});

describe("a network that breaks between client and gateway", () => {
  test("gives no client half an answer for a whole one, and leaves nothing in the gateway", async (context) => {
    await using stage = await openFaultStage();
    const { gateway, random, account } = stage;
    await using relay = await startRelay({
      to: { port: gateway.port, host: "127.0.0.1" },
      fault: () => ({
        kind: "cut",
        way: random.pick(["request", "reply"] as const),
        afterBytes: random.size(1, 60_000),
        how: random.pick(["end", "reset"] as const),
      }),
    });
    using client = countingClient(`http://127.0.0.1:${relay.port}`);
    let answered = 0;
    for (let index = 0; index < 100; index += 1) {
      const subject = stage.subjects.infected(20_000);
      const exchange = await client.send({ path: "/scanHandlerBody", body: subject.bytes });
      if (exchange.answer === null) continue;
      answered += 1;
      // Booked are only those that the network let through: the others are its fault, not the gateway's.
      await account.request([subject], async () => exchange);
      assert.notEqual(exchange.answer.status, 200);
    }
    context.diagnostic(`${answered} of 100 were answered`);
  });
});
