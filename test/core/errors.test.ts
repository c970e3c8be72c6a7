import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ClamgateError, toClamgateError } from "../../src/core/errors.ts";

describe("toClamgateError", () => {
  test("leaves an error of ours as it is", () => {
    const error = new ClamgateError("queue-full", "Too many", { detail: "tcp://192.0.2.1" });
    assert.equal(toClamgateError(error), error);
  });

  test("makes anything else internal, keeps it as the cause, and shows the client nothing of it", () => {
    for (const [thrown, detail] of [
      [new TypeError("/secret/path"), "/secret/path"],
      ["text", "text"],
      [undefined, "undefined"],
    ] as const) {
      const error = toClamgateError(thrown);
      assert.deepEqual(
        [error.code, error.publicMessage, error.detail, error.cause],
        ["internal", "Internal error", detail, thrown],
      );
    }
  });
});
