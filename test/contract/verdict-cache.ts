/** What every VerdictCache must do, wherever it keeps its verdicts. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import fc from "fast-check";
import { type UnscannableReason, unscannableReasons, type Verdict } from "../../src/core/verdict.ts";
import type { VerdictKey } from "../../src/core/verdict-cache.ts";

/** A cache, or the store behind one, as whoever asks sees it. */
export interface AskedCache {
  get(key: VerdictKey): Promise<Verdict | null>;
  set(key: VerdictKey, verdict: Verdict, ttlSeconds: number): void | Promise<void>;
  close(): Promise<void>;
}

/** An empty cache with room for at least 1,000 verdicts; disposing it closes the cache and removes what is below it. */
export interface VerdictCacheHarness extends AsyncDisposable {
  readonly cache: AskedCache;
  /** Lets time pass for the cache. */
  advance(ms: number): void | Promise<void>;
  /** What the cache has emitted as `cache-failed`. */
  readonly faults: readonly string[];
}

const sha256 = "ab".repeat(32);
const tag = "1.4.6-27000-0f3c";
const key = { sha256, tag };
const clean: Verdict = { kind: "clean" };
const infected: Verdict = { kind: "infected", signatures: ["Eicar-Test-Signature", 'Odd "name" \u{1f9a0}'] };

const hex = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString("hex"));
const lastingReasons = unscannableReasons.filter((reason) => reason !== "limit-time" && reason !== "poison");

const lastingVerdict: fc.Arbitrary<Verdict> = fc.oneof(
  fc.constant(clean),
  fc
    .array(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 5 })
    .map((signatures): Verdict => ({ kind: "infected", signatures })),
  fc
    .tuple(fc.constantFrom(...lastingReasons), fc.option(fc.string()))
    .map(([reason, heuristic]): Verdict => ({ kind: "unscannable", reason, heuristic })),
);

export function describeVerdictCache(name: string, make: () => Promise<VerdictCacheHarness>): void {
  describe(`${name} as a VerdictCache`, () => {
    let harness: VerdictCacheHarness;
    let cache: AskedCache;

    beforeEach(async () => {
      harness = await make();
      cache = harness.cache;
    });

    afterEach(async () => {
      await harness[Symbol.asyncDispose]();
      assert.deepEqual(harness.faults, []);
    });

    test("misses what was never set", async () => {
      assert.equal(await cache.get(key), null);
    });

    test("gives back any verdict that lasts, exactly", async () => {
      await fc.assert(
        fc.asyncProperty(hex, fc.string({ minLength: 1, maxLength: 40 }), lastingVerdict, async (digest, anyTag, verdict) => {
          await cache.set({ sha256: digest, tag: anyTag }, verdict, 60);
          assert.deepEqual(await cache.get({ sha256: digest, tag: anyTag }), verdict);
        }),
        { numRuns: 100 },
      );
    });

    test("tells digests and tags apart", async () => {
      await cache.set(key, clean, 60);
      const others = [
        { sha256: "ac".repeat(32), tag },
        { sha256, tag: `${tag} ` },
        { sha256, tag: tag.slice(1) },
        { sha256, tag: `${tag}\0` },
      ];
      for (const other of others) assert.equal(await cache.get(other), null);
      for (const other of others) await cache.set(other, infected, 60);
      assert.deepEqual(await cache.get(key), clean);
    });

    test("lets the last verdict win", async () => {
      await cache.set(key, clean, 60);
      await cache.set(key, infected, 60);
      assert.deepEqual(await cache.get(key), infected);
      await cache.set(key, clean, 60);
      assert.deepEqual(await cache.get(key), clean);
    });

    test("remembers until its time is over, and not a millisecond longer", async () => {
      await cache.set(key, clean, 60);
      await harness.advance(59_999);
      assert.deepEqual(await cache.get(key), clean);
      await harness.advance(1);
      assert.equal(await cache.get(key), null);
      await cache.set(key, infected, 1);
      assert.deepEqual(await cache.get(key), infected);
      await harness.advance(1000);
      assert.equal(await cache.get(key), null);
    });

    test("counts the time anew with each set", async () => {
      await cache.set(key, clean, 60);
      await harness.advance(40_000);
      await cache.set(key, clean, 60);
      await harness.advance(40_000);
      assert.deepEqual(await cache.get(key), clean);
    });

    test("remembers nothing for no time", async () => {
      for (const ttlSeconds of [0, -1, Number.NaN, Number.NEGATIVE_INFINITY]) {
        await cache.set(key, clean, ttlSeconds);
        assert.equal(await cache.get(key), null);
      }
    });

    test("takes a time without end", async () => {
      await cache.set(key, clean, Number.POSITIVE_INFINITY);
      await harness.advance(86_400_000);
      assert.deepEqual(await cache.get(key), clean);
    });

    test("never remembers what the load or a crash decided, and lets it replace nothing", async () => {
      const passing: readonly UnscannableReason[] = ["limit-time", "poison"];
      for (const reason of passing) {
        await cache.set(key, { kind: "unscannable", reason, heuristic: null }, 60);
        assert.equal(await cache.get(key), null);
      }
      await cache.set(key, infected, 60);
      for (const reason of passing) await cache.set(key, { kind: "unscannable", reason, heuristic: null }, 60);
      assert.deepEqual(await cache.get(key), infected);
    });

    test("never remembers what is no verdict, though it was said to be one", async () => {
      const wrong = [null, undefined, "clean", {}, { kind: "Clean" }, { kind: "infected", signatures: [] }, { kind: "infected" }];
      for (const value of wrong) {
        await cache.set(key, value as unknown as Verdict, 60);
        assert.equal(await cache.get(key), null);
      }
    });

    test("neither stores nor finds a verdict under what is no digest", async () => {
      const wrong = [
        "",
        "zz".repeat(32),
        sha256.slice(2),
        `${sha256}00`,
        sha256.toUpperCase(),
        ` ${sha256.slice(1)}`,
        `${sha256}\n`,
      ];
      for (const digest of wrong) {
        await cache.set({ sha256: digest, tag }, clean, 60);
        for (const other of [...wrong, sha256]) assert.equal(await cache.get({ sha256: other, tag }), null);
      }
      await cache.set({ sha256, tag: "" }, clean, 60);
      assert.equal(await cache.get({ sha256, tag: "" }), null);
    });

    test("is not changed by what its callers do to a verdict or a key", async () => {
      const signatures = ["One"];
      const own = { ...key };
      await cache.set(own, { kind: "infected", signatures }, 60);
      signatures.push("Two");
      own.sha256 = "00".repeat(32);
      assert.equal(await cache.get(own), null);
      assert.deepEqual(await cache.get(key), { kind: "infected", signatures: ["One"] });
    });

    test("answers many callers at once", async () => {
      const keys = Array.from({ length: 1000 }, (_, index) => ({ sha256: index.toString(16).padStart(64, "0"), tag }));
      await Promise.all(keys.map((one, index) => cache.set(one, { kind: "infected", signatures: [`Number.${index}`] }, 60)));
      const verdicts = await Promise.all(keys.map((one) => cache.get(one)));
      for (const [index, verdict] of verdicts.entries()) {
        assert.deepEqual(verdict, { kind: "infected", signatures: [`Number.${index}`] });
      }
    });

    test("misses, and fails nobody, once it is closed", async () => {
      await cache.set(key, clean, 60);
      await Promise.all([cache.close(), cache.close()]);
      assert.equal(await cache.get(key), null);
      await cache.set(key, clean, 60);
      assert.equal(await cache.get(key), null);
      await cache.close();
    });
  });
}
