import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AwayError, type LoadWatch, watchLoads } from "../../../src/app/engine/load-watch.ts";
import { costMs } from "../../cost.ts";

const malformed = "LibClamAV Error: Can't load /epochs/current/bad.ndb: Malformed database";
const culprit = "LibClamAV Error: cli_loaddbdir: error loading database /epochs/current/bad.ndb";
const reloadFailed = "Database reload failed, keeping the previous instance";

/** Until something ends it. */
function loading(watch: LoadWatch): Promise<never> {
  return watch.during(
    (signal) => new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
  );
}

async function failure(load: Promise<unknown>): Promise<Error> {
  const thrown: unknown = await load.then(
    () => assert.fail("it has not failed"),
    (error: unknown) => error,
  );
  return thrown instanceof Error ? thrown : assert.fail(String(thrown));
}

describe("watchLoads", () => {
  test("blames the set that clamd names a fault in", async () => {
    const watch = watchLoads(60_000);
    const failed = failure(loading(watch));
    watch.heard(malformed);
    watch.heard(reloadFailed);
    const error = await failed;
    assert.equal(error.message, `${malformed} (${reloadFailed})`);
    assert.equal(watch.blame(error, { isStart: false }), "set");
    assert.equal(watch.blame(error, { isStart: true }), "set");
  });

  test("names the file that clamd stops at, with what is wrong in it, whatever its name", async () => {
    for (const [lines, file, reason] of [
      [[malformed, culprit], "bad.ndb", "Can't load bad.ndb: Malformed database"],
      [
        ["LibClamAV Error: Problem parsing database at line 7", malformed, culprit],
        "bad.ndb",
        "Problem parsing database at line 7",
      ],
      [
        ["LibClamAV Error: cli_cvdparse: Not a CVD file", culprit.replace("loading database", "parsing header of")],
        "bad.ndb",
        "cli_cvdparse: Not a CVD file",
      ],
      [[malformed.replace("bad", "a: b, (c) "), culprit], "a: b, (c) .ndb", "Can't load a: b, (c) .ndb: Malformed database"],
    ] as const) {
      const watch = watchLoads(60_000);
      const failed = failure(loading(watch));
      for (const line of lines) watch.heard(line);
      watch.heard("ERROR: reload_th: Database load failed: Malformed database");
      watch.heard(reloadFailed);
      await failed;
      assert.deepEqual(watch.culprit(), { file, reason });
    }
  });

  test("hears of the file though the other pipe tells of the end first", async () => {
    const watch = watchLoads(60_000);
    const failed = failure(loading(watch));
    watch.heard(reloadFailed);
    watch.heard(malformed);
    await failed;
    assert.equal(watch.culprit()?.file, "bad.ndb");
  });

  test("names the YARA files of which not all compiles, of the last load only", async () => {
    const watch = watchLoads(60_000);
    await watch.during(async () => {
      watch.heard('LibClamAV Error: yyerror(): /epochs/current/own.yar line 3 undefined string "$b"');
      watch.heard("LibClamAV Error: yyerror(): /epochs/current/own.yar line 9 syntax error");
      watch.heard(
        "LibClamAV Warning: cli_loadyara: failed to parse or load 2 yara rules from file /epochs/current/own.yar, successfully loaded 5 rules.",
      );
    });
    const counts = "2 of its rules do not compile, 5 are in use";
    assert.deepEqual(watch.skipped(), [{ file: "own.yar", reason: `line 3: undefined string "$b" (${counts})` }]);
    await watch.during(async () => {});
    assert.deepEqual(watch.skipped(), []);
  });

  test("names the fault of a start that ends with it", async () => {
    const watch = watchLoads(60_000);
    const failed = failure(loading(watch));
    watch.heard(malformed);
    watch.lost("exit code 1");
    const error = await failed;
    assert.equal(error.message, `${malformed} (exit code 1)`);
    assert.equal(watch.blame(error, { isStart: true }), "set");
  });

  test("does not blame the set for the end of clamd, nor for its silence", async () => {
    for (const [timeoutMs, reason] of [
      [60_000, /^killed by SIGKILL$/],
      [1, /^not loaded within 0.001 s$/],
    ] as const) {
      const watch = watchLoads(timeoutMs);
      const failed = failure(loading(watch));
      if (timeoutMs > 1) watch.lost("killed by SIGKILL");
      const error = await failed;
      assert.match(error.message, reason);
      assert.equal(watch.blame(error, { isStart: false }), "unclear");
      assert.equal(watch.blame(error, { isStart: true }), "engine");
    }
  });

  for (const shortage of [
    "LibClamAV Error: mpool_malloc(): Can't allocate memory (262144 bytes).",
    "LibClamAV Error: cli_load(): Can't open file test.ndb: Too many open files",
    "LibClamAV Error: cli_load(): Can't open file test.ndb: Permission denied",
  ]) {
    test(`does not blame the set for what clamd says beside: ${shortage}`, async () => {
      const watch = watchLoads(60_000);
      const failed = failure(loading(watch));
      for (const line of [shortage, malformed, reloadFailed]) watch.heard(line);
      const error = await failed;
      assert.equal(error.message, `${shortage} (${reloadFailed})`);
      assert.equal(watch.culprit(), null);
      assert.equal(watch.blame(error, { isStart: false }), "unclear");
    });
  }

  test("blames the set of which clamd says no more than that it did not load", async () => {
    const watch = watchLoads(60_000);
    const failed = failure(loading(watch));
    watch.heard(reloadFailed);
    const error = await failed;
    assert.equal(error.message, reloadFailed);
    assert.equal(watch.blame(error, { isStart: false }), "set");
  });

  test("blames the engine that was away", async () => {
    const watch = watchLoads(60_000);
    const error = await failure(watch.during(() => Promise.reject(new AwayError("clamd is being restarted"))));
    assert.equal(watch.blame(error, { isStart: false }), "engine");
  });

  test("holds no load to what was heard of the one before, or between them", async () => {
    const watch = watchLoads(60_000);
    watch.heard(malformed);
    watch.heard(reloadFailed);
    const failed = failure(loading(watch));
    watch.lost("killed by SIGKILL");
    const error = await failed;
    assert.equal(error.message, "killed by SIGKILL");
    assert.equal(watch.blame(error, { isStart: false }), "unclear");
    assert.equal(await watch.during(async () => "loaded"), "loaded");
  });

  for (const unit of [
    "Can't load ",
    "Can't load : ",
    "error loading database ",
    "yyerror(): ",
    "yyerror(): a line 1 ",
    "failed to parse or load 1 yara rules from file a",
    "can't create ",
  ]) {
    test(`reads a line of ${JSON.stringify(unit)} at once`, () => {
      const watch = watchLoads(60_000);
      const line = `${unit.repeat(8_192 / unit.length)}:\u2028`;
      const ms = costMs(() => {
        for (let turn = 0; turn < 100; turn += 1) watch.heard(line);
      });
      assert.ok(ms < 200, `${ms} ms`);
    });
  }
});
