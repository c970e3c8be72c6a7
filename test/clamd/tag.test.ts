import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { engineTag, laxTag } from "../../src/clamd/proof.ts";
import { coverage } from "../../src/core/verdict.ts";

const parts = { engine: "1.4.6", database: 27001, databaseDate: "Thu Nov 20 10:13:12 2025", epoch: "", limits: "a=1" };

describe("engineTag", () => {
  test("differs with whatever decides a verdict", () => {
    const changes = [{}, { engine: "1.4.7" }, { database: 27002 }, { databaseDate: "x" }, { epoch: "e" }, { limits: "a=2" }];
    const tags = changes.map((change) => engineTag({ ...parts, ...change }));
    assert.equal(new Set(tags).size, changes.length);
    for (const tag of tags) assert.match(tag, /^[0-9a-f]{16}$/);
  });

  test("is the same in every time zone where the epoch tells the signatures", () => {
    const epoch = "0123456789abcdef";
    assert.equal(engineTag({ ...parts, epoch }), engineTag({ ...parts, epoch, databaseDate: "Thu Nov 20 12:13:12 2025" }));
  });

  test("is another one than gateways made that looked at bodies otherwise", () => {
    const { engine, database, databaseDate, limits } = parts;
    const tagOf = (...first: readonly unknown[]) =>
      createHash("sha256")
        .update(JSON.stringify([...first, engine, [database, databaseDate], limits]))
        .digest("hex")
        .slice(0, 16);
    assert.equal(engineTag(parts), tagOf(coverage));
    // The first gateways had no number.
    const older = [tagOf(), ...Array.from({ length: coverage }, (_, number) => tagOf(number))];
    assert.equal(older.includes(engineTag(parts)), false);
  });

  test("is another one for each set of lines that a clamd.conf lacks", () => {
    const tag = engineTag(parts);
    const tags = [[], ["a"], ["b"], ["a", "b"], ["a, b"]].map((lacking) => laxTag(tag, lacking));
    assert.equal(tags[0], tag);
    assert.equal(new Set(tags).size, tags.length);
  });

  test("does not confuse parts that run into each other", () => {
    assert.notEqual(engineTag({ ...parts, engine: "1", limits: "2" }), engineTag({ ...parts, engine: "12", limits: "" }));
  });
});
