import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { chunksOf } from "../../src/core/chunk-source.ts";
import { ReadyChunks } from "../fake/ready-chunks.ts";
import { ScriptedBody } from "../spool/scripted-body.ts";

const one = Buffer.from("one");
const two = Buffer.from("two");

describe("chunksOf", () => {
  test("gives each chunk of what can be iterated once it has come, and then the end for good", async () => {
    const source = chunksOf(new ScriptedBody([one, two]));
    for (const chunk of [one, two]) {
      assert.equal(source.take(), undefined);
      await source.ready();
      assert.equal(source.take(), chunk);
    }
    assert.equal(source.take(), undefined);
    await source.ready();
    assert.equal(source.take(), null);
    assert.equal(source.take(), null);
  });

  test("throws what the iteration threw, each time", async () => {
    const error = new Error("broken");
    const source = chunksOf(new ScriptedBody([], { kind: "error", error }));
    await source.ready();
    for (let time = 0; time < 2; time += 1)
      assert.throws(
        () => source.take(),
        (thrown) => thrown === error,
      );
  });

  test("asks for one chunk at a time, however many wait for it, and never returns the iterator", async () => {
    const body = new ScriptedBody([one], { kind: "wait" });
    const source = chunksOf(body);
    await Promise.all([source.ready(), source.ready()]);
    assert.equal(source.take(), one);
    source.leave();
    assert.equal(body.returns, 0);
  });

  test("takes a source as it is", () => {
    const source = new ReadyChunks([]);
    assert.equal(chunksOf(source), source);
  });
});

describe("ChunkSource", () => {
  test("is left by an iteration that ends, early or not", async () => {
    const whole = new ReadyChunks([one, two]);
    assert.deepEqual(await Array.fromAsync(whole), [one, two]);
    const early = new ReadyChunks([one, two]);
    for await (const _ of early) break;
    assert.deepEqual([whole.isLeft, early.isLeft], [true, true]);
  });
});
