import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ClamgateError, errorCodes } from "../../../src/core/errors.ts";
import { unscannableReasons, type Verdict } from "../../../src/core/verdict.ts";
import { formatGoStruct, formatJson, resultOfError, resultOfScan } from "../../../src/front/rest/result.ts";
import { errorStatus } from "../../../src/front/rest/status.ts";
import { realVersion } from "./fake-scan.ts";

function scanned(verdict: Verdict, isAllowed = verdict.kind === "clean") {
  const relaxedFor = verdict.kind === "unscannable" && isAllowed ? verdict.reason : null;
  const report = { verdict, sha256: "00", size: 1, engine: realVersion, isCached: false, isRemembered: false, elapsedMs: 1 };
  return { report, decision: { isAllowed, relaxedFor } };
}

describe("resultOfScan", () => {
  test("says OK without a description for a clean body (rest.md 10)", () => {
    assert.equal(
      formatJson(resultOfScan(scanned({ kind: "clean" }), "test.txt")),
      '{"Status":"OK","Description":"","FileName":"test.txt"}',
    );
  });

  test("names the first signature of an infected body with 406 (rest.md 12)", () => {
    const result = resultOfScan(scanned({ kind: "infected", signatures: ["Win.One", "Win.Two"] }), "");
    assert.deepEqual(result, { status: "FOUND", description: "Win.One", fileName: "", httpStatus: 406 });
  });

  test("is 406 also for an infected body without a name", () => {
    assert.equal(resultOfScan(scanned({ kind: "infected", signatures: [] }), "").httpStatus, 406);
  });

  test("never says OK for what the policy blocks", () => {
    assert.equal(resultOfScan(scanned({ kind: "clean" }, false), "").httpStatus, 406);
  });

  for (const reason of unscannableReasons) {
    test(`blocks an unscannable body with a name where the engine has none: ${reason}`, () => {
      const result = resultOfScan(scanned({ kind: "unscannable", reason, heuristic: null }), "");
      if (reason === "too-large") return assert.equal(result.httpStatus, 413);
      assert.equal(result.httpStatus, 406);
      assert.match(result.description, /^Heuristics\.Clamgate\.[A-Za-z]+$/);
    });

    test(`says OK where the policy lets it pass: ${reason}`, () => {
      const result = resultOfScan(scanned({ kind: "unscannable", reason, heuristic: "Heuristics.X" }, true), "");
      assert.deepEqual(result, { status: "OK", description: "", fileName: "", httpStatus: 200 });
    });
  }

  test("keeps the engine's name for what it could not look into (rest.md 15)", () => {
    const heuristic = "Heuristics.Limits.Exceeded.MaxScanSize";
    const result = resultOfScan(scanned({ kind: "unscannable", reason: "limit-size", heuristic }), "");
    assert.deepEqual([result.status, result.description, result.httpStatus], ["FOUND", heuristic, 406]);
  });
});

describe("resultOfError", () => {
  test("says what clamav-rest says of a body that is too large (rest.md 13)", () => {
    const result = resultOfError(new ClamgateError("too-large", "x"), "big");
    assert.equal(formatJson(result), '{"Status":"PARSE ERROR","Description":"File size limit exceeded","FileName":"big"}');
    assert.equal(result.httpStatus, 413);
  });

  for (const code of errorCodes.filter((code) => code !== "too-large")) {
    test(`shows the public message of ${code} and nothing else`, () => {
      const error = new ClamgateError(code, "In public", { detail: "/secret", cause: new Error("secret") });
      assert.deepEqual(resultOfError(error, ""), {
        status: "ERROR",
        description: "In public",
        fileName: "",
        httpStatus: errorStatus[code],
      });
    });
  }
});

describe("formatGoStruct (rest.md 35)", () => {
  const cases = [
    ["OK", "", 200, "{OK   200}"],
    ["FOUND", "Win.Test.EICAR_HDB-1", 406, "{FOUND Win.Test.EICAR_HDB-1  406}"],
    ["PARSE ERROR", "Regex had no matches", 412, "{PARSE ERROR Regex had no matches  412}"],
  ] as const;
  for (const [status, description, httpStatus, text] of cases) {
    test(`writes ${text}`, () => assert.equal(formatGoStruct({ status, description, fileName: "", httpStatus }), text));
  }
});
