import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ClamdStatement, readLogLine } from "../../src/clamd/log-lines.ts";

/** As clamd 1.4.6 and libclamav write them. */
const lines: Readonly<Record<string, readonly ClamdStatement[]>> = {
  "Activating the newly loaded database...": [{ kind: "activates" }],
  "LibClamAV Error: cli_untar: only wrote 12 bytes": [
    { kind: "write-failed" },
    { kind: "error", reason: "cli_untar: only wrote 12 bytes" },
  ],
  "LibClamAV Error: cli_writen: write error: No space left on device": [
    { kind: "write-failed" },
    { kind: "shortage" },
    { kind: "error", reason: "cli_writen: write error: No space left on device" },
  ],
  "ERROR: reload_th: Database load failed: Malformed database": [{ kind: "load-fault" }],
  "Database reload failed, keeping the previous instance": [{ kind: "reload-failed" }],
  "LibClamAV Error: Can't load /epochs/current/a: b.ndb: Malformed database": [
    { kind: "load-fault" },
    { kind: "file-refused", file: "a: b.ndb", reason: "Can't load a: b.ndb: Malformed database" },
  ],
  "LibClamAV Error: yyerror(): /epochs/current/r.yar line 3 undefined identifier": [
    { kind: "rule-refused", reason: "line 3: undefined identifier" },
  ],
  "LibClamAV Warning: cli_loadyara: failed to parse or load 1 yara rules from file /epochs/current/r.yar, successfully loaded 2 rules.":
    [{ kind: "rules-skipped", file: "r.yar", reason: "1 of its rules do not compile, 2 are in use" }],
  "Reading databases from /epochs/current": [],
  "": [],
};

describe("readLogLine", () => {
  for (const [line, statements] of Object.entries(lines)) {
    test(`tells ${statements.map(({ kind }) => kind).join(" and ") || "nothing"} of "${line.slice(0, 60)}"`, () => {
      assert.deepEqual(readLogLine(line), statements);
    });
  }
});
