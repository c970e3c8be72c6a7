/** What a clamd reports, shown by real ones of several configurations, and what becomes of one that does not. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { alertProbes } from "../../src/clamd/alerts.ts";
import { instreamBytes } from "../../src/clamd/commands.ts";
import { dialClamd, exchange } from "../../src/clamd/connection.ts";
import { parseScanReply } from "../../src/codec/clamd/reply.ts";
import { startFakeClamd } from "../fake/clamd.ts";
import { bodySignature, type RealClamd, startRealClamd } from "../live/clamd.ts";
import { eventually } from "../process/stage.ts";
import { openPool, type PoolStageOptions } from "./stage.ts";

const probes = alertProbes();
const lines = probes.map(({ line }) => line);
/** As clamd runs without a line of ours. */
const defaultAlerts = "AlertExceedsMax no\nAlertEncryptedArchive no\nAlertEncryptedDoc no\n";
const never = new AbortController().signal;

describe("the bodies that show a clamd's alerts", () => {
  test("are small, and are told by a clamd of ours, also with the deepest recursion there is", async (context) => {
    const bytes = probes.reduce((sum, probe) => sum + probe.bytes.length, 0);
    assert.ok(bytes < 4_096, `${bytes} bytes`);
    for (const maxRecursion of [1, 17, 100]) {
      await using clamd = await startRealClamd({ limits: { maxRecursion } });
      const startedAt = performance.now();
      for (const { line, bytes: body, isShownBy } of probes) {
        const reply = await tell(clamd, body);
        // With the least recursion nothing is unpacked, and that is told in place of what is inside.
        if (maxRecursion > 1) assert.ok(isShownBy(reply), `${line}, MaxRecursion ${maxRecursion}: ${JSON.stringify(reply)}`);
      }
      context.diagnostic(`MaxRecursion ${maxRecursion}: ${(performance.now() - startedAt).toFixed(0)} ms for ${bytes} bytes`);
    }
  });

  for (const line of lines) {
    test(`show that ${line} is missing, and nothing else`, async () => {
      await using clamd = await startRealClamd({ conf: `${line.replace(/yes$/, "no")}\n` });
      await using stage = await openPool({ addresses: [clamd.address], backend: { probes } });
      const others = line === "ScanArchive yes" ? ["AlertEncryptedArchive yes", "AlertExceedsMax yes"] : [];
      assert.deepEqual(
        stage.backends[0]?.lacking(),
        lines.filter((each) => each === line || others.includes(each)),
      );
    });
  }
});

