import assert from "node:assert/strict";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { attemptSeconds, newestAttemptSeconds } from "../../../src/signatures/freshclam/update-log.ts";
import { scratch, unprivileged } from "../scratch.ts";

const local = (...at: [number, number, number, number, number, number]): number => Math.floor(new Date(...at).getTime() / 1000);

describe("attemptSeconds", () => {
  const nine = local(2026, 3, 10, 9, 0, 0);
  const eleven = local(2026, 3, 10, 11, 15, 0);
  const cases: readonly (readonly [string, number | null])[] = [
    ["Fri Apr 10 09:00:00 2026 -> ClamAV update process started", nine],
    ["Fri Apr 10 11:15:00 2026 -> ClamAV update process started at Fri Apr 10 09:00:00 2026", eleven],
    ["ClamAV update process started at Fri Apr 10 11:15:00 2026", eleven],
    ["  ClamAV update process started at Fri Apr 10 11:15:00 2026\r", eleven],
    ["[freshclam] ClamAV update process started at Fri Apr 10 11:15:00 2026", eleven],
    ["Wed Apr  1 09:00:00 2026 -> ClamAV update process started", local(2026, 3, 1, 9, 0, 0)],
    ["Wed Apr 01 09:00:00 2026 -> ClamAV update process started", local(2026, 3, 1, 9, 0, 0)],
    ["2026-04-10T09:00:00Z -> ClamAV update process started", Date.UTC(2026, 3, 10, 9) / 1000],
    ["2026-04-10T09:00:00.750+02:00 -> ClamAV update process started", Date.UTC(2026, 3, 10, 7) / 1000],
    ["ClamAV update process started at 2026-04-10T09:00:00Z", Date.UTC(2026, 3, 10, 9) / 1000],
    ["Fri Apr 10 09:00:00 2026 UTC -> ClamAV update process started", Date.UTC(2026, 3, 10, 9) / 1000],
    ["Fri Apr 10 09:00:00 2026 CEST -> ClamAV update process started", nine],
    // What stands before the arrow wins, even when it makes no sense.
    ["yesterday -> ClamAV update process started at Fri Apr 10 11:15:00 2026", null],
    ["Fri Apr 10 09:00:00 2026 -> ClamAV update process started early", null],
    ["Fri Apr 10 09:00:00 2026 -> ClamAV update process stopped", null],
    [
      "Fri Apr 10 09:00:01 2026 -> daily.cld database is up-to-date (version: 123, sigs: 456, f-level: 90, builder: raynman)",
      null,
    ],
    ["ClamAV update process started", null],
    ["ClamAV update process started at ", null],
    ["ClamAV update process started at Fri Feb 30 11:15:00 2026", null],
    ["ClamAV update process started at Fri Apr 10 25:15:00 2026", null],
    ["ClamAV update process started at Fri Xyz 10 11:15:00 2026", null],
    ["ClamAV update process started at 2026-13-10T09:00:00Z", null],
    ["", null],
    [" -> ", null],
  ];
  for (const [line, seconds] of cases) {
    test(`${seconds === null ? "finds nothing in" : "reads"} ${JSON.stringify(line)}`, () =>
      assert.equal(attemptSeconds(line), seconds));
  }
});

describe("newestAttemptSeconds", () => {
  test("finds the 11:15 line newer than the 09:00 one, wherever it stands", async (t) => {
    const path = join(await scratch(t), "clamav.log");
    const lines = [
      "Fri Apr 10 09:00:00 2026 -> ClamAV update process started",
      "Fri Apr 10 09:00:01 2026 -> daily.cld database is up-to-date (version: 123, sigs: 456, f-level: 90, builder: raynman)",
      "Fri Apr 10 11:15:00 2026 -> ClamAV update process started at Fri Apr 10 11:15:00 2026",
    ];
    for (const text of [`${lines.join("\n")}\n`, lines.toReversed().join("\r\n")]) {
      await writeFile(path, text);
      assert.equal(await newestAttemptSeconds(path), local(2026, 3, 10, 11, 15, 0));
    }
  });

  test("is 0 without a file and without an attempt", async (t) => {
    const directory = await scratch(t);
    assert.equal(await newestAttemptSeconds(join(directory, "missing.log")), 0);
    await writeFile(join(directory, "empty.log"), "");
    assert.equal(await newestAttemptSeconds(join(directory, "empty.log")), 0);
    await writeFile(join(directory, "binary.log"), Buffer.alloc(100_000, 0xff));
    assert.equal(await newestAttemptSeconds(join(directory, "binary.log")), 0);
  });

  test("ends at a line of a mebibyte", async (t) => {
    const path = join(await scratch(t), "clamav.log");
    const nine = "Fri Apr 10 09:00:00 2026 -> ClamAV update process started\n";
    const eleven = nine.replace("09:00", "11:15");
    await writeFile(path, `${nine}${"x".repeat((1 << 20) - 1)}\n${eleven}`);
    assert.equal(await newestAttemptSeconds(path), local(2026, 3, 10, 11, 15, 0));
    await writeFile(path, `${nine}${"x".repeat(1 << 20)}\n${eleven}`);
    assert.equal(await newestAttemptSeconds(path), local(2026, 3, 10, 9, 0, 0));
  });

  test("rejects for a log that may not be read", async (t) => {
    const path = join(await scratch(t), "clamav.log");
    await writeFile(path, "");
    await chmod(path, 0o000);
    await unprivileged(() => assert.rejects(newestAttemptSeconds(path), { code: "EACCES" }));
  });
});
