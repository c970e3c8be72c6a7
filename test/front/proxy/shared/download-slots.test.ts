import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createDownloadSlots, type DownloadSlots } from "../../../../src/front/proxy/shared/download-slots.ts";

const none = { total: 0, perOrigin: 0, perClient: 0 };

/** How many of 20 get a place. */
function streamsOf(slots: DownloadSlots, origin: string): number {
  return Array.from({ length: 20 }, () => slots.takeStream(origin)).filter((release) => release !== null).length;
}

describe("takeStream", () => {
  for (const [limit, streams] of [
    [0, 20],
    [1, 0],
    [2, 1],
    [3, 1],
    [20, 10],
  ] as const) {
    test(`gives ${streams} of ${limit === 0 ? "unlimited" : limit} places, and leaves the rest to downloads`, () => {
      for (const name of ["total", "perOrigin"] as const) {
        const slots = createDownloadSlots({ ...none, [name]: limit });
        assert.equal(streamsOf(slots, "a"), streams);
        assert.equal(streamsOf(slots, "b"), name === "total" && limit > 0 ? 0 : streams);
        for (let left = limit - streams; left > 0; left -= 1) slots.takeDownload("a");
        if (limit > 0) assert.throws(() => slots.takeDownload("a"), { code: "queue-full" });
      }
    });
  }

  test("throws where downloads have all places, and takes none then", () => {
    const slots = createDownloadSlots({ ...none, perOrigin: 2 });
    const releases = [slots.takeDownload("a"), slots.takeDownload("a")];
    assert.throws(() => slots.takeStream("a"), { code: "queue-full" });
    for (const release of releases) release();
    for (let round = 0; round < 3; round += 1) {
      const release = slots.takeStream("a");
      assert.ok(release !== null);
      assert.equal(slots.takeStream("a"), null);
      release();
    }
  });
});
