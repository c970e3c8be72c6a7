import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { cacheable, keyId, maxStoredLength, parseStored, parseVerdict, storedText } from "../../src/cache/cacheable.ts";
import { coverage, unscannableReasons } from "../../src/core/verdict.ts";

const key = { sha256: "0a".repeat(32), tag: "t" };

describe("cacheable", () => {
  test("takes every reason but those that are no property of the bytes", () => {
    const admitted = unscannableReasons.filter(
      (reason) => cacheable(key, { kind: "unscannable", reason, heuristic: null }, 1, parseVerdict) !== null,
    );
    assert.deepEqual(admitted, ["limit-size", "limit-files", "limit-recursion", "encrypted", "unsupported", "too-large"]);
  });

  test("takes none that is too long to be stored", () => {
    const verdict = (length: number) => ({ kind: "infected" as const, signatures: ["x".repeat(length)] });
    const rest = (storedText(keyId(key) ?? "", verdict(1)) ?? "").length - 1;
    assert.notEqual(cacheable(key, verdict(maxStoredLength - rest), 1, parseVerdict), null);
    assert.equal(cacheable(key, verdict(maxStoredLength - rest + 1), 1, parseVerdict), null);
  });

  test("takes a millisecond for the shortest time", () => {
    assert.equal(cacheable(key, { kind: "clean" }, 0.001, parseVerdict)?.ttlMs, 1);
    assert.equal(cacheable(key, { kind: "clean" }, 0.0009, parseVerdict), null);
  });

  test("refuses a tag that two spellings would share, or that has no end", () => {
    for (const tag of ["\ud800", "x".repeat(257)])
      assert.equal(cacheable({ ...key, tag }, { kind: "clean" }, 1, parseVerdict), null);
    assert.notEqual(cacheable({ ...key, tag: "x".repeat(256) }, { kind: "clean" }, 1, parseVerdict), null);
  });
});

const id = keyId(key) ?? "";
const parseVerdictJson = (json: string) =>
  parseStored(`{"format":2,"logic":${coverage},"key":"${id}","value":${json}}`, id, parseVerdict);

describe("parseStored", () => {
  test("reads what storedText wrote, under the key it was written for", () => {
    const text = storedText(id, { kind: "clean" });
    assert.deepEqual(parseStored(text, id, parseVerdict), { kind: "clean" });
    assert.equal(parseStored(text, `${id}x`, parseVerdict), null);
    assert.equal(parseStored(text, id.slice(1), parseVerdict), null);
  });

  test("reads no other format, and none without one", () => {
    const whole = { format: 2, logic: coverage, key: id, value: { kind: "clean" } };
    assert.notEqual(parseStored(JSON.stringify(whole), id, parseVerdict), null);
    for (const other of [0, 1, 3, "2", null, [2]]) {
      assert.equal(parseStored(JSON.stringify({ ...whole, format: other }), id, parseVerdict), null, `format ${other}`);
    }
    for (const other of [0, coverage - 1, coverage + 1, `${coverage}`, null]) {
      assert.equal(parseStored(JSON.stringify({ ...whole, logic: other }), id, parseVerdict), null, `logic ${other}`);
    }
    for (const missing of ["format", "logic", "key", "value"]) {
      assert.equal(parseStored(JSON.stringify({ ...whole, [missing]: undefined }), id, parseVerdict), null, missing);
    }
    assert.equal(parseStored('{"kind":"clean"}', id, parseVerdict), null);
    assert.equal(
      parseStored(JSON.stringify({ ...whole, onlyFor: "another" }), id, parseVerdict),
      null,
      "a field of a later release",
    );
  });

  test("neither writes nor reads a text that is longer than any value", () => {
    const emptyLength = storedText(id, "")?.length ?? 0;
    const longest = "x".repeat(maxStoredLength - emptyLength);
    const text = storedText(id, longest);
    assert.equal(text?.length, maxStoredLength);
    const asIs = (value: unknown) => value;
    assert.equal(parseStored(text, id, asIs), longest);
    assert.equal(storedText(id, `${longest}x`), null);
    assert.equal(parseStored(`${text} `, id, asIs), null);
    assert.equal(parseStored(undefined, id, asIs), null);
  });
});

describe("parseStored of a verdict", () => {
  test("reads what was written", () => {
    assert.deepEqual(parseVerdictJson('{"kind":"clean"}'), { kind: "clean" });
    assert.deepEqual(parseVerdictJson('{"kind":"infected","signatures":["X"]}'), { kind: "infected", signatures: ["X"] });
  });

  test("answers null for everything else", () => {
    const wrong = [
      "",
      "clean",
      '"clean"',
      "null",
      "[]",
      "{}",
      '{"kind":"CLEAN"}',
      '{"kind":"clean","signatures":["X"]}',
      '{"kind":"clean","but":"not for all"}',
      '{"kind":"infected","signatures":["X"],"but":"not for all"}',
      '{"kind":"unscannable","reason":"encrypted","heuristic":null,"but":"not for all"}',
      '{"kind":["clean"]}',
      '{"kind":"clean"',
      '{"kind":"clean"}x',
      '{"kind":"infected"}',
      '{"kind":"infected","signatures":[]}',
      '{"kind":"infected","signatures":"X"}',
      '{"kind":"infected","signatures":["X",1]}',
      '{"kind":"infected","signatures":[""]}',
      '{"kind":"unscannable","reason":"encrypted"}',
      '{"kind":"unscannable","reason":"encrypted","heuristic":1}',
      '{"kind":"unscannable","reason":"limit-time","heuristic":null}',
      '{"kind":"unscannable","reason":"poison","heuristic":null}',
      '{"kind":"unscannable","reason":"tired","heuristic":null}',
      '{"kind":"unscannable","heuristic":null}',
      '{"__proto__":{"kind":"clean"}}',
    ];
    for (const text of wrong) assert.equal(parseVerdictJson(text), null, text);
    for (const value of [null, undefined, 1, {}, new Uint8Array(3)]) assert.equal(parseStored(value, id, parseVerdict), null);
  });

  test("never makes a verdict of any other JSON, nor throws", () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
        assert.equal(parseVerdictJson(text), null);
      }),
    );
  });
});
