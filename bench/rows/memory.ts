/** How much the gateway's memory grows when a lot comes at once, or something large. */

import { setTimeout as delay } from "node:timers/promises";
import type { LoadOrder } from "../load/load.ts";
import { spreadOf } from "../load/statistics.ts";
import { warmUp } from "../load/warm-up.ts";
import type { Row } from "../row.ts";
import type { Scenario } from "../scenario.ts";
import type { Stage } from "../stage.ts";
import { startGateway } from "../subjects/gateway.ts";
import { residentBytes } from "../subjects/processes.ts";

const mebibyte = 1024 * 1024;
const atMost = 64;
const pollMs = 20;

export const memory: Scenario = {
  name: "memory",
  missing: () => (process.platform === "linux" ? null : "resident memory is read from /proc, which is Linux's"),
  async run(stage) {
    await stage.clear();
    const databaseDirectory = await stage.databaseDirectory("tiny");
    // A slow engine is not to be measured here.
    const env = {
      DATABASE_DIRECTORY: databaseDirectory,
      MAX_FILE_SIZE: "1100M",
      MAX_SCAN_SIZE: "1100M",
      MAX_SCAN_TIME: "10m",
      QUEUE_TIMEOUT: "10m",
    };
    const directory = await stage.directory("memory");
    await using gateway = await startGateway({ directory, env });
    await warmUp(stage.load, gateway.url);
    const rows: Row[] = [];
    for (const { what, clients, bytes } of [
      { what: "32 uploads of 100 MiB at once", clients: 32, bytes: 100 * mebibyte },
      { what: "one upload of 1 GiB", clients: 1, bytes: 1024 * mebibyte },
    ]) {
      const load = { kind: "upload", url: `${gateway.url}/v2/scan`, body: { kind: "random", bytes, isUnique: true } } as const;
      const { before, peak, seconds } = await growth(stage, gateway.program.pid, { load, clients, seconds: 600, most: clients });
      rows.push({
        scenario: this.name,
        what: `resident memory of the gateway, ${what}: growth`,
        target: { atMost },
        measured: spreadOf([(peak - before) / mebibyte]),
        unit: "MiB",
        isOneShot: true,
        figures: [
          { name: "before", unit: "MiB", spread: spreadOf([before / mebibyte]) },
          { name: "at most", unit: "MiB", spread: spreadOf([peak / mebibyte]) },
          { name: "received and scanned", unit: "MB/s", spread: spreadOf([(clients * bytes) / 1e6 / seconds]) },
        ],
      });
    }
    return rows;
  },
};

async function growth({ load }: Stage, pid: number, order: LoadOrder) {
  const before = (await residentBytes(pid)) ?? Number.NaN;
  let peak = before;
  let isOver = false;
  const run = load.run(order).finally(() => {
    isOver = true;
  });
  run.catch(() => {}); // it is awaited below
  while (!isOver) {
    peak = Math.max(peak, (await residentBytes(pid)) ?? 0);
    await delay(pollMs);
  }
  return { before, peak, seconds: (await run).seconds };
}
