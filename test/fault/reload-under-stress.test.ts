/** F5, F11: good signatures for a clamd that is stopped or killed just when it is to load them. */

import assert from "node:assert/strict";
import { readlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { bodySignature } from "../live/clamd.ts";
import { eventually } from "../process/stage.ts";
import { askAbout } from "./harness/ask-about.ts";
import { clamdOf } from "./harness/residue.ts";
import { type FaultStage, openFaultStage } from "./harness/stage.ts";
import { largeSignatures } from "./large-signatures.ts";

async function managedClamd({ gateway }: FaultStage): Promise<number> {
  return (await clamdOf(gateway)) ?? assert.fail("there is no clamd");
}

/** The name of the set that a clamd would load now. */
function active({ gateway }: FaultStage): Promise<string> {
  return readlink(join(gateway.state, "epochs", "current"));
}

async function isFound({ gateway }: FaultStage, text: string): Promise<boolean> {
  return (await askAbout(gateway.url, text)).status === 406;
}

describe("good signatures", () => {
  test("are loaded by a clamd that was stopped for seconds when it was told of them", async () => {
    await using stage = await openFaultStage();
    const { gateway, databaseDirectory } = stage;
    const before = await active(stage);
    const pid = await managedClamd(stage);
    process.kill(pid, "SIGSTOP");
    await writeFile(join(databaseDirectory, "new.ndb"), bodySignature("Clamgate.New", "the new body"));
    gateway.signal("SIGHUP");
    await eventually("it is told of them", async () => (await active(stage)) !== before);
    await delay(4_000); // the fault: longer than any other answer is waited for
    process.kill(pid, "SIGCONT");
    await eventually("they are in use", () => isFound(stage, "the new body"));
    assert.equal(await gateway.metric('clamgate_reloads_total{outcome="rejected"}'), 0);
    assert.equal(await clamdOf(gateway), pid);
  });

  test("are loaded after all when clamd is killed while it loads them; the old ones are in use until then", async () => {
    await using stage = await openFaultStage({ env: { LOG_LEVEL: "debug" } });
    const { gateway, rest, subjects, databaseDirectory } = stage;
    const before = await active(stage);
    const loads = () => gateway.lines.filter((line) => line.includes("Reading databases from")).length;
    const seen = loads();
    await writeFile(join(databaseDirectory, "large.ndb"), largeSignatures(100_000));
    await writeFile(join(databaseDirectory, "new.ndb"), bodySignature("Clamgate.New", "the new body"));
    gateway.signal("SIGHUP");
    await eventually("it loads them", () => loads() > seen);
    process.kill(await managedClamd(stage), "SIGKILL");
    await eventually("it is told", () => gateway.lines.some((line) => line.includes("to be tried again")));
    assert.equal(await active(stage), before);
    await gateway.ready();
    assert.equal((await rest.raw(subjects.infected(500))).answer?.status, 406);
    await eventually("they are in use", () => isFound(stage, "the new body"));
    assert.equal(await gateway.metric('clamgate_reloads_total{outcome="rejected"}'), 0);
    assert.equal(await gateway.metric('clamgate_child_restarts_total{child="clamd"}'), 1);
  });
});
