import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type FreshclamRun, interpretFreshclam } from "../../../src/signatures/freshclam/freshclam-outcome.ts";

const at = "Sun Nov 22 14:08:44 2026 -> ";
const started = `${at}ClamAV update process started at Sun Nov 22 14:08:44 2026`;
const noDns = `WARNING: ${at}DNS Update Info disabled. Falling back to HTTP mode.`;
const failedDaily = [
  `${at}Giving up on http://127.0.0.1:1...`,
  `ERROR: ${at}Update failed for database: daily`,
  `ERROR: ${at}Database update process failed: HTTP GET failed`,
  `ERROR: ${at}Update failed.`,
  "",
];
const until = new Date("2026-11-23T14:08:44");

function run(code: number | null, ...lines: readonly string[]): FreshclamRun {
  return { code, signal: null, lines: [started, noDns, ...lines], timedOut: false, durationMs: 1500 };
}

describe("interpretFreshclam", () => {
  test("knows an update", () => {
    const result = interpretFreshclam(
      run(
        0,
        `${at}daily.cvd updated (version: 27001, sigs: 355901, f-level: 90, builder: raynman)`,
        `${at}main.cvd database is up-to-date (version: 63, sigs: 1, f-level: 90, builder: tomjudge)`,
        `${at}own.ndb updated (version: custom database, sigs: 1)`,
      ),
    );
    assert.deepEqual(result, { outcome: "updated", detail: "daily.cvd 27001, own.ndb custom database", coolDownUntil: null });
  });

  test("knows that nothing is new", () => {
    const lines = [
      `${at}daily.cvd database is up-to-date (version: 27001, sigs: 1, f-level: 90, builder: me)`,
      `${at}own.ndb is up-to-date (version: custom database)`,
    ];
    for (const line of lines) assert.equal(interpretFreshclam(run(0, line)).outcome, "up-to-date");
  });

  test("does not take exit 0 for success by itself", () => {
    assert.equal(interpretFreshclam(run(0)).outcome, "failed");
    assert.equal(interpretFreshclam({ ...run(0), lines: [] }).outcome, "failed");
  });

  test("knows a block, with the end of its cool-down", () => {
    const result = interpretFreshclam(
      run(
        17,
        `ERROR: ${at}Can't download daily.cld from http://127.0.0.1:1/daily.cld`,
        `WARNING: ${at}FreshClam received error code 403 from the ClamAV Content Delivery Network (CDN).`,
        `WARNING: ${at}You are on cool-down until after: 2026-11-23 14:08:44`,
        `ERROR: ${at}Database update process failed: Forbidden; Blocked by CDN`,
        `ERROR: ${at}Update failed.`,
      ),
    );
    assert.equal(result.outcome, "blocked");
    assert.deepEqual(result.coolDownUntil, until);
    assert.equal(interpretFreshclam(run(17)).outcome, "blocked");
  });

  test("knows a rate limit behind exit 0, even when something was updated before it", () => {
    const result = interpretFreshclam(
      run(
        0,
        `${at}daily.cvd updated (version: 27001, sigs: 1, f-level: 90, builder: me)`,
        `WARNING: ${at}FreshClam received error code 429 from the ClamAV Content Delivery Network (CDN).`,
        `WARNING: ${at}You are on cool-down until after: 2026-11-23 14:08:44`,
      ),
    );
    assert.equal(result.outcome, "rate-limited");
    assert.deepEqual(result.coolDownUntil, until);
  });

  const still = [
    `WARNING: ${at}FreshClam previously received error code 429 or 403 from the ClamAV Content Delivery Network (CDN).`,
    `WARNING: ${at}You are still on cool-down until after: 2026-11-23 14:08:44`,
  ];

  test("knows a cool-down that goes on, and from the run before whether it is a block", () => {
    assert.equal(interpretFreshclam(run(0, ...still)).outcome, "rate-limited");
    const blocked = { outcome: "blocked", detail: "", coolDownUntil: until } as const;
    assert.equal(interpretFreshclam(run(0, ...still), blocked).outcome, "blocked");
    assert.equal(interpretFreshclam(run(0, ...still), { ...blocked, coolDownUntil: new Date(0) }).outcome, "rate-limited");
    assert.equal(interpretFreshclam(run(0, ...still), { ...blocked, outcome: "failed" }).outcome, "rate-limited");
  });

  test("says failed, not limited, once a cool-down is over", () => {
    const over = [`WARNING: ${at}Cool-down expired, ok to try again.`, ...failedDaily];
    assert.equal(interpretFreshclam(run(11, ...over)).outcome, "failed");
  });

  const failures: readonly (readonly [string, number, readonly string[], string])[] = [
    [
      "a file that is missing",
      11,
      [`WARNING: ${at}remote_cvdhead: file not found: http://127.0.0.1:1/daily.cld`, ...failedDaily],
      "exit 11: download failed: remote_cvdhead: file not found: http://127.0.0.1:1/daily.cld",
    ],
    [
      "a hang",
      11,
      [`ERROR: ${at}remote_cvdhead: Download failed (28) ERROR: ${at} Message: Timeout was reached`, ...failedDaily],
      "exit 11: download failed: remote_cvdhead: Download failed (28) Message: Timeout was reached",
    ],
    [
      "a header that makes no sense",
      11,
      [
        `WARNING: ${at}[LibClamAV] cli_cvdparse: Not a CVD file`,
        `ERROR: ${at}remote_cvdhead: Malformed CVD header (can't parse)`,
        ...failedDaily,
      ],
      "exit 11: download failed: remote_cvdhead: Malformed CVD header (can't parse)",
    ],
    [
      "a database that does not load",
      8,
      [
        `${at}Testing database: '/db/tmp.1/clamav-2.tmp-bad.ndb' ...`,
        `ERROR: ${at}Failed to load new database: Malformed database`,
      ],
      "exit 8: the new database does not load: Failed to load new database: Malformed database",
    ],
    ["no reason", 14, [], "exit 14: update failed"],
    ["an unheard-of code", 99, [], "exit 99: unknown"],
  ];
  for (const [name, code, lines, detail] of failures) {
    test(`tells of ${name}`, () =>
      assert.deepEqual(interpretFreshclam(run(code, ...lines)), { outcome: "failed", detail, coolDownUntil: null }));
  }

  test("tells of a run that was stopped or killed", () => {
    assert.equal(interpretFreshclam({ ...run(null), timedOut: true, durationMs: 900_400 }).detail, "stopped after 900 s");
    assert.equal(interpretFreshclam({ ...run(null), signal: "SIGSEGV" }).detail, "ended by SIGSEGV");
  });

  test("keeps passwords and tokens out of the detail", () => {
    const line = `WARNING: ${at}downloadFile: file not found: https://user:secret@example.test/a.ndb?token=secret`;
    const { detail } = interpretFreshclam(run(11, line));
    assert.doesNotMatch(detail, /secret/);
    assert.match(detail, /https:\/\/example\.test\/a\.ndb/);
  });

  test("reads the log's order of time and level as well as the terminal's", () => {
    const result = interpretFreshclam(run(11, `${at}ERROR: remote_cvdhead: Malformed CVD header (too short)`));
    assert.equal(result.detail, "exit 11: download failed: remote_cvdhead: Malformed CVD header (too short)");
  });

  test("shortens a line without end", () => {
    assert.ok(interpretFreshclam(run(11, `ERROR: ${"x".repeat(100_000)}`)).detail.length < 400);
  });
});