describe("a given clamd", () => {
  test("of default settings is told from one of ours at the connection, and its verdicts are others", async () => {
    await using full = await startRealClamd();
    await using lax = await startRealClamd({ conf: defaultAlerts });
    await using one = await openPool({ addresses: [full.address], backend: { probes } });
    await using other = await openPool({ addresses: [lax.address], backend: { probes } });
    assert.deepEqual(one.backends[0]?.lacking(), []);
    assert.deepEqual(other.backends[0]?.lacking(), lines.slice(1));
    assert.notEqual(one.pool.version()?.tag, other.pool.version()?.tag);
    const warnings = other.events.flatMap((event) => (event.kind === "notice" ? [event.message] : []));
    assert.deepEqual(warnings, [
      "clamd-0 says OK to what it does not look into: its clamd.conf lacks AlertEncryptedArchive yes, AlertEncryptedDoc yes, AlertExceedsMax yes",
    ]);
    assert.equal((await other.scan("a body")).verdict.kind, "clean");
  });

  test("is not asked where it lacks an alert and GIVEN_CLAMD is strict, until it is started with it", async () => {
    await using fake = await startFakeClamd({ lacking: () => lacking });
    let lacking = ["AlertEncryptedDoc yes"];
    await using stage = await openStrict({ addresses: [fake.address] });
    await assert.rejects(stage.scan("a body"), { code: "engine-unavailable" });
    assert.deepEqual(fake.bodies, []);
    const reasons = stage.events.flatMap((event) => (event.kind === "backend-down" ? [event.reason] : []));
    assert.deepEqual(reasons, ["its clamd.conf lacks AlertEncryptedDoc yes"]);
    lacking = [];
    await fake.kill();
    await using mended = await startFakeClamd({ port: fake.address.port, lacking: () => lacking });
    await stage.isUp(1);
    assert.equal((await stage.scan("a body")).verdict.kind, "clean");
    assert.equal(mended.bodies.length, 1);
  });

  test("is asked for its alerts at each connection and after each reload, not with each proof", async () => {
    let proofs = 0;
    let asked = 0;
    let database = 27001;
    await using fake = await startFakeClamd({
      version: () => {
        proofs += 1;
        return `ClamAV 1.4.6/${database}/Thu Nov 20 10:13:12 2025`;
      },
      lacking: () => {
        asked += 1;
        return [];
      },
    });
    await using stage = await openPool({ addresses: [fake.address], backend: { probes } });
    const after = async (count: number) => {
      const seen = proofs;
      await eventually("some proofs more", () => proofs > seen + 5);
      assert.equal(asked, count * probes.length);
    };
    await after(1);
    database = 27002;
    await eventually("the reload is seen", () => stage.pool.version()?.database === 27002);
    await after(2);
    await fake.kill();
    await stage.isUp(0);
    asked = 0;
    await using again = await startFakeClamd({
      port: fake.address.port,
      lacking: () => {
        asked += 1;
        return ["AlertExceedsMax yes"];
      },
    });
    await stage.isUp(1);
    assert.equal(asked, probes.length);
    assert.deepEqual(stage.backends[0]?.lacking(), ["AlertExceedsMax yes"]);
    assert.ok(again.commands.length > 0);
  });

  test("that is started with another clamd.conf, and reloaded, is told each time", async () => {
    await using full = await startRealClamd({ listens: "tcp" });
    if (full.address.kind !== "tcp") throw new Error("not on TCP");
    await using stage = await openPool({ addresses: [full.address], backend: { probes } });
    const before = stage.pool.version()?.tag;
    assert.deepEqual(stage.backends[0]?.lacking(), []);
    await full.kill();
    await stage.isUp(0);
    await using lax = await startRealClamd({ listens: "tcp", port: full.address.port, conf: defaultAlerts });
    await stage.isUp(1);
    assert.deepEqual(stage.backends[0]?.lacking(), lines.slice(1));
    assert.notEqual(stage.pool.version()?.tag, before);
    // A reload changes the signatures and never the alerts.
    await lax.reload({ "new.ndb": bodySignature("New.Name", "something that nobody minded") });
    await eventually("it is found", async () => (await stage.scan("something that nobody minded")).verdict.kind === "infected");
    assert.deepEqual(stage.backends[0]?.lacking(), lines.slice(1));
  });

  test("is believed as before while it does not answer the probes", async () => {
    let isDeaf = false;
    let database = 27001;
    await using fake = await startFakeClamd({
      version: () => `ClamAV 1.4.6/${database}/Thu Nov 20 10:13:12 2025`,
      lacking: () => (isDeaf ? null : ["AlertExceedsMax yes"]),
    });
    await using stage = await openPool({ addresses: [fake.address], backend: { probes } });
    isDeaf = true;
    database = 27002;
    await eventually("the reload is seen", () => stage.pool.version()?.database === 27002);
    await stage.isUp(1);
    assert.deepEqual(stage.backends[0]?.lacking(), ["AlertExceedsMax yes"]);
  });
});

function openStrict(options: PoolStageOptions) {
  return openPool({ ...options, queueTimeoutMs: 50, backend: { ...options.backend, probes, isStrict: true } });
}

async function tell({ address }: RealClamd, bytes: Uint8Array) {
  const options = { dial: dialClamd, address, connectTimeoutMs: 3_000, timeoutMs: 10_000, signal: never };
  return parseScanReply(await exchange(instreamBytes(bytes), options), "stream");
}
