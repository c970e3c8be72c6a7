/** What every Engine must do, however its clamd is reached; and what every clamd of ours must detect. */

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Engine } from "../../src/core/engine.ts";
import type { SpooledBody } from "../../src/core/spool.ts";
import type { UnscannableReason, Verdict } from "../../src/core/verdict.ts";
import { eicar, marker, mebibyte, testFileName } from "../live/clamd.ts";
import { zip } from "../live/zip.ts";

export interface EngineHarness extends AsyncDisposable {
  readonly engine: Engine;
  /** In memory up to 64 KiB, else in a file. */
  body(bytes: string | Uint8Array): Promise<SpooledBody>;
  /** Bytes of the largest body that the engine takes; null where its spool alone limits them. */
  readonly maxBytes: number | null;
  /** Fails when the engine still holds a body. */
  nothingHeld(): void;
}

const memorySizes = [1, 5, 6, 1000, 64 * 1024];
const fileSizes = [64 * 1024 + 1, 200_000, 3 * mebibyte];

export function describeEngine(name: string, make: () => Promise<EngineHarness>): void {
  describe(`${name} as an Engine`, () => {
    let harness: EngineHarness;
    before(async () => {
      harness = await make();
    });
    after(() => harness[Symbol.asyncDispose]());

    test("has a version whose tag names a namespace", () => {
      assert.match(harness.engine.version()?.tag ?? "", /^[0-9a-f]{16}$/);
      assert.match(harness.engine.version()?.engine ?? "", /^\d+\.\d+/);
    });

    test("finds nothing in clean bodies of every size, in memory and in files", async () => {
      for (const size of [0, ...memorySizes, ...fileSizes]) {
        assert.deepEqual(await verdictOf(harness, text(size)), { kind: "clean" }, `${size} bytes`);
      }
    });

    test("finds what is at the start, within and at the end of bodies in memory and in files", async () => {
      for (const size of [1000, ...fileSizes]) {
        // 65,530: across the border of two pieces of a file.
        for (const at of [0, Math.min(65_530, size - marker.length), size - marker.length]) {
          const bytes = text(size);
          bytes.write(marker, at);
          const verdict = await verdictOf(harness, bytes);
          assert.equal(verdict.kind, "infected", `at ${at} of ${size} bytes`);
          assert.match(verdict.kind === "infected" ? verdict.signatures.join() : "", /^Clamgate\.Test\.Marker-1/);
        }
      }
    });

    test("finds EICAR", async () => {
      const verdict = await verdictOf(harness, eicar);
      assert.match(verdict.kind === "infected" ? verdict.signatures.join() : verdict.kind, /eicar/i);
    });

    test("says whose verdict it is, by which version, after how long", async () => {
      await using body = await harness.body("a clean one");
      const { signal } = new AbortController();
      const { version, isCacheable, backend, queueMs, scanMs } = await harness.engine.scan(body, signal, "a client");
      assert.deepEqual(version, harness.engine.version());
      assert.equal(isCacheable, true);
      assert.match(backend, /^clamd-\d$/);
      assert.equal(queueMs >= 0 && scanMs > 0, true);
    });

    test("gives each of many bodies at once its own verdict", async () => {
      const verdicts = await Promise.all(
        Array.from({ length: 60 }, (_, index) => {
          const bytes = text(index % 3 === 0 ? 100_000 + index : 100 + index);
          if (index % 2 === 1) bytes.write(marker, index);
          return verdictOf(harness, bytes);
        }),
      );
      for (const [index, { kind }] of verdicts.entries()) assert.equal(kind, index % 2 === 1 ? "infected" : "clean");
    });

    test("takes a body of its limit, and never calls a larger one clean", async () => {
      const { maxBytes } = harness;
      if (maxBytes === null) return;
      assert.deepEqual(await verdictOf(harness, text(maxBytes - 1)), { kind: "clean" });
      assert.deepEqual(await verdictOf(harness, text(maxBytes)), { kind: "clean" });
      assert.deepEqual(await verdictOf(harness, text(maxBytes + 1)), {
        kind: "unscannable",
        reason: "too-large",
        heuristic: null,
      });
    });

    test("rejects with the reason of a signal that was aborted before, and scans nothing", async () => {
      await using body = await harness.body("never sent");
      await assert.rejects(harness.engine.scan(body, AbortSignal.abort("gone"), "a client"), (thrown) => thrown === "gone");
    });

    test("holds no body when it has answered", async () => {
      await verdictOf(harness, text(100_000));
      harness.nothingHeld();
    });
  });
}

