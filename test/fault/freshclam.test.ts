/** F19: a freshclam that fails, hangs or does harm. */

import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { startGatewayProcess } from "../e2e/gateway-process.ts";
import { testSignatures } from "../live/clamd.ts";
import { eventually, processesWith } from "../process/stage.ts";
import { scratchDirectory } from "../scratch-directory.ts";
import { traffic } from "./harness/rest-traffic.ts";
import { openFaultStage } from "./harness/stage.ts";
import { testDatabase } from "./test-database.ts";

describe("a freshclam that fails", { concurrency: true }, () => {
  const scripts: Readonly<Record<string, readonly [script: string, outcome: string]>> = {
    "is blocked (exit 17)": ["echo 'WARNING: Can not download from the server: 403'; exit 17", "blocked"],
    "exits with 0 while it cools down": [
      "echo 'WARNING: FreshClam previously received error code 429 or 403 from the ClamAV Content Delivery Network (CDN).'; echo 'WARNING: You are still on cool-down until after: 2037-01-01 00:00:00'; exit 0",
      "rate-limited",
    ],
    "fails its own test (exit 8)": ["echo 'ERROR: Database test FAILED.'; exit 8", "failed"],
    "is killed": ["kill -9 $$", "failed"],
    "cannot write (exit 10)": ["exit 10", "failed"],
  };
  for (const [what, [script, outcome]] of Object.entries(scripts)) {
    test(`${what}: ${outcome}, not ready, nothing clean; signatures that then come are loaded (F19)`, async () => {
      await using directory = await scratchDirectory();
      await writeFile(directory.at("freshclam"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      await using database = await emptyDatabase();
      await using gateway = await startFetching(directory.path, database.path);
      const metric = `clamgate_signature_checks_total{outcome="${outcome}"}`;
      await eventually(`a check is ${outcome}`, async () => (await gateway.metric(metric)) === 1);
      assert.equal((await fetch(`${gateway.url}/readyz`)).status, 503);
      assert.equal((await scan(gateway.url)).status, 503);
      for (const [name, text] of Object.entries(testSignatures)) await writeFile(join(database.path, name), text);
      await gateway.ready();
      assert.equal((await scan(gateway.url)).status, 200);
    });
  }

  test("hangs, or writes a broken database: never ready by it, ended with the gateway (F19)", async () => {
    await using directory = await scratchDirectory();
    await using database = await emptyDatabase();
    const script = `#!/bin/sh\necho no database > '${database.path}/daily.cvd'\nexec tail -n 0 -f "$0"\n`;
    await writeFile(directory.at("freshclam"), script, { mode: 0o755 });
    const isRunning = async () => (await processesWith(directory.at("freshclam"))).length > 0;
    await using gateway = await startFetching(directory.path, database.path);
    await eventually("it runs", isRunning);
    assert.equal((await fetch(`${gateway.url}/readyz`)).status, 503);
    assert.equal((await scan(gateway.url)).status, 503);
    gateway.signal("SIGTERM");
    assert.equal(await gateway.ended, 0);
    assert.equal(await isRunning(), false);
  });
});

describe("a freshclam that does harm while a gateway serves", () => {
  test("by emptying the directory, or by leaving rubbish in it, ends no scan and changes no verdict (F19)", async () => {
    await using directory = await scratchDirectory();
    await using database = await testDatabase();
    const harm = `rm -f '${database.path}'/*\necho rubbish > '${database.path}/daily.cvd'\nexit 0\n`;
    await writeFile(directory.at("freshclam"), `#!/bin/sh\n${harm}`, { mode: 0o755 });
    await using stage = await openFaultStage({ env: fetchingEnv(directory.path, database.path) });
    const rejected = () => stage.gateway.metric('clamgate_reloads_total{outcome="rejected"}');
    await eventually("its rubbish is refused", async () => {
      await traffic(stage, 0.2);
      return (await rejected()) >= 1;
    });
    await traffic(stage, 0.5);
    assert.equal((await fetch(`${stage.gateway.url}/readyz`)).status, 200);
    assert.equal(stage.account.totals().errors, 0);
  });
});

async function emptyDatabase() {
  const database = await testDatabase();
  for (const name of Object.keys(testSignatures)) await rm(join(database.path, name));
  return database;
}

/** Its freshclam is a script: nothing is asked of any server. */
function startFetching(programs: string, databaseDirectory: string) {
  return startGatewayProcess({ args: ["serve"], env: fetchingEnv(programs, databaseDirectory) });
}

function fetchingEnv(programs: string, databaseDirectory: string): Record<string, string> {
  return {
    PATH: `${programs}:${process.env.PATH}`,
    DATABASE_DIRECTORY: databaseDirectory,
    DATABASE_MIRROR: "http://127.0.0.1:1",
    SIGNATURE_CHECKS: "50",
    FIRST_FETCH_TIMEOUT: "1s",
    QUEUE_TIMEOUT: "500ms",
  };
}

function scan(url: string): Promise<Response> {
  return fetch(`${url}/scanHandlerBody`, { method: "POST", body: "a body" });
}
