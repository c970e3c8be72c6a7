/** F5 to F9: new signatures under load, and clamd servers that cannot take them. */

import assert from "node:assert/strict";
import { readdir, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { GatewayProcess } from "../e2e/gateway-process.ts";
import { bodySignature, type RealClamd, startRealClamd } from "../live/clamd.ts";
import { closedTraffic } from "../load/traffic.ts";
import { eventually } from "../process/stage.ts";
import { askAbout } from "./harness/ask-about.ts";
import { givenClamd } from "./harness/given-clamd.ts";
import { type FaultStage, openFaultStage } from "./harness/stage.ts";
import { largeSignatures } from "./large-signatures.ts";

function portOf({ address }: RealClamd): number {
  if (address.kind !== "tcp") throw new Error("clamd does not listen on TCP");
  return address.port;
}

/** Goes on until the work is done. */
async function under(stage: FaultStage, work: () => Promise<void>): Promise<void> {
  const done = new AbortController();
  const { rest, subjects, random } = stage;
  const running = closedTraffic({ workers: 6, signal: done.signal }, async () => {
    const one = random.next() < 0.5 ? subjects.infected(random.size(100, 100_000)) : subjects.clean(random.size(100, 100_000));
    await (random.next() < 0.5 ? rest.raw(one) : rest.upload([one]));
  });
  try {
    await work();
  } finally {
    done.abort();
    await running;
  }
}

/** Clean or infected, and nothing else. */
async function statusOf({ gateway }: FaultStage, text: string): Promise<number> {
  const { status } = await askAbout(gateway.url, text);
  assert.ok(status === 200 || status === 406, `${text}: ${status}`);
  return status;
}

/** So many take clamd a second or more, and nobody's memory. */
const manySignatures = largeSignatures(100_000);

/** As an operator's cron job would, straight to the private socket. Resolves with whether it was heard. */
async function sendReload({ pid, state }: GatewayProcess): Promise<boolean> {
  const run = (await readdir(state)).find((name) => name.startsWith("run-"));
  assert.ok(run !== undefined, `a run of ${pid}`);
  const socket = connect(join(state, run, "clamd.sock")).setEncoding("latin1");
  let answer = "";
  socket.on("data", (text) => {
    answer += text;
  });
  socket.on("error", () => {}); // its queue is full for a moment: no answer then
  socket.end("zRELOAD\0");
  await new Promise((resolve) => socket.once("close", resolve));
  return answer === "RELOADING\0";
}

describe("new signatures under load", () => {
  test("cost a given clamd's clients no scan in 20 reloads (F5)", async (context) => {
    await using clamd = await startRealClamd({ listens: "tcp" });
    await using stage = await openFaultStage({ env: givenClamd({ ports: [portOf(clamd)] }) });
    await under(stage, async () => {
      for (let reload = 1; reload <= 20; reload += 1) {
        const text = `reload ${reload} was done`;
        await clamd.reload({ [`reload-${reload}.ndb`]: bodySignature(`Clamgate.Reload.${reload}`, text) });
        // Never the same bytes twice: a given clamd's own signatures are not in its version, so the gateway may remember them.
        let asked = 0;
        await eventually(`reload ${reload} is done`, async () => {
          asked += 1;
          return (await statusOf(stage, `${text}, asked ${asked}`)) === 406;
        });
      }
    });
    const { opened, errors, statuses } = stage.account.totals();
    context.diagnostic(`${opened} requests in 20 reloads, ${JSON.stringify(statuses)}`);
    assert.equal(errors, 0);
  });

  test("that come while others are being loaded are loaded after them, and every old verdict ends (F5, F7)", async (context) => {
    await using stage = await openFaultStage({ env: { LOG_LEVEL: "debug" } });
    const { gateway, databaseDirectory: directory } = stage;
    const loaded = () => gateway.metric('clamgate_reloads_total{outcome="loaded"}');
    const begun = () => gateway.lines.filter((line) => line.includes("Reading databases from")).length;
    await under(stage, async () => {
      for (const text of ["first new body", "second new body"]) {
        assert.equal(await statusOf(stage, text), 200);
        assert.equal((await askAbout(gateway.url, text)).isCached, true);
      }
      const before = await loaded();
      const begunBefore = begun();
      await writeFile(join(directory, "first.ndb"), `${bodySignature("Clamgate.First", "first new body")}${manySignatures}`);
      await eventually("clamd reads the first", () => begun() > begunBefore);
      await writeFile(join(directory, "second.ndb"), bodySignature("Clamgate.Second", "second new body"));
      assert.equal(await loaded(), before, "the first are still being loaded");
      await eventually("the first are loaded", async () => (await loaded()) > before);
      assert.equal(await statusOf(stage, "second new body"), 200);
      await eventually("clamd reads the second", () => begun() > begunBefore + 1);
      await eventually("the last is found", async () => (await statusOf(stage, "second new body")) === 406);
      assert.equal(await statusOf(stage, "first new body"), 406);
    });
    const { opened, errors } = stage.account.totals();
    context.diagnostic(`${opened} requests in 2 epochs`);
    assert.equal(errors, 0);
  });

  test("end every old verdict with the first body that they find (F5)", async (context) => {
    await using stage = await openFaultStage();
    const status = (text: string) => statusOf(stage, text);
    let asked = 0;
    await under(stage, async () => {
      for (let reload = 1; reload <= 2; reload += 1) {
        const text = `reload ${reload} ends what is remembered`;
        assert.equal(await status(text), 200);
        await writeFile(join(stage.databaseDirectory, `${reload}.ndb`), bodySignature(`Clamgate.Ended.${reload}`, text));
        // Never the same bytes twice, and no pause: the first that is found comes within milliseconds of the change.
        do asked += 1;
        while ((await status(`${text}, asked ${asked}`)) !== 406);
        assert.equal(await status(text), 406, `reload ${reload}`);
      }
    });
    context.diagnostic(`${asked} bodies asked about in 2 reloads`);
    assert.equal(stage.account.totals().errors, 0);
  });

  test("are loaded though somebody else sends our clamd RELOAD all the time, which loses ours (F7)", async (context) => {
    await using stage = await openFaultStage();
    const { gateway, databaseDirectory: directory } = stage;
    const enough = new AbortController();
    const startedAt = performance.now();
    let heard = 0;
    const meddling = closedTraffic({ workers: 1, signal: enough.signal }, async () => {
      if (await sendReload(gateway)) heard += 1;
    });
    await under(stage, async () => {
      await writeFile(join(directory, "new.ndb"), bodySignature("Clamgate.New", "the new body"));
      await eventually("it is found", async () => (await statusOf(stage, "the new body")) === 406);
    });
    enough.abort();
    const sent = await meddling;
    const perSecond = heard / ((performance.now() - startedAt) / 1000);
    context.diagnostic(`${perSecond.toFixed(0)} strange RELOADs a second were heard, of ${sent.toFixed(0)} sent`);
    assert.ok(perSecond > 10, `${heard} strange RELOADs were heard`);
    assert.equal(stage.account.totals().errors, 0);
  });

  test("that are malformed are refused under load: those before stay, and so does the service (F8)", async (context) => {
    await using stage = await openFaultStage();
    const { gateway, rest, subjects, databaseDirectory: directory } = stage;
    const rejected = () => gateway.metric('clamgate_reloads_total{outcome="rejected"}');
    await under(stage, async () => {
      const brokenAt = performance.now();
      await writeFile(join(directory, "broken.ndb"), "This is no signature\n");
      gateway.signal("SIGHUP");
      await eventually("it is refused", async () => (await rejected()) === 1);
      context.diagnostic(`refused after ${Math.round(performance.now() - brokenAt)} ms`);
      await gateway.line("signatures rejected");
      assert.equal((await fetch(`${gateway.url}/readyz`)).status, 200);
      assert.equal((await rest.raw(subjects.infected(500))).answer?.status, 406);
      await rm(join(directory, "broken.ndb"));
    });
    assert.equal(stage.account.totals().errors, 0);
    assert.equal(await gateway.metric('clamgate_child_restarts_total{child="clamd"}'), 0);
  });

  test("that are malformed leave a given clamd, which can load beside what it has, as it was (F8)", async () => {
    await using clamd = await startRealClamd({ listens: "tcp" });
    await using stage = await openFaultStage({ env: givenClamd({ ports: [portOf(clamd)] }) });
    await under(stage, async () => {
      await clamd.reload({ "broken.ndb": "This is no signature\n" });
      await eventually("clamd has refused it", () => /Malformed database/i.test(clamd.output()));
    });
    assert.equal(stage.account.totals().errors, 0);
  });

  test("that a clamd can only take while it serves nobody make requests wait, and none wrong (F6)", async (context) => {
    const conf = "ConcurrentDatabaseReload no\nIdleTimeout 1\n";
    await using clamd = await startRealClamd({ listens: "tcp", conf });
    await using stage = await openFaultStage({ env: givenClamd({ ports: [portOf(clamd)] }) });
    const { totals } = stage.account;
    let usualMs = 0;
    await under(stage, async () => {
      await eventually("it is under load", () => totals().verdicts > 100);
      usualMs = totals().slowestMs;
      for (let reload = 1; reload <= 3; reload += 1) {
        const text = `reload ${reload} was done`;
        const signatures = `${bodySignature(`Clamgate.Reload.${reload}`, text)}${reload === 1 ? manySignatures : ""}`;
        await clamd.reload({ [`reload-${reload}.ndb`]: signatures });
        let asked = 0;
        await eventually(`reload ${reload} is done`, async () => {
          asked += 1;
          return (await askAbout(stage.gateway.url, `${text}, asked ${asked}`)).status === 406;
        });
      }
    });
    const { statuses, slowestMs } = totals();
    context.diagnostic(
      `${JSON.stringify(statuses)}, the slowest after ${Math.round(slowestMs)} ms, ${Math.round(usualMs)} ms without a reload`,
    );
    assert.ok(slowestMs > usualMs + 200 || (statuses["503"] ?? 0) > 0, "somebody had to wait");
    assert.deepEqual(
      Object.keys(statuses).filter((status) => !["200", "406", "503"].includes(status)),
      [],
    );
  });

  test("that are malformed and leave a clamd without an engine are noticed within 10 seconds: never clean (F9)", async (context) => {
    const conf = "ConcurrentDatabaseReload no\nIdleTimeout 1\nExitOnOOM no\n";
    await using clamd = await startRealClamd({ listens: "tcp", conf });
    await using stage = await openFaultStage({
      env: { ...givenClamd({ ports: [portOf(clamd)] }), QUEUE_TIMEOUT: "1s" },
    });
    await clamd.reload({ "broken.ndb": "This is no signature\n" });
    const askedAt = performance.now();
    const unready = await stage.pulse.firstReady(false, askedAt);
    for (let count = 0; count < 10; count += 1) {
      assert.equal((await stage.rest.raw(stage.subjects.infected(500))).answer?.status, 503);
    }
    context.diagnostic(`not ready after ${Math.round(unready.atMs - askedAt)} ms`);
    assert.ok(unready.atMs - askedAt < 10_000);
    await writeFile(join(clamd.databaseDirectory, "broken.ndb"), bodySignature("Clamgate.Mended", "mended"));
    await clamd.kill();
    await clamd.start();
    await stage.gateway.ready();
    assert.equal((await stage.rest.raw(stage.subjects.infected(500))).answer?.status, 406);
  });
});