/** For a real clamd with the test signatures and these limits: maxScanSize 16 MiB, maxFiles 500, maxRecursion 17. */
export function describeDetection(name: string, make: () => Promise<EngineHarness>): void {
  describe(`detection by ${name}`, () => {
    let harness: EngineHarness;
    before(async () => {
      harness = await make();
    });
    after(() => harness[Symbol.asyncDispose]());

    test("finds ClamAV's test file in each of its 44 wrappings", async () => {
      const directory = "/usr/share/clamav-testfiles";
      const names = await readdir(directory);
      assert.equal(names.length, 44);
      for (const file of names) {
        const verdict = await verdictOf(harness, await readFile(join(directory, file)));
        assert.deepEqual(verdict, { kind: "infected", signatures: [testFileName] }, file);
      }
    });

    const text = Buffer.from("some clean text, again and again. ".repeat(20));
    const unscannable: Readonly<Record<string, readonly [UnscannableReason, string, Buffer]>> = {
      "an encrypted zip": ["encrypted", "Heuristics.Encrypted.Zip", zip([{ name: "a", bytes: text, isEncrypted: true }])],
      "a zip of too many files": ["limit-files", "Heuristics.Limits.Exceeded.MaxFiles", zip(many(600))],
      "zips too deep within each other": ["limit-recursion", "Heuristics.Limits.Exceeded.MaxRecursion", nested(text, 20)],
      "a zip of too much in all": ["limit-size", "Heuristics.Limits.Exceeded.MaxScanSize", zip(many(5, 4 * mebibyte))],
      "a zip of one entry that is too much": ["limit-size", "Heuristics.Limits.Exceeded.MaxScanSize", bomb(17 * mebibyte)],
      "a zip of such a zip": ["limit-size", "Heuristics.Limits.Exceeded.MaxScanSize", nested(bomb(64 * mebibyte), 1)],
    };
    for (const [what, [reason, heuristic, bytes]] of Object.entries(unscannable)) {
      test(`calls ${what} unscannable: ${reason}`, async () => {
        assert.deepEqual(await verdictOf(harness, bytes), { kind: "unscannable", reason, heuristic });
      });
    }

    test("allows the same just within the limits", async () => {
      for (const bytes of [zip(many(400)), nested(text, 14), bomb(15 * mebibyte)]) {
        assert.deepEqual(await verdictOf(harness, bytes), { kind: "clean" });
      }
    });

    test("finds what is at the end of an entry that is larger than any body may be", async () => {
      const entry = Buffer.concat([Buffer.alloc(12 * mebibyte, "a"), Buffer.from(marker)]);
      assert.equal((await verdictOf(harness, zip([{ name: "a", bytes: entry }]))).kind, "infected");
    });

    test("names the signature and not the limit where both apply", async () => {
      const entries = [{ name: "a", bytes: Buffer.from(marker) }, ...many(600)];
      assert.equal((await verdictOf(harness, zip(entries))).kind, "infected");
    });
  });
}

async function verdictOf({ engine, body }: EngineHarness, bytes: string | Uint8Array): Promise<Verdict> {
  await using held = await body(bytes);
  return (await engine.scan(held, new AbortController().signal, "a client")).verdict;
}

function text(size: number): Buffer {
  return Buffer.alloc(size, "no harm in this. ");
}

function many(count: number, size = 10) {
  return Array.from({ length: count }, (_, index) => ({ name: `${index}.txt`, bytes: Buffer.alloc(size, `entry ${index}, `) }));
}

function nested(bytes: Buffer, depth: number): Buffer {
  return depth === 0 ? bytes : nested(zip([{ name: "a.zip", bytes, isStored: true }]), depth - 1);
}

function bomb(size: number): Buffer {
  return zip([{ name: "a.txt", bytes: Buffer.alloc(size, "a") }]);
}
