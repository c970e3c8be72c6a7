/** The samples of docs/coverage.md, as far as they are made without a tool. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, describe, test } from "node:test";
import { inflateRawSync, zstdDecompressSync } from "node:zlib";
import { tables } from "../../bench/coverage/samples.ts";
import { MissingTool, Workshop } from "../../bench/coverage/workshop.ts";
import { marker } from "../live/clamd.ts";

/** Where no tool is installed. */
class BareWorkshop extends Workshop {
  override run(command: string): never {
    throw new MissingTool(command);
  }
}

describe("the samples of docs/coverage.md", () => {
  const workshop = new BareWorkshop();
  after(() => workshop[Symbol.dispose]());

  function madeOf(make: (workshop: Workshop) => Buffer): Buffer | null {
    try {
      return make(workshop);
    } catch (error) {
      if (error instanceof MissingTool) return null;
      throw error;
    }
  }

  function sample(format: string): Buffer {
    const found = tables.flatMap(({ samples }) => samples).find((one) => one.format === format);
    const made = found === undefined ? null : madeOf(found.make);
    assert.ok(made !== null, format);
    return made;
  }

  test("are the rows of its tables, in their order", async () => {
    const page = await readFile(new URL("../../docs/coverage.md", import.meta.url), "utf8");
    const rows = page.matchAll(/^(?:## (?<title>.+)|\| (?!Format \||--- \|)(?<format>.+?) \|.*)$/gm);
    assert.deepEqual(
      [...rows].map(({ groups }) => groups?.title ?? groups?.format),
      tables.flatMap(({ title, samples }) => [title, ...samples.map(({ format }) => format)]),
    );
  });

  for (const { title, samples } of tables) {
    test(`are made by our own writers where no tool is, and show no marker: ${title}`, () => {
      const made = samples.flatMap(({ make }) => madeOf(make) ?? []);
      assert.ok(made.length >= 2, `${made.length} of ${samples.length}`);
      for (const bytes of made) assert.ok(bytes.length > 0 && !bytes.includes(marker));
    });
  }

  test("hold the marker for whoever opens them", () => {
    const zip = sample("zip, deflate");
    const start = 30 + zip.readUInt16LE(26) + zip.readUInt16LE(28);
    assert.ok(inflateRawSync(zip.subarray(start, start + zip.readUInt32LE(18))).includes(marker));
    assert.ok(zstdDecompressSync(sample("tar.zst (Arch package)")).includes(marker));
  });

  test("have a window of 2 GiB and are whole otherwise", () => {
    const frame = sample("zstd, a window of 2 GiB");
    assert.throws(() => zstdDecompressSync(frame), { code: "ZSTD_error_frameParameter_windowTooLarge" });
    // RFC 8878 3.1.1.1.2: the same with the smallest window.
    frame[5] = 0;
    assert.doesNotThrow(() => zstdDecompressSync(frame));
  });
});
