/** The engine that asks again, under the scan function: what is asked, what is answered, remembered and shared. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readAgain } from "../../../src/clamd/read-again.ts";
import { ClamgateError } from "../../../src/core/errors.ts";
import type { SpooledBody } from "../../../src/core/spool.ts";
import type { Verdict } from "../../../src/core/verdict.ts";
import { chunks, clean, encrypted, infected, openScan, requestOptions, sha256 } from "../../core/scan-stage.ts";
import { fakeVersion } from "../../fake/backend.ts";
import { type FakeEngine, fakeEngine } from "../../fake/engine.ts";
import { tar } from "../../fault/tar.ts";
import { eventually } from "../../process/stage.ts";
import { collect } from "../../spool/scripted-body.ts";

const song = "ID3 a song";
/** Of more bytes than the stage's spool keeps in memory. */
const longSong = song.repeat(20);
const image = Buffer.from(`/RGB\nID\n${"\xff".repeat(24)}`, "latin1");
const limited: Verdict = { kind: "unscannable", reason: "limit-size", heuristic: null };
const ignoredType = { kind: "unscannable", reason: "unsupported", heuristic: "Heuristics.Clamgate.IgnoredType" };

async function openStage() {
  const engine = fakeEngine();
  const stage = await openScan({ engine: readAgain(engine) });
  return { ...stage, engine };
}

/** Answers each reading in its turn. */
function answerInTurn(engine: FakeEngine, ...verdicts: readonly Verdict[]): void {
  const left = [...verdicts];
  engine.answerAll(() => left.shift() ?? assert.fail("one reading too many"));
}

async function bytesOf(body: SpooledBody): Promise<string> {
  return Buffer.from(body.bytes ?? (await collect(body.read()))).toString("latin1");
}

