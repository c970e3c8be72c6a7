import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createBlockedAddresses } from "../../../src/front/proxy/blocked-addresses.ts";

describe("createBlockedAddresses", () => {
  test("knows an address for its time, counted from the last time it was added", () => {
    const time = { now: 0 };
    const blocked = createBlockedAddresses({ ttlMs: 100, maxEntries: 10, clock: () => time.now });
    blocked.add("a");
    assert.equal(blocked.has("a"), true);
    assert.equal(blocked.has("b"), false);
    time.now = 60;
    blocked.add("a");
    time.now = 159;
    assert.equal(blocked.has("a"), true);
    time.now = 160;
    assert.equal(blocked.has("a"), false);
  });

  test("forgets the oldest first when there are too many", () => {
    const blocked = createBlockedAddresses({ ttlMs: 100, maxEntries: 2, clock: () => 0 });
    for (const address of ["a", "b", "a", "c"]) blocked.add(address);
    assert.deepEqual(
      ["a", "b", "c"].map((address) => blocked.has(address)),
      [true, false, true],
    );
  });
});
