import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { describe, test } from "node:test";
import { Ajv } from "ajv";
import addFormats from "ajv-formats";
import { clamscanWriter } from "../../src/cli/formats/clamscan.ts";
import { jsonLinesWriter, jsonWriter } from "../../src/cli/formats/json.ts";
import type { ResultWriter, WriterOptions } from "../../src/cli/formats/result-writer.ts";
import { sarifWriter } from "../../src/cli/formats/sarif.ts";
import { textWriter } from "../../src/cli/formats/text.ts";
import type { Report } from "../../src/cli/library.ts";
import { shownPath, uriOf } from "../../src/cli/path-text.ts";
import { createCount, type Outcome } from "../../src/cli/summary.ts";

const engine = { engine: "1.4.6", database: 27800, databaseTime: "2026-11-27T09:00:00.000Z", tag: "t", testOnly: false };
const options: WriterOptions = {
  listsBlockedOnly: false,
  listsClean: false,
  isColored: false,
  version: "1.2.3",
  directory: "/src",
  now: () => 0,
};

function reportOf(verdict: Report["verdict"], allowedBy: Report["allowedBy"] = null): Report {
  const allowed = allowedBy !== null;
  const rest = { name: "n", type: null, size: 10, sha256: "a".repeat(64), engine, cached: false, elapsedMs: 1 };
  return { allowed, allowedBy, verdict, ...rest };
}

const clean: Outcome = { path: "/src/ok", report: reportOf({ kind: "clean" }, "clean") };
const infected: Outcome = { path: "/src/a #1%?.com", report: reportOf({ kind: "infected", signatures: ["A.Virus", "B.Virus"] }) };
const again: Outcome = { path: Buffer.from([0x78, 0xff]), report: reportOf({ kind: "infected", signatures: ["A.Virus"] }) };
const encrypted = { kind: "unscannable", reason: "encrypted", heuristic: "Heuristics.Encrypted.Zip" } as const;
const locked: Outcome = { path: "/elsewhere/locked.zip", report: reportOf(encrypted) };
const passed: Outcome = { path: "passed.zip", report: reportOf(encrypted, "policy") };
const broken: Outcome = { path: "/src/gone", error: { code: "not-found", message: "no such file" } };
const all = [clean, infected, again, locked, passed, broken];

function written(writer: ResultWriter, outcomes: readonly Outcome[], { isComplete = true, code = 1 } = {}): string {
  const count = createCount(() => 0);
  for (const outcome of outcomes) count.add(outcome);
  return [writer.begin(), ...outcomes.map((outcome) => writer.result(outcome)), writer.end(count.summary(isComplete), code)].join(
    "",
  );
}

interface Sarif {
  readonly runs: readonly [
    {
      readonly results: readonly {
        readonly ruleId: string;
        readonly ruleIndex: number;
        readonly level: string;
        readonly locations: readonly [
          { readonly physicalLocation: { readonly artifactLocation: { readonly uri: string; readonly uriBaseId?: string } } },
        ];
        readonly partialFingerprints: Readonly<Record<string, string>>;
      }[];
      readonly tool: { readonly driver: { readonly rules: readonly { readonly id: string }[] } };
      readonly invocations: readonly [
        {
          readonly executionSuccessful: boolean;
          readonly toolExecutionNotifications: readonly { readonly message: { text: string } }[];
        },
      ];
    },
  ];
}

/** The schema of draft 4 uses nothing that a later one reads in another way. */
const {
  $schema: _,
  id: __,
  ...schema
} = createRequire(import.meta.url)("@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json") as Record<string, unknown>;
const ajv = new Ajv({ strict: false, unicodeRegExp: false, allErrors: true });
addFormats.default(ajv);
const isSarif = ajv.compile(schema);

function sarif(outcomes: readonly Outcome[], how: { readonly isComplete?: boolean; readonly code?: number } = {}): Sarif {
  const document = JSON.parse(written(sarifWriter(options), outcomes, how)) as Sarif;
  assert.ok(isSarif(document), JSON.stringify(isSarif.errors));
  return document;
}

