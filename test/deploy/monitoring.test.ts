import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createMetrics } from "../../src/metrics/metrics.ts";
import { deployDirectory } from "./image.ts";

const directory = fileURLToPath(new URL("monitoring/", deployDirectory));
const promtool = (...words: readonly string[]) => promisify(execFile)("promtool", [...words], { cwd: directory });

/** Names that clamav-rest has, and those of the library that counts Node's own. */
const mustStay = /^(no_of_found_viruses|no_of_hits_on_deprecated_scan_endpoint|nodejs_\w+) /;

async function exposed(): Promise<string> {
  const metrics = createMetrics({
    version: "0.1.0",
    gauges: () => ({
      slots: { inUse: 0, total: 1 },
      queueLength: 0,
      backends: { up: 1, down: 0, busy: 0, behind: 0, lacking: 0 },
      spool: { bodies: 0, memoryBytes: 0, fileBytes: 0 },
      signatures: { builtAt: new Date(), isTestOnly: false, keptOut: 0 },
      engine: null,
      icapConnections: 0,
      clamdConnections: 0,
      lostLogLines: 0,
    }),
    updateTimes: { success: async () => 1, attempt: async () => 1 },
    children: ["clamd", "freshclam"],
  });
  try {
    return (await metrics.expose()).body;
  } finally {
    metrics.close();
  }
}

describe("deploy/monitoring", () => {
  test("has rules of which each fires, and rests when all is well", async () => {
    await promtool("check", "rules", "alerts.yaml");
    await promtool("test", "rules", "alerts.test.yaml");
    const rules = await readFile(`${directory}alerts.yaml`, "utf8");
    const tests = await readFile(`${directory}alerts.test.yaml`, "utf8");
    for (const [, name] of rules.matchAll(/alert: (\w+)/g)) {
      for (const what of ["fires", "rests"]) assert.ok(tests.includes(`name: ${name} ${what}\n`), `${name} ${what}`);
    }
  });

  for (const file of ["alerts.yaml", "dashboard.json"]) {
    test(`asks in ${file} for metrics that there are`, async () => {
      const text = await readFile(`${directory}${file}`, "utf8");
      const metrics = await exposed();
      const names = new Set([...text.matchAll(/\b(?:clamgate|process)_[a-z_]+\b/g)].map(([name]) => name));
      assert.ok(names.size > 10);
      for (const name of names) assert.match(metrics, new RegExp(`^${name}[ {]`, "m"), name);
    });
  }

  test("has a dashboard whose panels do not overlap", async () => {
    const { panels } = JSON.parse(await readFile(`${directory}dashboard.json`, "utf8")) as {
      readonly panels: readonly { readonly gridPos: { readonly x: number; readonly y: number } }[];
    };
    assert.equal(new Set(panels.map(({ gridPos: { x, y } }) => `${x} ${y}`)).size, panels.length);
  });

  test("is fed by metrics that promtool finds nothing wrong with, but for names that must stay", async () => {
    const { stdout, stderr } = spawnSync("promtool", ["check", "metrics"], { input: await exposed(), encoding: "utf8" });
    const complaints = `${stdout}${stderr}`.split("\n").filter((line) => line !== "" && !mustStay.test(line));
    assert.deepEqual(complaints, []);
  });
});