describe("readAgain", () => {
  test("asks once for what clamd looks into, in memory and in files", async () => {
    await using stage = await openStage();
    for (const text of ["", "a text", "a longer text, ".repeat(20)]) {
      answerInTurn(stage.engine, clean);
      assert.deepEqual((await stage.post(text)).report.verdict, clean);
    }
    assert.equal(stage.engine.scans.length, 3);
  });

  test("asks for what clamd ignores a second time, the same bytes behind a line feed", async () => {
    for (const text of [song, longSong]) {
      await using stage = await openStage();
      const posting = stage.post(text);
      const first = await stage.engine.scanBegun(1);
      assert.equal(await bytesOf(first.body), text);
      first.finish(clean);
      const second = await stage.engine.scanBegun(2);
      assert.equal(await bytesOf(second.body), `\n${text}`);
      second.finish(clean, { queueMs: 5, scanMs: 7 });
      const { report } = await posting;
      assert.deepEqual([report.verdict, report.sha256, report.size], [clean, sha256(text), text.length]);
      const [event] = stage.events;
      assert.ok(event?.kind === "scanned");
      assert.deepEqual([event.queueSeconds, event.scanSeconds], [0.015, 0.027]);
      assert.equal(stage.engine.scans.length, 2);
    }
  });

  test("answers the worst verdict, and asks no further than it must", async () => {
    const manyWays = tar("SQLite format 3", Buffer.alloc(0)).toString("latin1");
    const cases: readonly (readonly [string, readonly Verdict[], unknown])[] = [
      [song, [infected], infected],
      [song, [encrypted, clean], encrypted],
      [song, [encrypted, encrypted], encrypted],
      [song, [encrypted, infected], infected],
      // An operator may let one of the two reasons pass.
      [song, [encrypted, limited], ignoredType],
      [song, [clean, infected], infected],
      [song, [clean, encrypted], encrypted],
      [manyWays, [clean, clean, clean], clean],
      [manyWays, [clean, clean, infected], infected],
      [manyWays, [clean, infected], infected],
      [manyWays, [clean, encrypted, clean], encrypted],
      [manyWays, [clean, encrypted, infected], infected],
      [image.toString("latin1"), [clean], ignoredType],
      [image.toString("latin1"), [encrypted], ignoredType],
      [image.toString("latin1"), [infected], infected],
      [`ID3${image.toString("latin1")}`, [clean, clean], ignoredType],
      [`ID3${image.toString("latin1")}`, [clean, infected], infected],
      [`ID3${image.toString("latin1")}`, [clean, encrypted], ignoredType],
    ];
    for (const [text, verdicts, expected] of cases) {
      await using stage = await openStage();
      answerInTurn(stage.engine, ...verdicts);
      const bytes = Buffer.from(text, "latin1");
      async function* source(): AsyncGenerator<Uint8Array> {
        yield bytes;
      }
      await using scanned = await stage.scan(source(), requestOptions());
      assert.deepEqual(scanned.report.verdict, expected, JSON.stringify(verdicts));
      assert.equal(stage.engine.scans.length, verdicts.length);
      stage.engine.answerAll(null);
    }
  });

  test("is an error where the second reading is one, which is not remembered as a verdict", async () => {
    await using stage = await openStage();
    for (const code of ["engine-error", "queue-full", "engine-unavailable"] as const) {
      const count = stage.engine.scans.length;
      const posting = assert.rejects(stage.post(song), { code });
      (await stage.engine.scanBegun(count + 1)).finish(clean);
      (await stage.engine.scanBegun(count + 2)).fail(new ClamgateError(code, "no"));
      await posting;
    }
    answerInTurn(stage.engine, clean, infected);
    assert.deepEqual((await stage.post(song)).report.verdict, infected);
  });

  test("is not tried again for a while where the second reading timed out or lost its engine", async () => {
    for (const [code, reason] of [
      ["scan-timeout", "limit-time"],
      ["engine-killed", "poison"],
    ] as const) {
      await using stage = await openStage();
      const posting = assert.rejects(stage.post(song), { code });
      (await stage.engine.scanBegun(1)).finish(clean);
      (await stage.engine.scanBegun(2)).fail(new ClamgateError(code, "no"));
      await posting;
      const { report } = await stage.post(song);
      assert.deepEqual(report.verdict, { kind: "unscannable", reason, heuristic: null });
      assert.equal(stage.engine.scans.length, 2);
    }
  });

  test("remembers the verdict of all readings together", async () => {
    for (const verdict of [clean, infected]) {
      await using stage = await openStage();
      answerInTurn(stage.engine, clean, verdict);
      assert.deepEqual((await stage.post(song)).report.verdict, verdict);
      const { report } = await stage.post(song);
      assert.deepEqual([report.verdict, report.isCached], [verdict, true]);
      assert.equal(stage.engine.scans.length, 2);
    }
  });

  test("remembers nothing where the readings had different signatures, or one may have", async () => {
    const changed = { version: fakeVersion({ tag: "b".repeat(16) }) };
    for (const [first, second] of [
      [{}, changed],
      [{ isCacheable: false }, {}],
      [{}, { isCacheable: false }],
    ]) {
      await using stage = await openStage();
      const posting = stage.post(song);
      (await stage.engine.scanBegun(1)).finish(clean, first);
      (await stage.engine.scanBegun(2)).finish(clean, second);
      await posting;
      answerInTurn(stage.engine, clean, clean);
      assert.equal((await stage.post(song)).report.isCached, false);
      assert.equal(stage.engine.scans.length, 4);
    }
  });

  test("has one flight for both readings: who comes between them waits for both", async () => {
    await using stage = await openStage();
    const first = stage.post(song);
    (await stage.engine.scanBegun(1)).finish(clean);
    const second = await stage.engine.scanBegun(2);
    const joined = stage.post(song);
    await eventually("it is there", () => stage.spool.usage().bodies === 2);
    await new Promise(setImmediate);
    second.finish(infected);
    assert.deepEqual([(await first).report.verdict, (await joined).report.verdict], [infected, infected]);
    assert.equal(stage.engine.scans.length, 2);
    assert.deepEqual(stage.outcomes().sort(), ["engine", "shared"]);
  });

  test("begins no second reading for a client that has gone", async () => {
    await using stage = await openStage();
    const client = new AbortController();
    const posting = assert.rejects(stage.scan(chunks(song), requestOptions({ signal: client.signal })));
    const first = await stage.engine.scanBegun(1);
    client.abort(new Error("gone"));
    await posting;
    first.finish(clean);
    await new Promise(setImmediate);
    assert.equal(stage.engine.scans.length, 1);
  });

  test("passes on which version there is", () => {
    const engine = fakeEngine();
    assert.deepEqual(readAgain(engine).version(), engine.version());
    engine.setVersion(null);
    assert.equal(readAgain(engine).version(), null);
  });
});
