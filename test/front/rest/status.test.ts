import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { errorCodes } from "../../../src/core/errors.ts";
import { errorStatus, mostSevere } from "../../../src/front/rest/status.ts";

describe("errorStatus", () => {
  test("calls no error a success", () => {
    for (const code of errorCodes) assert.ok(errorStatus[code] >= 400, code);
  });

  test("says 503 for everything that leaves a body unscanned", () => {
    const unscanned = [
      "source-changed",
      "engine-unavailable",
      "backend-lost",
      "engine-killed",
      "engine-error",
      "scan-timeout",
      "queue-full",
      "queue-timeout",
    ] as const;
    for (const code of [...unscanned, "spool-full", "stopping"] as const) assert.equal(errorStatus[code], 503, code);
  });
});

describe("mostSevere (decided in place of rest.md 21)", () => {
  const order = [406, 503, 500, 502, 504, 508, 413, 408, 400, 403, 412, 422, 200] as const;
  for (const [index, status] of order.entries()) {
    test(`puts ${status} before ${order.slice(index + 1).join(", ") || "nothing"}`, () => {
      for (const other of order.slice(index)) {
        assert.equal(mostSevere([status, other]), status);
        assert.equal(mostSevere([other, status]), status);
      }
    });
  }
  test("is 200 when there is none", () => assert.equal(mostSevere([]), 200));
});
