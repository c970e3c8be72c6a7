import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { EngineVersion } from "../../../src/core/verdict.ts";
import { judgeFreshness } from "../../../src/front/ops/ops-routes.ts";

const now = Date.UTC(2026, 0, 3);

function builtAgo(ageMs: number | null): EngineVersion {
  const databaseTime = ageMs === null ? null : new Date(now - ageMs);
  return { engine: "1.4.6", database: 27800, databaseTime, databaseDate: "", tag: "abc" };
}

function judged(version: EngineVersion | null): string {
  return judgeFreshness({ version, maxAgeHours: 48, now });
}

describe("judgeFreshness", () => {
  test("calls signatures fresh up to the hour and old after it", () => {
    const limit = 48 * 3_600_000;
    assert.equal(judged(builtAgo(limit - 1)), "fresh");
    assert.equal(judged(builtAgo(limit)), "fresh");
    assert.equal(judged(builtAgo(limit + 1)), "old");
  });

  test("calls an engine without a daily database, or with a date nobody can read, old", () => {
    assert.equal(judged(builtAgo(null)), "old");
    assert.equal(judged(builtAgo(Number.NaN)), "old");
  });

  test("knows nothing without an engine", () => {
    assert.equal(judged(null), "unknown");
  });
});
