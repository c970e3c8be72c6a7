import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { watchTroubles } from "../../src/app/troubles.ts";

describe("watchTroubles", () => {
  test("counts ends of clamd for an hour, but not those that were wanted, nor others'", () => {
    let now = 0;
    const troubles = watchTroubles(() => now);
    const exit = { kind: "child-exited", reason: "signal SIGSEGV" } as const;
    troubles.emit({ ...exit, child: "clamd", restartInMs: 1_000 });
    troubles.emit({ ...exit, child: "clamd", restartInMs: null });
    troubles.emit({ ...exit, child: "freshclam", restartInMs: 1_000 });
    assert.equal(troubles.restarts(), 1);
    now = 1_800_000;
    troubles.emit({ ...exit, child: "clamd", restartInMs: 1_000 });
    assert.equal(troubles.restarts(), 2);
    now = 3_600_000;
    assert.equal(troubles.restarts(), 1);
    now = 5_400_000;
    assert.equal(troubles.restarts(), 0);
  });

  test("tells for a minute that a body has found no room", () => {
    let now = 0;
    const troubles = watchTroubles(() => now);
    assert.equal(troubles.isSpoolRefusing(), false);
    const failed = { kind: "scan-failed", via: "rest", requestId: "1", name: "a", detail: "", seconds: 0 } as const;
    troubles.emit({ ...failed, code: "too-large" });
    assert.equal(troubles.isSpoolRefusing(), false);
    troubles.emit({ ...failed, code: "spool-full" });
    assert.equal(troubles.isSpoolRefusing(), true);
    now = 59_999;
    assert.equal(troubles.isSpoolRefusing(), true);
    now = 60_000;
    assert.equal(troubles.isSpoolRefusing(), false);
  });
});
