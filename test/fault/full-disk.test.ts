/** F10: no room for clamd to unpack in, or for the gateway to spool in: never clean, and all is well again when there is room. */

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { findProgram } from "../../src/process/find-program.ts";
import { clamavTestFiles } from "../e2e/samples.ts";
import { eventually } from "../process/stage.ts";
import { residueOf } from "./harness/residue.ts";
import { fillDisk, freeDisk, smallDisk } from "./harness/small-disk.ts";
import { type FaultStage, openFaultStage } from "./harness/stage.ts";
import { subject } from "./harness/subjects.ts";

/** Small enough that nothing of the machine's own use of the disk matters, and larger than any of the bodies needs. */
const megabytes = 200;
const env = { MAX_SCAN_SIZE: "30M", QUEUE_TIMEOUT: "3s", VERDICT_CACHE: "none" };

async function infectedFiles() {
  return (await clamavTestFiles()).map(({ name, bytes }) => subject(name, bytes, "infected"));
}

/** Before the body comes, and while it comes. */
async function assertNoRoomToSpool({ gateway, rest, subjects }: FaultStage): Promise<void> {
  const large = subjects.infected(3_000_000);
  await fillDisk(gateway, 0);
  const refused = [await rest.raw(large), await rest.upload([large])];
  await fillDisk(gateway, 2_000_000);
  const body = async function* () {
    yield large.bytes.subarray(0, 1_500_000);
    await eventually("its beginning is in a file", async () => (await residueOf(gateway)).spoolFiles === 1);
    await fillDisk(gateway, 0);
    yield large.bytes.subarray(1_500_000);
  };
  refused.push(await rest.send([large], { path: "/scanHandlerBody", body: body() }));
  for (const { answer } of refused) assert.equal(answer?.status, 503);
}

describe("a disk that is full", () => {
  test("while clamd unpacks makes errors of what it could not see, not clean bodies; with room all are found", async (context) => {
    const state = await mkdtemp(join(tmpdir(), "clamgate-disk-"));
    try {
      const disk = smallDisk(state, { megabytes });
      if (disk === null) {
        assert.notEqual(process.env.CI, "true", "a tmpfs must be mountable: as root, or with user namespaces");
        return context.diagnostic("no tmpfs can be mounted here: only the next test was run");
      }
      await using stage = await openFaultStage({ env, state, launcher: disk.launcher });
      const files = await infectedFiles();
      const counts: Record<string, number> = {};
      for (const freeBytes of [4_096, 16_384, 65_536, 1_000_000]) {
        await fillDisk(stage.gateway, freeBytes);
        for (const file of files) {
          const { answer } = await stage.rest.upload([file]);
          const what = `${freeBytes} free: ${answer?.status}`;
          counts[what] = (counts[what] ?? 0) + 1;
        }
      }
      context.diagnostic(JSON.stringify(counts));
      await assertNoRoomToSpool(stage);
      await freeDisk(stage.gateway);
      await stage.gateway.ready();
      for (const file of files) assert.equal((await stage.rest.upload([file])).answer?.status, 406, file.name);
      assert.equal((await stage.rest.raw(stage.subjects.clean(1_000))).answer?.status, 200);
    } finally {
      await rm(state, { recursive: true, force: true });
    }
  });

  test("for all files above a size makes errors of what it could not see", async (context) => {
    const directory = await mkdtemp(join(tmpdir(), "clamgate-limited-"));
    try {
      // A write beyond the limit fails as one on a full disk does; without the trap it would end clamd.
      const clamd = await findProgram("clamd", process.env.PATH);
      const limited = `#!/bin/sh\ntrap '' XFSZ\nulimit -f 32\nexec ${clamd} "$@"\n`;
      await writeFile(join(directory, "clamd"), limited, { mode: 0o755 });
      const path = `${directory}:${process.env.PATH}`;
      await using stage = await openFaultStage({ env: { ...env, PATH: path } });
      for (const file of await infectedFiles()) await stage.rest.upload([file]);
      const { statuses } = stage.account.totals();
      context.diagnostic(JSON.stringify(statuses));
      assert.ok((statuses["406"] ?? 0) > 20 && (statuses["503"] ?? 0) > 0);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  test("for the spool refuses bodies with 503 and takes them again when there is room", async () => {
    await using stage = await openFaultStage({ env: { SPOOL_MAX: "26M", SPOOL_MEMORY: "0", MAX_FILE_SIZE: "25M" } });
    const { rest, subjects } = stage;
    const large = Array.from({ length: 8 }, () => subjects.infected(10_000_000));
    const settled = await Promise.all(large.map((one) => rest.raw(one)));
    const statuses = settled.map(({ answer }) => answer?.status);
    assert.ok(statuses.includes(503), statuses.join());
    for (const { answer, exchange } of settled) {
      assert.ok(answer?.status === 406 || answer?.status === 503);
      if (answer.status === 503) assert.equal(exchange.answer?.headers["retry-after"], "5");
    }
    assert.equal((await rest.raw(subjects.infected(10_000_000))).answer?.status, 406);
  });
});
