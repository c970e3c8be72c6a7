import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { asMarkdown, asText, type Report } from "../../bench/report.ts";
import { outcomeOf, type Row } from "../../bench/row.ts";

const row = (median: number, target: Row["target"]): Row => ({
  scenario: "one",
  what: "something",
  target,
  measured: { count: 3, min: median / 2, median, max: median * 2 },
  unit: "×",
  figures: [
    {
      name: "subject",
      unit: "/s",
      spread: { count: 3, min: 1, median: 2, max: 3 },
      processes: { gateway: { cores: 0.5, perRequest: 0.25 } },
    },
  ],
});

const report = (rows: readonly Row[]): Report => ({
  date: "2026-01-02T03:04:05.000Z",
  machine: {
    processor: "one",
    cores: 2,
    memoryGb: 8,
    system: "Linux",
    node: "v26",
    clamd: "ClamAV",
    clamgate: "0",
    loadBefore: 0.1,
  },
  rounds: 5,
  seconds: 2,
  isQuick: false,
  minutes: 10,
  rows,
  left: [{ scenario: "other", reason: "it is not installed" }],
});

describe("outcomeOf", () => {
  test("takes the bar itself as met, on either side", () => {
    assert.equal(outcomeOf(row(0.95, { atLeast: 0.95 })), "pass");
    assert.equal(outcomeOf(row(0.949, { atLeast: 0.95 })), "FAIL");
    assert.equal(outcomeOf(row(3, { atMost: 3 })), "pass");
    assert.equal(outcomeOf(row(3.01, { atMost: 3 })), "FAIL");
  });

  test("decides nothing on a round or two, unless one measurement is all there is", () => {
    const few = row(1, { atLeast: 0.95 });
    const measured = { ...few.measured, count: 2 };
    assert.equal(outcomeOf({ ...few, measured }), "too few rounds");
    assert.equal(outcomeOf({ ...few, measured, isOneShot: true }), "pass");
  });

  test("takes nothing measured as not met", () => {
    assert.equal(outcomeOf(row(Number.NaN, { atLeast: 0.95 })), "FAIL");
    assert.equal(outcomeOf(row(Number.NaN, { atMost: 3 })), "FAIL");
  });
});

describe("the report", () => {
  test("says in the table what failed, what passed, and what was not measured", () => {
    const made = report([row(1, { atLeast: 0.95 }), row(0.5, { atLeast: 0.95 }), row(1, null)]);
    for (const text of [asText(made), asMarkdown(made)]) {
      assert.equal(text.match(/pass/g)?.length, 1);
      assert.equal(text.match(/FAIL/g)?.length, 1);
      assert.match(text, /other: it is not installed/);
    }
  });

  test("names the machine, the spread and the cores in use", () => {
    const text = asMarkdown(report([row(1, { atLeast: 0.95 })]));
    assert.match(text, /2 cores/);
    assert.match(text, /1\.00 \(0\.50-2\.00\) ×/);
    assert.match(text, /gateway 0\.50/);
  });
});
