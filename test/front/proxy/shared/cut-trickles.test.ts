import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { UrlVerdict } from "../../../../src/core/verdict-cache.ts";
import { createCutTrickles } from "../../../../src/front/proxy/shared/cut-trickles.ts";
import { fakeUrlCache } from "../../../fake/url-verdict-cache.ts";

const found: UrlVerdict = { verdict: { kind: "infected", signatures: ["X"] }, sha256: "c".repeat(64), size: 68 };

describe("createCutTrickles", () => {
  test("knows an address for its time, counted from the last time it was added", async () => {
    const time = { now: 0 };
    const cutTrickles = createCutTrickles({
      ttlMs: 100,
      maxEntries: 10,
      clock: () => time.now,
      urlVerdicts: fakeUrlCache(),
      isShared: () => false,
    });
    await cutTrickles.add("a", null);
    assert.equal((await cutTrickles.get("a"))?.found, null);
    assert.equal(await cutTrickles.get("b"), null);
    time.now = 60;
    await cutTrickles.add("a", found);
    time.now = 159;
    assert.deepEqual((await cutTrickles.get("a"))?.found, found);
    time.now = 160;
    assert.equal(await cutTrickles.get("a"), null);
  });

  test("forgets the oldest first when there are too many", async () => {
    const cutTrickles = createCutTrickles({
      ttlMs: 100,
      maxEntries: 2,
      clock: () => 0,
      urlVerdicts: fakeUrlCache(),
      isShared: () => false,
    });
    for (const address of ["a", "b", "a", "c"]) await cutTrickles.add(address, null);
    const known = await Promise.all(["a", "b", "c"].map((address) => cutTrickles.get(address)));
    assert.deepEqual(
      known.map((one) => one !== null),
      [true, false, true],
    );
  });

  test("tells other gateways what was found, for the same time", async () => {
    const urlVerdicts = fakeUrlCache();
    const [one, other] = [true, true].map((isShared) =>
      createCutTrickles({ ttlMs: 600_000, maxEntries: 10, clock: () => 0, urlVerdicts, isShared: () => isShared }),
    );
    one?.add("a", found);
    one?.add("b", null);
    assert.deepEqual((await other?.get("a"))?.found, found);
    assert.equal(await other?.get("b"), null);
    assert.deepEqual(urlVerdicts.ttls, [600]);
  });
});
