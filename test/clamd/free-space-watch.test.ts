import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { watchFreeSpace } from "../../src/clamd/free-space-watch.ts";
import type { GatewayEvent } from "../../src/core/events.ts";
import { clean, found, startFakeClamd } from "../fake/clamd.ts";
import { openPool } from "./stage.ts";

function stage(freeBytes: () => number | null = () => 1_000) {
  let now = 0;
  const events: GatewayEvent[] = [];
  const scratch = watchFreeSpace({
    freeBytes,
    reserveBytes: 1_000,
    clock: () => now,
    emit: (event) => events.push(event),
  });
  const at = (time: number) => {
    now = time;
  };
  return { scratch, events, at };
}

describe("watchFreeSpace", () => {
  for (const [free, isDoubted] of [
    [999, true],
    [1_000, false],
    [1_001, false],
    [0, true],
    [null, false],
  ] as const) {
    test(`${isDoubted ? "doubts" : "believes"} an OK with ${free} bytes free`, async () => {
      const { scratch } = stage(() => free);
      assert.equal(scratch.doubt(0) !== null, isDoubted);
    });
  }

  test("doubts an OK where the room cannot be told", async () => {
    const { scratch } = stage(() => {
      throw new Error("no such directory");
    });
    assert.match(scratch.doubt(0) ?? "", /no such directory/);
  });

  for (const line of [
    "LibClamAV Error: cli_writen: write error: No space left on device",
    "LibClamAV Warning: cli_unzip: failed to write 8192 inflated bytes",
    "LibClamAV Error: cli_scanxz: Can't write to file.",
    "LibClamAV Error: cli_untar: only wrote 18446744073709551615 bytes to file /tmp/x (out of disc space?)",
    "LibClamAV Error: pdf_decodestream_internal: failed to write decoded stream content to output file",
    "ERROR: INSTREAM: Can't write to temporary file.",
  ]) {
    test(`doubts every OK whose scan was under way at "${line.slice(0, 60)}"`, async () => {
      const { scratch, at } = stage();
      at(5);
      scratch.heard(line);
      assert.equal(scratch.doubt(4), line);
      assert.equal(scratch.doubt(5), line);
      assert.equal(scratch.doubt(6), null);
    });
  }

  test("believes an OK whatever else clamd writes", async () => {
    const { scratch } = stage();
    for (const line of ["instream(local): ClamAV-Test-File FOUND", "SelfCheck: Database status OK.", ""]) scratch.heard(line);
    assert.equal(scratch.doubt(0), null);
  });

  test("looks once in ten milliseconds while there is plenty, and each time while there is not", () => {
    let looks = 0;
    let free = 512 * 1024 * 1024;
    const { scratch, at } = stage(() => {
      looks += 1;
      return free;
    });
    const looksFor = (times: readonly number[]) => {
      looks = 0;
      for (const time of times) {
        at(time);
        scratch.doubt(time);
      }
      return looks;
    };
    assert.equal(looksFor([0, 5, 9.9, 10, 15]), 2);
    free -= 1;
    assert.equal(looksFor([20, 21, 22]), 3);
    free = 0;
    at(23);
    assert.notEqual(scratch.doubt(23), null);
  });

  test("says once that room is lacking, and once that it is back", async () => {
    let free = 0;
    const { scratch, events } = stage(() => free);
    scratch.doubt(0);
    scratch.doubt(0);
    free = 5_000;
    scratch.doubt(0);
    scratch.doubt(0);
    assert.deepEqual(
      events.map((event) => event.kind === "notice" && event.level),
      ["error", "info"],
    );
  });
});

describe("a backend whose OK is doubted", () => {
  test("gives an error for it after a second try, and every other verdict as it is", async () => {
    await using fake = await startFakeClamd({ scan: (body) => (body.includes("evil") ? found("X") : clean) });
    await using pool = await openPool({ addresses: [fake.address], backend: { doubt: () => "the disk is full" } });
    await assert.rejects(pool.scan("a body"), { code: "engine-error", detail: /the disk is full/ });
    assert.equal(fake.bodies.length, 2);
    assert.equal((await pool.scan("an evil body")).verdict.kind, "infected");
  });
});
