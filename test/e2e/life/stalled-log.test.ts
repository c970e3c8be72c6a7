import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { eventually } from "../../process/stage.ts";
import { startGatewayProcess } from "../gateway-process.ts";
import { eicar } from "../samples.ts";

const partsPerForm = 50;
/** Each of these is six characters in the log: enough lines fill every buffer on the way. */
const longName = "\u202e".repeat(200);

/** One infected form of many parts, each a line of the log. */
async function post(url: string): Promise<number> {
  const form = new FormData();
  for (let part = 0; part < partsPerForm; part += 1) form.append("file", new Blob([Uint8Array.from(eicar.bytes)]), longName);
  const answer = await fetch(`${url}/v2/scan`, { method: "POST", body: form });
  await answer.text();
  return answer.status;
}

async function timed(url: string): Promise<number> {
  const startedAt = performance.now();
  assert.equal((await fetch(url)).status, 200);
  return performance.now() - startedAt;
}

/** Bounds of a machine that others keep busy: whoever waits for a reader waits for good. */
describe("a log that nobody reads", () => {
  test("holds nobody up, loses lines that are counted and told, and does not keep the gateway from ending", async () => {
    await using gateway = await startGatewayProcess();
    await gateway.ready();
    gateway.readLog(false);
    for (let round = 0; (await gateway.metric("clamgate_log_lines_lost_total")) === 0; round += 1) {
      assert.equal(round < 50, true, "it never had too much to hold");
      assert.deepEqual(await Promise.all([post(gateway.url), post(gateway.url)]), [406, 406]);
      const ms = await timed(`${gateway.url}/livez`);
      assert.equal(ms < 5000, true, `${ms} ms`);
    }
    gateway.readLog(true);
    const told = JSON.parse(await gateway.line("log lines lost"));
    await eventually(
      "the metric says the same",
      async () => (await gateway.metric("clamgate_log_lines_lost_total")) === told.lines,
    );

    gateway.readLog(false);
    const before = await gateway.metric("clamgate_log_lines_lost_total");
    while ((await gateway.metric("clamgate_log_lines_lost_total")) === before) await post(gateway.url);
    const startedAt = performance.now();
    gateway.signal("SIGTERM");
    assert.equal(await gateway.ended, 0);
    const ms = performance.now() - startedAt;
    assert.equal(ms < 15_000, true, `${ms} ms`);
  });
});
