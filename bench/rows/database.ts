/** What the databases weigh: the figures by which the synthetic one is calibrated. */

import { spreadOf } from "../load/statistics.ts";
import type { Row } from "../row.ts";
import type { Scenario } from "../scenario.ts";
import { databases, directoryBytes } from "../stage.ts";
import { startBareClamd } from "../subjects/bare-clamd.ts";

const mebibyte = 1024 * 1024;

export const database: Scenario = {
  name: "database",
  async run(stage) {
    await stage.clear();
    const rows: Row[] = [];
    for (const name of databases) {
      const directory = await stage.databaseDirectory(name);
      await using clamd = await startBareClamd(await stage.directory("clamd"), directory);
      rows.push({
        scenario: this.name,
        what: `clamd's load time, ${name}${name === "S-real" ? " (calibrated for 5-20 s and 0.9-1.2 GB)" : ""}`,
        target: null,
        measured: spreadOf([clamd.loadSeconds]),
        unit: "s",
        figures: [
          { name: "resident", unit: "MB", spread: spreadOf([(clamd.residentBytes ?? Number.NaN) / 1e6]) },
          { name: "files", unit: "MiB", spread: spreadOf([(await directoryBytes(directory)) / mebibyte]) },
        ],
      });
    }
    return rows;
  },
};
