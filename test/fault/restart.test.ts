/** F18: the gateway itself killed under load again and again, each time started over what it left. */

import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type GatewayProcess, startGatewayProcess } from "../e2e/gateway-process.ts";
import { closedTraffic } from "../load/traffic.ts";
import { eventually, processesWith } from "../process/stage.ts";
import { openAccount } from "./harness/account.ts";
import { countingClient } from "./harness/counting-client.ts";
import {
  assertCleanMeansScanned,
  assertFailsClosed,
  assertHonestMemory,
  assertInvariants,
  assertNothingLeft,
  assertOwnVerdicts,
} from "./harness/invariants.ts";
import { chooseSeed, seededRandom } from "./harness/random.ts";
import { childrenOf, residueOf } from "./harness/residue.ts";
import { restClient } from "./harness/rest-client.ts";
import { subjectSource } from "./harness/subjects.ts";
import { testDatabase } from "./test-database.ts";

const workers = 30;

/** Nothing of those that lived before: no process, no body in the spool, no directory of a run but its own. */
async function assertAlone({ pid, state }: GatewayProcess): Promise<void> {
  const own = (await childrenOf(pid)).map((child) => child.pid);
  await eventually("those before are gone", async () =>
    (await processesWith(state)).every((one) => one === pid || own.includes(one)),
  );
  assert.deepEqual(await readdir(join(state, "spool", "bodies")), []);
  assert.equal((await readdir(state)).filter((name) => name.startsWith("run-")).length, 1);
}

describe("a gateway that is killed under load", () => {
  test("leaves no wrong verdict behind, and nothing that the next one does not clear away (F18)", async (context) => {
    const state = await mkdtemp(join(tmpdir(), "clamgate-killed-"));
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const subjects = subjectSource(random);
    const popular = Array.from({ length: 20 }, (_, index) =>
      index % 2 === 0 ? subjects.infected(60_000) : subjects.clean(60_000),
    );
    try {
      await using database = await testDatabase();
      // Verdicts survive in SQLite; bodies lie in files.
      const options = { args: ["serve"], state, env: { DATABASE_DIRECTORY: database.path, SPOOL_MEMORY: "10K" } };
      const account = openAccount();
      for (let life = 1; life <= 3; life += 1) {
        await using gateway = await startGatewayProcess(options);
        await gateway.ready();
        await assertAlone(gateway);
        using client = countingClient(gateway.url);
        const rest = restClient({ client, account });
        const dead = new AbortController();
        const enough = account.totals().verdicts + 300;
        const running = closedTraffic({ workers, signal: dead.signal }, async () => {
          const fresh = () => (random.next() < 0.5 ? subjects.infected(60_000) : subjects.clean(60_000));
          const one = random.next() < 0.5 ? random.pick(popular) : fresh();
          await (random.next() < 0.5 ? rest.raw(one) : rest.upload([one]));
        });
        await eventually("it is under load", () => account.totals().verdicts > enough);
        dead.abort();
        gateway.signal("SIGKILL");
        await running;
        assert.equal(await gateway.ended, "SIGKILL");
      }
      const { opened, broken, errors, statuses } = account.totals();
      context.diagnostic(`${opened} requests in 3 lives, ${JSON.stringify(statuses)}; SEED=${seed}`);
      assert.equal(errors, 0);
      assert.ok(broken <= 3 * workers, `${broken} were cut by the kills`);
      for (const check of [assertCleanMeansScanned, assertOwnVerdicts, assertHonestMemory, assertFailsClosed]) check(account);

      await using last = await startGatewayProcess(options);
      await last.ready();
      await assertAlone(last);
      using client = countingClient(last.url);
      const before = await residueOf(last);
      const after = openAccount();
      // What was remembered in the lives before is from nowhere in this account.
      const rest = restClient({ client, account });
      for (const one of popular) await after.request([one], async () => (await rest.raw(one)).exchange);
      assert.deepEqual(after.totals().bodies, { clean: 10, infected: 10, unscannable: 0, error: 0 });
      after.faults.wronglyRemembered.length = 0;
      assertInvariants(after, { withinMs: 60_000 });
      assertHonestMemory(account);
      client[Symbol.dispose]();
      await assertNothingLeft(last, { before });
      last.signal("SIGTERM");
      assert.equal(await last.ended, 0);
      assert.deepEqual(await processesWith(state), []);
    } finally {
      await rm(state, { recursive: true, force: true });
    }
  });
});