describe("SARIF (C7)", () => {
  test("is valid without findings, with three, and with errors; a wrong one is not", () => {
    assert.deepEqual(sarif([clean], { code: 0 }).runs[0].results, []);
    assert.equal(sarif([infected, locked]).runs[0].results.length, 3);
    assert.equal(sarif(all, { isComplete: false }).runs[0].invocations[0].executionSuccessful, false);
    assert.equal(isSarif({ version: "2.1.0", runs: [{ results: [] }] }), false);
  });

  test("has a rule for each signature, a level for each kind, and the digest as a fingerprint", () => {
    const [{ results, tool, invocations }] = sarif(all).runs;
    assert.deepEqual(
      results.map(({ ruleId, ruleIndex, level }) => [ruleId, ruleIndex, level]),
      [
        ["A.Virus", 0, "error"],
        ["B.Virus", 1, "error"],
        ["A.Virus", 0, "error"],
        ["Heuristics.Encrypted.Zip", 2, "warning"],
        ["Heuristics.Encrypted.Zip", 2, "note"],
      ],
    );
    assert.deepEqual(
      tool.driver.rules.map(({ id }) => id),
      ["A.Virus", "B.Virus", "Heuristics.Encrypted.Zip"],
    );
    assert.equal(results[0]?.partialFingerprints["sha256/v1"], "a".repeat(64));
    assert.equal(invocations[0].executionSuccessful, false);
    assert.match(invocations[0].toolExecutionNotifications[0]?.message.text ?? "", /\/src\/gone: no such file/);
  });

  test("names files by encoded URIs, relative to where the scan ran", () => {
    const places = sarif(all).runs[0].results.map(({ locations }) => locations[0].physicalLocation.artifactLocation);
    assert.deepEqual(places[0], { uri: "a%20%231%25%3F.com", uriBaseId: "%SRCROOT%" });
    assert.deepEqual(places[2], { uri: "x%FF", uriBaseId: "%SRCROOT%" });
    assert.deepEqual(places[3], { uri: "file:///elsewhere/locked.zip" });
    assert.deepEqual(uriOf("/src/ü/..x", "/src"), { uri: "%C3%BC/..x", isRelative: true });
    assert.equal(uriOf("/srcs/x", "/src").isRelative, false);
  });

  test("keeps a bounded number of errors, and counts the others", () => {
    const [{ invocations }] = sarif(Array.from({ length: 1_500 }, () => broken)).runs;
    const told = invocations[0].toolExecutionNotifications;
    assert.equal(told.length, 1_001);
    assert.match(told.at(-1)?.message.text ?? "", /^500 more/);
  });
});

describe("the other formats", () => {
  test("tell what is not clean, and how much there was, as text", () => {
    assert.equal(
      written(textWriter(options), all),
      [
        "infected    /src/a #1%?.com: A.Virus, B.Virus",
        "infected    x\\xff: A.Virus",
        "unscannable /elsewhere/locked.zip: encrypted (Heuristics.Encrypted.Zip)",
        "unscannable passed.zip: encrypted (Heuristics.Encrypted.Zip); let pass by policy",
        "error       /src/gone: no such file",
        "6 files (50 B) in 0.0 s: 1 clean, 2 infected, 2 unscannable, 1 errors, 1 let pass though not clean",
        "ClamAV 1.4.6, signatures 27800 of 2026-11-27",
        "",
      ].join("\n"),
    );
    assert.ok(written(textWriter({ ...options, isColored: true }), [infected]).startsWith("\x1b[31minfected"));
    assert.match(written(textWriter(options), [clean], { isComplete: false }), /NOT ALL was scanned/);
  });

  test("are one document, and a line each, as JSON", () => {
    const document = JSON.parse(written(jsonWriter(options), all)) as { results: unknown[]; summary: unknown; version: number };
    const summary = { files: 6, bytes: 50, clean: 1, infected: 2, unscannable: 2, errors: 1, elapsedMs: 0, complete: true };
    assert.deepEqual([document.version, document.summary, document.results.length], [1, summary, 6]);
    assert.deepEqual(document.results[5], { path: "/src/gone", error: { code: "not-found", message: "no such file" } });
    assert.deepEqual(JSON.parse(written(jsonWriter(options), [])), {
      version: 1,
      results: [],
      engine: null,
      summary: { files: 0, bytes: 0, clean: 0, infected: 0, unscannable: 0, errors: 0, elapsedMs: 0, complete: true },
    });
    const lines = written(jsonLinesWriter({ ...options, listsBlockedOnly: true }), all)
      .trimEnd()
      .split("\n");
    const parsed = lines.map((line) => JSON.parse(line) as { path?: string; summary?: unknown });
    assert.deepEqual(
      parsed.map(({ path }) => path),
      ["/src/a #1%?.com", "x\ufffd", "/elsewhere/locked.zip", "/src/gone", undefined],
    );
    assert.deepEqual(parsed.at(-1)?.summary, summary);
  });

  test("have clamscan's lines and summary", () => {
    assert.equal(
      written(clamscanWriter(options), all),
      [
        "/src/ok: OK",
        "/src/a #1%?.com: A.Virus FOUND",
        "x\\xff: A.Virus FOUND",
        "/elsewhere/locked.zip: Heuristics.Encrypted.Zip FOUND",
        "passed.zip: OK",
        "/src/gone: no such file ERROR",
        "",
        "----------- SCAN SUMMARY -----------",
        "Infected files: 3",
        "Total errors: 1",
        "Time: 0.000 sec (0 m 0 s)",
        "",
      ].join("\n"),
    );
  });

  test("show each byte of a name that is no UTF-8, and nothing that a terminal obeys", () => {
    assert.equal(shownPath(Buffer.from([0xc3, 0xbc, 0xff, 0x1b, 0xc3])), "ü\\xff\\u001b\\xc3");
    assert.equal(shownPath("a\n\u202eb"), "a\\u000a\\u202eb");
  });
});
