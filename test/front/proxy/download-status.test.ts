import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ClamgateError, errorCodes } from "../../../src/core/errors.ts";
import { downloadStatus } from "../../../src/front/proxy/own-answer.ts";
import { head, keep } from "../../fake/origin.ts";
import { openProxy } from "./proxy-stage.ts";

describe("every error (3.4, P7)", () => {
  for (const code of errorCodes.filter((known) => known !== "client-gone")) {
    test(`${code} has its status, its public words and nothing else`, async () => {
      const scan = () => Promise.reject(new ClamgateError(code, "In public", { detail: "10.1.2.3 in private" }));
      await using proxy = await openProxy(() => keep(head(200, "Content-Length: 1", "X-Secret: 1"), "x"), { front: { scan } });
      const answer = await proxy.get("/x", ["Cache-Scan: true"]);
      assert.equal(answer.status, downloadStatus[code]);
      assert.equal(answer.body.toString(), '{"detail":"In public"}');
      assert.equal(answer.header("content-type"), "application/json");
      assert.equal(answer.header("cache-control"), "no-store");
      assert.equal(answer.header("retry-after"), downloadStatus[code] === 503 ? "5" : undefined);
      assert.equal(answer.header("x-secret"), undefined);
      assert.doesNotMatch(answer.lines.join(), /private/);
      assert.equal(proxy.urls.entries.size, 0);
    });
  }

  test("that has passed the gateway as something unknown says no more than that", async () => {
    const scan = () => Promise.reject(new TypeError("x is not a function"));
    await using proxy = await openProxy(() => keep(head(200, "Content-Length: 1"), "x"), { front: { scan } });
    const answer = await proxy.get("/x");
    assert.deepEqual([answer.status, answer.body.toString()], [500, '{"detail":"Internal error"}']);
  });

  test("is final where trying again is of no use, and not where it may help", () => {
    for (const code of ["too-large", "malformed", "forbidden"] as const) assert.ok(downloadStatus[code] < 500);
    for (const code of ["upstream-failed", "upstream-timeout", "queue-full", "spool-full", "scan-timeout", "stopping"] as const)
      assert.ok(downloadStatus[code] >= 500);
  });
});
