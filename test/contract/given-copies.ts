/** What every GivenCopies must do, wherever it keeps them. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { type Copy, type GivenCopies, givenSeconds } from "../../src/core/given-copies.ts";

export interface GivenCopiesHarness extends AsyncDisposable {
  readonly copies: GivenCopies;
  /** As another gateway, or the next process, would open it; the same where there is no such thing. */
  reopened(): Promise<GivenCopies>;
  /** Lets time pass for what is stored. */
  advance(seconds: number): void | Promise<void>;
  readonly faults: readonly string[];
}

const address = "ab".repeat(32);
/** Some stores have a clock of their own, which goes on meanwhile. */
const margin = 20;
const almostADay = givenSeconds - margin;

export function copyOf(letter: string, ...validators: string[]): Copy {
  return { sha256: letter.repeat(64), validators };
}

const one = copyOf("1", '"one"', "Tue, 01 Jul 2025 00:00:00 GMT");
const two = copyOf("2", '"two"', "Wed, 02 Jul 2025 00:00:00 GMT");
const unscanned: Copy = { sha256: null, validators: [] };

export function describeGivenCopies(name: string, make: () => Promise<GivenCopiesHarness>): void {
  describe(`${name} as GivenCopies`, () => {
    let harness: GivenCopiesHarness;
    let copies: GivenCopies;
    const isSole = async (copy: Copy, by = copies, at = address) => (await by.give(at, copy))?.isSole(copy) ?? null;

    beforeEach(async () => {
      harness = await make();
      copies = harness.copies;
    });

    afterEach(async () => {
      await harness[Symbol.asyncDispose]();
      assert.deepEqual(harness.faults, []);
    });

    test("knows the first copy as the only one, however often it is given", async () => {
      for (let times = 0; times < 3; times += 1) assert.equal(await isSole(one), true);
    });

    test("knows a second copy as another, and the first as well when it comes back", async () => {
      assert.deepEqual([await isSole(one), await isSole(two), await isSole(two), await isSole(one)], [true, false, false, false]);
    });

    test("tells addresses apart", async () => {
      await copies.give(address, one);
      assert.equal(await isSole(two, copies, "cd".repeat(32)), true);
    });

    test("takes the same bytes under another validator for the same copy", async () => {
      await copies.give(address, one);
      assert.equal(await isSole({ ...one, validators: ['"other"'] }), true);
      assert.equal(await isSole({ ...one, validators: [] }), true);
    });

    test("knows a copy as the only one a day after the last of the former was given, and not sooner", async () => {
      await copies.give(address, one);
      await harness.advance(almostADay);
      await copies.give(address, one);
      await harness.advance(almostADay);
      assert.equal(await isSole(two), false);
      await harness.advance(margin);
      assert.equal(await isSole(two), true);
      await harness.advance(almostADay);
      assert.equal(await isSole(one), false, "the second is the former now");
    });

    test("counts the day of each copy by itself", async () => {
      await copies.give(address, one);
      await harness.advance(1000);
      await copies.give(address, two);
      await harness.advance(givenSeconds - 1000);
      assert.equal(await isSole(two), true, "the first is over");
    });

    test("tells by a validator that was never another copy's, and not by one that was", async () => {
      await copies.give(address, one);
      const known = await copies.give(address, two);
      for (const validator of two.validators) assert.equal(known?.isSoleWith(validator, two), true);
      for (const validator of one.validators) assert.equal(known?.isSoleWith(validator, two), false);
      assert.equal(known?.isSoleWith('"unknown"', two), false);
      const liar = copyOf("3", '"one"');
      assert.equal((await copies.give(address, liar))?.isSoleWith('"one"', liar), false);
    });

    test("takes bytes that were never scanned for another copy", async () => {
      const known = await copies.give(address, unscanned);
      assert.equal(known?.isSole(unscanned), false);
      assert.equal(await isSole(one), false);
      await harness.advance(givenSeconds);
      assert.equal(await isSole(one), true);
    });

    test("tells nothing of an address with too many copies, until the last of them is over", async () => {
      const many = Array.from({ length: 30 }, (_, at) => ({ sha256: at.toString(16).padStart(64, "0"), validators: [] }));
      for (const copy of many.slice(0, -1)) await copies.give(address, copy);
      const [last] = many.slice(-1);
      assert.ok(last !== undefined);
      assert.equal(await copies.give(address, last), null);
      await harness.advance(1000);
      assert.equal(await copies.give(address, last), null);
      await harness.advance(almostADay - 1000);
      assert.notEqual(await isSole(last), true);
      await harness.advance(margin);
      assert.equal(await isSole(last), true);
    });

    test("lets one at most of two that are given at the same time be the only one", async () => {
      const other = await harness.reopened();
      for (let round = 0; round < 50; round += 1) {
        const at = round.toString(16).padStart(64, "0");
        const both = await Promise.all([isSole(one, copies, at), isSole(two, other, at)]);
        assert.equal(both.filter((sole) => sole === true).length, 1);
      }
    });

    test("remembers for whoever opens it next", async () => {
      await copies.give(address, one);
      assert.equal(await isSole(two, await harness.reopened()), false);
    });

    test("takes validators of any kind and length", async () => {
      const odd = copyOf("4", `"${"x".repeat(10_000)}"`, '"a b\n* c"', '"é\u{1f9a0}"');
      const known = await copies.give(address, odd);
      for (const validator of odd.validators) assert.equal(known?.isSoleWith(validator, odd), true);
    });
  });
}
