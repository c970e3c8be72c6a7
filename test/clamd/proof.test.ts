import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { dialClamd } from "../../src/clamd/connection.ts";
import { askReload, type Clamd, epochCanary, proveClamd } from "../../src/clamd/proof.ts";
import { type Act, answer, type FakeClamd, found, startFakeClamd } from "../fake/clamd.ts";

const text = Buffer.from("harmless");
const canary = epochCanary(text, (name) => /^Epoch\.(.*)$/.exec(name)?.[1] ?? null);
const never = new AbortController().signal;

const clamd = ({ address }: FakeClamd): Clamd => ({ address, dial: dialClamd, canary, limits: "a=1" });
const start = (act: Act, version = "ClamAV 1.4.6/27001/Thu Nov 20 10:13:12 2025") =>
  startFakeClamd({ isCanary: (body) => body.equals(text), canary: () => act, version: () => version });

describe("proveClamd", () => {
  test("tells the epoch, the version and its time", async () => {
    await using fake = await start(found("Epoch.7"));
    const { epoch, version } = await proveClamd(clamd(fake), never);
    assert.equal(epoch, "7");
    const { engine, database, databaseTime } = version;
    assert.deepEqual([engine, database, databaseTime], ["1.4.6", 27001, new Date(2025, 10, 20, 10, 13, 12)]);
  });

  test("has a new tag for a new epoch", async () => {
    await using one = await start(found("Epoch.7"));
    await using same = await start(found("Epoch.7"), "ClamAV 1.4.6/27001/Thu Nov 20 12:13:12 2025");
    await using other = await start(found("Epoch.8"));
    const tags = [];
    for (const fake of [one, same, other]) tags.push((await proveClamd(clamd(fake), never)).version.tag);
    assert.equal(tags[0], tags[1]);
    assert.notEqual(tags[0], tags[2]);
  });

  test("has no time where there is no date, or one that is none", async () => {
    for (const version of ["ClamAV 1.4.6", "ClamAV 1.4.6/27001/yesterday"]) {
      await using fake = await start(found("Epoch.7"), version);
      assert.equal((await proveClamd(clamd(fake), never)).version.databaseTime, null);
    }
  });

  test("takes no other name than an epoch's for a proof", async () => {
    await using fake = await start(found("Eicar"));
    await assert.rejects(proveClamd(clamd(fake), never), /the canary was not detected: the answer was infected/);
  });

  test("rejects with the signal's reason", async () => {
    await using fake = await start({ kind: "stall" });
    const abort = new AbortController();
    const proof = proveClamd(clamd(fake), abort.signal);
    abort.abort("enough");
    await assert.rejects(proof, (thrown) => thrown === "enough");
  });
});

describe("askReload", () => {
  test("is content with RELOADING and nothing else", async () => {
    await using fake = await startFakeClamd();
    await askReload(clamd(fake), never);
    assert.deepEqual(fake.commands, ["RELOAD"]);
    await using refusing = await startFakeClamd({ reload: () => answer("COMMAND UNAVAILABLE\0") });
    await assert.rejects(askReload(clamd(refusing), never), /RELOAD was answered by "COMMAND UNAVAILABLE/);
  });

  test("waits for the answer as long as it is told, or until the signal", async () => {
    await using fake = await startFakeClamd({ reload: () => ({ kind: "stall" }) });
    await assert.rejects(askReload(clamd(fake), never, 50), /no whole answer within 50 ms/);
    const abort = new AbortController();
    const asked = askReload(clamd(fake), abort.signal, 60_000);
    abort.abort("enough");
    await assert.rejects(asked, (thrown) => thrown === "enough");
  });
});
