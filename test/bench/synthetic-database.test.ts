import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { writeSignatures } from "../../bench/database/synthetic-database.ts";
import { suiteDirectory } from "../scratch-directory.ts";

const counts = { hdb: 50, hsb: 50, mdb: 50, ndb: 50, ldb: 50, pcre: 5 };

describe("the synthetic database", () => {
  const root = suiteDirectory();

  test("is the same every time it is made", async () => {
    const [first, second] = [root.at("first"), root.at("second")];
    await writeSignatures(first, counts);
    await writeSignatures(second, counts);
    for (const name of await readdir(first)) {
      assert.deepEqual(await readFile(join(first, name)), await readFile(join(second, name)), name);
    }
  });

  test("holds as many signatures of each kind as were ordered", async () => {
    const directory = root.at("counted");
    await writeSignatures(directory, { ...counts, hdb: 2501 });
    const lines = (await readFile(join(directory, "synthetic.hdb"), "utf8")).split("\n");
    assert.equal(lines.length, 2502);
    assert.equal(lines.at(-1), "");
    const logical = await readFile(join(directory, "synthetic.ldb"), "utf8");
    assert.equal(logical.match(/\[0-9a-f\]\{2,8\}/g)?.length, counts.pcre);
  });

  test("is loaded by ClamAV to the last signature", async () => {
    const directory = root.at("loaded");
    await writeSignatures(directory, counts);
    const { stdout } = await promisify(execFile)("clamscan", ["--database", directory, join(directory, "synthetic.hdb")]);
    assert.match(stdout, /^Known viruses: 250$/m);
  });
});
