/** How much longer the gateway takes to be ready than its clamd takes to load. */

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { spreadOf } from "../load/statistics.ts";
import type { Row } from "../row.ts";
import type { Scenario } from "../scenario.ts";
import { type DatabaseName, databases, type Stage } from "../stage.ts";
import { startGateway } from "../subjects/gateway.ts";
import { pingClamd } from "../subjects/ping-clamd.ts";

const pollMs = 3;

interface Start {
  readonly readySeconds: number;
  /** From clamd's own start to its first PONG. */
  readonly loadSeconds: number;
}

export const start: Scenario = {
  name: "start",
  async run(stage) {
    await stage.clear();
    const rows: Row[] = [];
    for (const database of databases) {
      const starts: Start[] = [];
      const times = Math.min(3, stage.rounds);
      for (let round = 0; round < times; round += 1) starts.push(await startOnce(stage, database));
      rows.push({
        scenario: this.name,
        what: `start to /readyz beyond clamd's own load time, ${database}`,
        target: { atMost: 1 },
        measured: spreadOf(starts.map(({ readySeconds, loadSeconds }) => readySeconds - loadSeconds)),
        unit: "s",
        figures: [
          { name: "start to /readyz", unit: "s", spread: spreadOf(starts.map(({ readySeconds }) => readySeconds)) },
          { name: "clamd's load", unit: "s", spread: spreadOf(starts.map(({ loadSeconds }) => loadSeconds)) },
        ],
      });
    }
    return rows;
  },
};

/** Watches the very clamd that the gateway starts: two loads in a row differ by more than what is to be told. */
async function startOnce(stage: Stage, database: DatabaseName): Promise<Start> {
  const directory = await stage.directory("start");
  const databaseDirectory = await stage.databaseDirectory(database);
  const over = new AbortController();
  const watched = watchLoad(join(directory, "state"), over.signal);
  try {
    await using gateway = await startGateway({ directory, env: { DATABASE_DIRECTORY: databaseDirectory } });
    return { readySeconds: gateway.readySeconds, loadSeconds: await watched };
  } finally {
    over.abort();
    await watched.catch(() => {}); // the start has failed, and told why
  }
}

/** From the appearance of clamd's run directory to its first PONG, in seconds. */
async function watchLoad(state: string, signal: AbortSignal): Promise<number> {
  let startedAt: number | null = null;
  for (;;) {
    const run = (await readdir(state).catch(() => [])).find((name) => name.startsWith("run-"));
    if (run !== undefined) {
      startedAt ??= performance.now();
      if ((await pingClamd(join(state, run, "clamd.sock"))) !== null) return (performance.now() - startedAt) / 1000;
    }
    await delay(pollMs, undefined, { signal });
  }
}
