import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { judgeReadiness, type ReadinessCheck, type ReadinessState } from "../../../src/front/ops/readiness.ts";

const hour = 3_600_000;
const now = Date.UTC(2026, 0, 3);

const good: ReadinessState = {
  isStopping: false,
  backendsUp: 2,
  backendsBusy: 0,
  backendsTotal: 2,
  lacking: [],
  backendsBehind: 0,
  isAlike: true,
  signatures: { loaded: true, isTestOnly: false, builtAt: new Date(now - hour), requireReal: true, keptOut: [] },
  maxDatabaseAgeMs: 24 * hour,
  now,
  cacheDegraded: false,
};

function withSignatures(changes: Partial<ReadinessState["signatures"]>): ReadinessState {
  return { ...good, signatures: { ...good.signatures, ...changes } };
}

function builtAgo(ageMs: number): ReadinessState {
  return withSignatures({ builtAt: new Date(now - ageMs) });
}

/** The status, and the checks that are not as they should be. */
function judged(state: ReadinessState): [string, ReadinessCheck["name"][]] {
  const { status, checks } = judgeReadiness(state);
  return [status, checks.filter(({ ok }) => !ok).map(({ name }) => name)];
}

describe("judgeReadiness", () => {
  test("is ready when all is well, and says so check by check", () => {
    assert.deepEqual(judgeReadiness(good), {
      status: "ready",
      checks: [
        { name: "running", ok: true, detail: "running" },
        { name: "engine", ok: true, detail: "2 of 2 backends up" },
        { name: "alerts", ok: true, detail: "what is not looked into is reported" },
        { name: "alike", ok: true, detail: "all backends are alike" },
        { name: "signatures", ok: true, detail: "loaded" },
        { name: "signature-age", ok: true, detail: "1.0 h old, allowed 24.0 h" },
        { name: "cache", ok: true, detail: "working" },
      ],
    });
  });

  test("is not ready from the moment it stops, however well the rest is", () => {
    assert.deepEqual(judged({ ...good, isStopping: true }), ["not-ready", ["running"]]);
  });

  test("is not ready without a backend that is up", () => {
    assert.deepEqual(judged({ ...good, backendsUp: 0 }), ["not-ready", ["engine"]]);
    assert.deepEqual(judged({ ...good, backendsUp: 0, backendsTotal: 0 }), ["not-ready", ["engine"]]);
  });

  test("is degraded while some backends are down", () => {
    assert.deepEqual(judged({ ...good, backendsUp: 1 }), ["degraded", ["engine"]]);
    assert.deepEqual(judged({ ...good, backendsBusy: 2 }), ["degraded", ["engine"]]);
  });

  test("is degraded while a given clamd calls clean what it skips, and names the lines", () => {
    const state = { ...good, lacking: ["AlertEncryptedDoc yes", "AlertExceedsMax yes"] };
    assert.deepEqual(judged(state), ["degraded", ["alerts"]]);
    const detail = judgeReadiness(state).checks.find(({ name }) => name === "alerts")?.detail ?? "";
    assert.match(detail, /lacks: AlertEncryptedDoc yes, AlertExceedsMax yes$/);
  });

  test("is degraded while backends differ, and counts those that get nothing", () => {
    assert.deepEqual(judged({ ...good, isAlike: false }), ["degraded", ["alike"]]);
    const { checks } = judgeReadiness({ ...good, isAlike: false, backendsBehind: 1 });
    assert.match(checks.find(({ name }) => name === "alike")?.detail ?? "", /; 1 behind the others/);
  });

  test("is not ready without signatures", () => {
    assert.deepEqual(judged({ ...withSignatures({ loaded: false, builtAt: null }), maxDatabaseAgeMs: null }), [
      "not-ready",
      ["signatures"],
    ]);
  });

  test("is degraded with test signatures, and not ready with them in production", () => {
    const testOnly = { isTestOnly: true, builtAt: null };
    const withoutAge = { maxDatabaseAgeMs: null };
    assert.deepEqual(judged({ ...withSignatures({ ...testOnly, requireReal: false }), ...withoutAge }), [
      "degraded",
      ["signatures"],
    ]);
    assert.deepEqual(judged({ ...withSignatures({ ...testOnly, requireReal: true }), ...withoutAge }), [
      "not-ready",
      ["signatures"],
    ]);
  });

  test("is degraded while signatures are kept out, and names what and why, but not at length", () => {
    const bad = { file: "bad.ndb", reason: "Malformed database" };
    const detailOf = (changes: Partial<ReadinessState["signatures"]>) =>
      judgeReadiness(withSignatures(changes)).checks.find(({ name }) => name === "signatures")?.detail;
    assert.deepEqual(judged(withSignatures({ keptOut: [bad] })), ["degraded", ["signatures"]]);
    assert.equal(detailOf({ keptOut: [bad] }), "loaded; kept out: bad.ndb (Malformed database)");
    assert.equal(
      detailOf({ keptOut: [bad, { file: null, reason: "clamd was lost" }] }),
      "loaded; kept out: bad.ndb (Malformed database), the newest set (clamd was lost)",
    );
    const many = Array.from({ length: 100 }, (_, index) => ({ file: `${index}.ndb`, reason: "x".repeat(10_000) }));
    assert.match(detailOf({ keptOut: many }) ?? "", /, and 95 more$/);
    assert.equal((detailOf({ keptOut: many }) ?? "").length < 1_200, true);
    assert.equal(detailOf({ loaded: false, keptOut: [bad] }), "none loaded; kept out: bad.ndb (Malformed database)");
    const testOnly = { isTestOnly: true, keptOut: [bad] };
    assert.deepEqual(judged(withSignatures({ ...testOnly, requireReal: false })), ["degraded", ["signatures"]]);
    assert.deepEqual(judged(withSignatures(testOnly)), ["not-ready", ["signatures"]]);
  });

  test("is ready at the age that is allowed and not a millisecond later", () => {
    assert.deepEqual(judged(builtAgo(24 * hour - 1)), ["ready", []]);
    assert.deepEqual(judged(builtAgo(24 * hour)), ["ready", []]);
    assert.deepEqual(judged(builtAgo(24 * hour + 1)), ["not-ready", ["signature-age"]]);
  });

  test("allows any age where no limit is set", () => {
    assert.deepEqual(judged({ ...builtAgo(10_000 * hour), maxDatabaseAgeMs: null }), ["ready", []]);
    assert.deepEqual(judged({ ...withSignatures({ builtAt: null }), maxDatabaseAgeMs: null }), ["ready", []]);
  });

  test("takes an unknown age for no age under the limit", () => {
    assert.deepEqual(judged(withSignatures({ builtAt: null })), ["not-ready", ["signature-age"]]);
    assert.deepEqual(judged(withSignatures({ builtAt: new Date(Number.NaN) })), ["not-ready", ["signature-age"]]);
  });

  test("takes signatures from a clock ahead of ours for new", () => {
    assert.deepEqual(judged(builtAgo(-hour)), ["ready", []]);
  });

  test("is degraded, never more, while the cache is broken", () => {
    assert.deepEqual(judged({ ...good, cacheDegraded: true }), ["degraded", ["cache"]]);
  });

  test("names everything that is wrong at once", () => {
    const state = { ...withSignatures({ loaded: false, builtAt: null }), isStopping: true, backendsUp: 0, cacheDegraded: true };
    assert.deepEqual(judged(state), ["not-ready", ["running", "engine", "signatures", "signature-age", "cache"]]);
  });
});
