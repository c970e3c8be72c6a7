import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { judgeReadiness, type ReadinessCheck, type ReadinessState } from "../../../src/front/ops/readiness.ts";

const hour = 3_600_000;
const now = Date.UTC(2026, 0, 3);
const gibibyte = 1024 ** 3;
const daily = { name: "daily", version: 27_800, builtAt: new Date(now - hour) };

const good: ReadinessState = {
  isStopping: false,
  startingMs: null,
  backendsUp: 2,
  backendsBusy: 0,
  backendsTotal: 2,
  restarts: 0,
  lacking: [],
  backendsBehind: 0,
  isAlike: true,
  signatures: {
    loaded: true,
    isTestOnly: false,
    builtAt: new Date(now - hour),
    requireReal: true,
    files: { official: [daily], own: [] },
    keptOut: [],
  },
  maxDatabaseAgeMs: 24 * hour,
  warnDatabaseAgeMs: null,
  now,
  spool: { fileBytes: 0, maxFileBytes: 100, disk: { freeBytes: 50 * gibibyte, totalBytes: 100 * gibibyte }, isRefusing: false },
  certificate: null,
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
        { name: "signatures", ok: true, detail: "loaded: daily 27800 of 2026-01-02" },
        { name: "signature-age", ok: true, detail: "1.0 h old, allowed 24.0 h" },
        { name: "spool", ok: true, detail: "0 % of SPOOL_MAX in use, 51200 MiB free on its disk" },
        { name: "certificate", ok: true, detail: "no TLS" },
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
    assert.equal(detailOf({ keptOut: [bad] }), "loaded: daily 27800 of 2026-01-02; kept out: bad.ndb (Malformed database)");
    assert.equal(
      detailOf({ keptOut: [bad, { file: null, reason: "clamd was lost" }] }),
      "loaded: daily 27800 of 2026-01-02; kept out: bad.ndb (Malformed database), the newest set (clamd was lost)",
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

  test("is degraded from the age on that is to be told, and not where none is", () => {
    const warned = { maxDatabaseAgeMs: null, warnDatabaseAgeMs: 72 * hour };
    assert.deepEqual(judged({ ...builtAgo(72 * hour), ...warned }), ["ready", []]);
    assert.deepEqual(judged({ ...builtAgo(72 * hour + 1), ...warned }), ["degraded", ["signature-age"]]);
    assert.deepEqual(judged({ ...withSignatures({ builtAt: null }), ...warned }), ["ready", []]);
    assert.deepEqual(judged({ ...builtAgo(72 * hour + 1), maxDatabaseAgeMs: null }), ["ready", []]);
  });

  test("is degraded without an official database, and names those there are", () => {
    const main = { name: "main", version: 62, builtAt: new Date(now - 1000 * hour) };
    const detailOf = (changes: Partial<ReadinessState["signatures"]>) =>
      judgeReadiness(withSignatures(changes)).checks.find(({ name }) => name === "signatures");
    assert.equal(
      detailOf({ files: { official: [daily, main], own: ["a.ndb", "b.hdb"] } })?.detail,
      "loaded: daily 27800 of 2026-01-02, main 62 of 2025-11-22, 2 files of your own",
    );
    assert.deepEqual(judged(withSignatures({ files: { official: [], own: ["a.ndb"] } })), ["degraded", ["signatures"]]);
    assert.deepEqual(detailOf({ files: { official: [], own: ["a.ndb"] } }), {
      name: "signatures",
      ok: false,
      detail: "loaded: 1 file of your own",
      action: "no official database: only what your own files name is found",
    });
    assert.deepEqual(judged(withSignatures({ files: null })), ["ready", []]);
    assert.deepEqual(judged({ ...withSignatures({ files: null, builtAt: null }), maxDatabaseAgeMs: null }), [
      "degraded",
      ["signatures"],
    ]);
  });

  test("is loading while the engine starts, and not when one was lost or it stops", () => {
    const starting = { ...withSignatures({ loaded: false, builtAt: null }), startingMs: 6_200, backendsUp: 0 };
    assert.deepEqual(judged(starting), ["loading", ["engine", "signatures", "signature-age"]]);
    const engine = judgeReadiness(starting).checks.find(({ name }) => name === "engine");
    assert.equal(engine?.detail, "0 of 2 backends up; starting for 6 s");
    assert.equal(judged({ ...starting, startingMs: null })[0], "not-ready");
    assert.equal(judged({ ...starting, isStopping: true })[0], "not-ready");
  });

  test("is degraded for an hour after clamd has ended by itself", () => {
    assert.deepEqual(judged({ ...good, restarts: 1 }), ["degraded", ["engine"]]);
    const { checks } = judgeReadiness({ ...good, restarts: 3 });
    assert.match(
      checks.find(({ name }) => name === "engine")?.detail ?? "",
      /clamd has ended by itself 3 times within the last hour$/,
    );
  });

  test("is degraded while the spool refuses or has little room, of its quota or its disk", () => {
    const withSpool = (changes: Partial<ReadinessState["spool"]>) => judged({ ...good, spool: { ...good.spool, ...changes } });
    const spoolIsLow = ["degraded", ["spool"]];
    assert.deepEqual(withSpool({ isRefusing: true }), spoolIsLow);
    assert.deepEqual(withSpool({ fileBytes: 90 }), ["ready", []]);
    assert.deepEqual(withSpool({ fileBytes: 91 }), spoolIsLow);
    assert.deepEqual(withSpool({ disk: { freeBytes: gibibyte, totalBytes: 100 * gibibyte } }), ["ready", []]);
    assert.deepEqual(withSpool({ disk: { freeBytes: gibibyte - 1, totalBytes: 100 * gibibyte } }), spoolIsLow);
    assert.deepEqual(withSpool({ disk: { freeBytes: 11, totalBytes: 100 } }), ["ready", []]);
    assert.deepEqual(withSpool({ disk: { freeBytes: 9, totalBytes: 100 } }), spoolIsLow);
    assert.deepEqual(withSpool({ disk: null }), ["ready", []]);
  });

  test("is degraded in the last week of a certificate, and while a newer one cannot be used", () => {
    const withCertificate = (days: number, fault: string | null = null) =>
      judged({ ...good, certificate: { expiresAt: new Date(now + days * 24 * hour), fault } });
    assert.deepEqual(withCertificate(7), ["ready", []]);
    assert.deepEqual(withCertificate(6.9), ["degraded", ["certificate"]]);
    assert.deepEqual(withCertificate(-1), ["degraded", ["certificate"]]);
    assert.deepEqual(withCertificate(90, "SSL_CERT: no PEM"), ["degraded", ["certificate"]]);
    assert.deepEqual(judged({ ...good, certificate: { expiresAt: null, fault: null } }), ["ready", []]);
  });

  test("says what to do wherever something is not as it should be", () => {
    const bad: ReadinessState = {
      ...withSignatures({ loaded: false, builtAt: null }),
      backendsUp: 0,
      isAlike: false,
      lacking: ["AlertExceedsMax yes"],
      spool: { ...good.spool, isRefusing: true },
      certificate: { expiresAt: null, fault: "gone" },
      cacheDegraded: true,
    };
    const { checks } = judgeReadiness(bad);
    assert.equal(checks.filter(({ ok }) => !ok).length, 8);
    assert.ok(checks.every(({ ok, action }) => ok === (action === undefined)));
  });

  test("is degraded, never more, while the cache is broken", () => {
    assert.deepEqual(judged({ ...good, cacheDegraded: true }), ["degraded", ["cache"]]);
  });

  test("names everything that is wrong at once", () => {
    const state = { ...withSignatures({ loaded: false, builtAt: null }), isStopping: true, backendsUp: 0, cacheDegraded: true };
    assert.deepEqual(judged(state), ["not-ready", ["running", "engine", "signatures", "signature-age", "cache"]]);
  });
});
