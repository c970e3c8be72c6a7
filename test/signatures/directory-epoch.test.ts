import assert from "node:assert/strict";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { canaryFileName, canarySignature } from "../../src/signatures/canary.ts";
import { watchDirectoryEpoch } from "../../src/signatures/directory-epoch.ts";
import { readSignatureSet } from "../../src/signatures/signature-set.ts";
import { bodySignature } from "../live/clamd.ts";
import { eventually } from "../process/stage.ts";
import { scratchDirectory } from "../scratch-directory.ts";

describe("watchDirectoryEpoch", () => {
  test("names what is in the directory by a canary in it, and nothing from a change until the next one is there", async () => {
    await using directory = await scratchDirectory();
    const file = join(directory.path, canaryFileName);
    await writeFile(join(directory.path, "a.ndb"), bodySignature("A", "first"));
    const told: (string | null)[] = [];
    const epoch = watchDirectoryEpoch({ file, pollMs: 100, onChange: () => told.push(epoch.current()) });
    try {
      await eventually("it is told", () => epoch.current() !== null);
      const first = epoch.current() ?? "";
      assert.equal(first, (await readSignatureSet(directory.path)).id);
      assert.equal(await readFile(file, "latin1"), canarySignature(first));
      assert.deepEqual(await readdir(directory.path), ["a.ndb", canaryFileName].toSorted());

      await writeFile(join(directory.path, "b.ndb"), bodySignature("B", "second"));
      await eventually("it is another one", () => epoch.current() !== null && epoch.current() !== first);
      const second = epoch.current() ?? "";
      assert.equal(await readFile(file, "latin1"), canarySignature(second));
      assert.deepEqual(told, [first, null, second]);

      await rm(join(directory.path, "b.ndb"));
      await eventually("the same content has the same name", () => epoch.current() === first);
      await rm(file);
      await eventually("the canary is back", async () => (await readdir(directory.path)).includes(canaryFileName));
      assert.equal(epoch.fault(), null);
    } finally {
      epoch.close();
    }
  });

  test("is the same for all who watch the directory", async () => {
    await using directory = await scratchDirectory();
    const file = join(directory.path, canaryFileName);
    await writeFile(join(directory.path, "a.ndb"), bodySignature("A", "first"));
    const epochs = [1, 2, 3].map(() => watchDirectoryEpoch({ file, pollMs: 50, onChange: () => {} }));
    try {
      const isAgreed = () => new Set(epochs.map((epoch) => epoch.current())).size === 1 && epochs[0]?.current() != null;
      await eventually("they agree", isAgreed);
      await writeFile(join(directory.path, "b.ndb"), bodySignature("B", "second"));
      const { id } = await readSignatureSet(directory.path);
      await eventually("they agree again", () => epochs.every((epoch) => epoch.current() === id));
    } finally {
      for (const epoch of epochs) epoch.close();
    }
  });

  test("says why there is none where it cannot be written, and goes on when it can", async () => {
    await using directory = await scratchDirectory();
    const file = join(directory.path, "missing", canaryFileName);
    const epoch = watchDirectoryEpoch({ file, pollMs: 50, onChange: () => {} });
    try {
      await eventually("it is told", () => epoch.fault() !== null);
      assert.equal(epoch.current(), null);
    } finally {
      epoch.close();
    }
  });
});
