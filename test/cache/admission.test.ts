import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { admit, keyId, maxStoredLength, parseStored, parseVerdict, storedText } from "../../src/cache/admission.ts";
import { unscannableReasons } from "../../src/core/verdict.ts";

const key = { sha256: "0a".repeat(32), tag: "t" };

describe("admit", () => {
  test("admits every reason but those that are no property of the bytes", () => {
    const admitted = unscannableReasons.filter(
      (reason) => admit(key, { kind: "unscannable", reason, heuristic: null }, 1, parseVerdict) !== null,
    );
    assert.deepEqual(admitted, ["limit-size", "limit-files", "limit-recursion", "encrypted", "unsupported", "too-large"]);
  });

  test("takes a millisecond for the shortest time", () => {
    assert.equal(admit(key, { kind: "clean" }, 0.001, parseVerdict)?.ttlMs, 1);
    assert.equal(admit(key, { kind: "clean" }, 0.0009, parseVerdict), null);
  });

  test("refuses a tag that two spellings would share, or that has no end", () => {
    for (const tag of ["\ud800", "x".repeat(257)]) assert.equal(admit({ ...key, tag }, { kind: "clean" }, 1, parseVerdict), null);
    assert.notEqual(admit({ ...key, tag: "x".repeat(256) }, { kind: "clean" }, 1, parseVerdict), null);
  });
});

const id = keyId(key) ?? "";
const parseVerdictJson = (json: string) => parseStored(`{"format":1,"key":"${id}","value":${json}}`, id, parseVerdict);

describe("parseStored", () => {
  test("reads what storedText wrote, under the key it was written for", () => {
    const text = storedText(id, { kind: "clean" });
    assert.deepEqual(parseStored(text, id, parseVerdict), { kind: "clean" });
    assert.equal(parseStored(text, `${id}x`, parseVerdict), null);
    assert.equal(parseStored(text, id.slice(1), parseVerdict), null);
  });

  test("reads no other format, and none without one", () => {
    for (const format of ["0", "2", '"1"', "null", "[1]"]) {
      assert.equal(parseStored(`{"format":${format},"key":"${id}","value":{"kind":"clean"}}`, id, parseVerdict), null, format);
    }
    for (const text of [
      '{"kind":"clean"}',
      `{"key":"${id}","value":{"kind":"clean"}}`,
      `{"format":1,"value":{"kind":"clean"}}`,
    ]) {
      assert.equal(parseStored(text, id, parseVerdict), null, text);
    }
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
  test("reads what was written, and drops what does not belong", () => {
    assert.deepEqual(parseVerdictJson('{"kind":"clean","signatures":["X"]}'), { kind: "clean" });
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
