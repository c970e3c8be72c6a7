import assert from "node:assert/strict";
import { mkdir, utimes } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { newestDatabaseSeconds } from "../../src/signatures/database-time.ts";
import { scratch, writeFiles } from "./scratch.ts";

describe("newestDatabaseSeconds", () => {
  test("finds the newest database and no newer text", async (t) => {
    const directory = await scratch(t);
    const times = {
      "daily.cld": Date.UTC(2026, 3, 10, 9) / 1000,
      "main.CVD": Date.UTC(2026, 3, 10, 11, 30) / 1000 + 0.9,
      "notes.txt": Date.UTC(2026, 3, 10, 12) / 1000,
      "own.ndb": Date.UTC(2026, 3, 10, 12) / 1000,
      "bytecode.cvd": Date.UTC(2026, 3, 10, 10, 15) / 1000,
    };
    await mkdir(join(directory, "folder.cvd"));
    for (const [name, seconds] of Object.entries(times)) {
      await writeFiles(directory, { [name]: name });
      await utimes(join(directory, name), seconds, seconds);
    }
    assert.equal(await newestDatabaseSeconds(directory), Date.UTC(2026, 3, 10, 11, 30) / 1000);
  });

  test("is 0 where there is none", async (t) => {
    const directory = await scratch(t);
    assert.equal(await newestDatabaseSeconds(directory), 0);
    assert.equal(await newestDatabaseSeconds(join(directory, "missing")), 0);
  });
});
