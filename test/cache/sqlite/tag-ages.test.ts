import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TagAges } from "../../../src/cache/sqlite/tag-ages.ts";
import { ManualTime } from "../manual-time.ts";

describe("TagAges", () => {
  test("calls a tag idle after the time in which nobody used it, counted from its first sight", () => {
    const time = new ManualTime();
    const ages = new TagAges({ clock: time.clock, maxIdleMs: 100 });
    ages.use("used");
    assert.deepEqual(ages.idleAmong(["used", "found"]), []);
    time.advance(100);
    ages.use("used");
    assert.deepEqual(ages.idleAmong(["used", "found"]), []);
    time.advance(1);
    assert.deepEqual(ages.idleAmong(["used", "found"]), ["found"]);
    time.advance(100);
    assert.deepEqual(ages.idleAmong(["used"]), ["used"]);
    assert.deepEqual(ages.idleAmong(["found"]), [], "a tag that was gone is new again");
  });
});
