import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { crc32 } from "node:zlib";
import { sevenZip } from "../fuzz/seven-zip.ts";
import { nameOf } from "./inspecting.ts";
import { harmless } from "./made-zip.ts";
import { type ToolSample, toolSample } from "./tool-samples.ts";

const made = sevenZip([
  { name: "a", bytes: harmless },
  { name: "b", bytes: harmless },
]);

const samples = {
  "LZMA.7z": null,
  "LZMA2.7z": null,
  "PPMd.7z": null,
  "many.7z": null,
  "bcj.7z": null,
  "bcj2.7z": null,
  "BZip2.7z": "7Zip.Coder",
  "Deflate.7z": "7Zip.Coder",
  "Deflate64.7z": "7Zip.Coder",
  "delta.7z": "7Zip.Coder",
  "later.7z": "7Zip.Coder",
  "header.7z": "Encrypted.7Zip",
} as const satisfies Partial<Record<ToolSample, string | null>>;

describe("a 7z archive", () => {
  for (const [name, expected] of Object.entries(samples)) {
    test(`by 7-Zip ${expected === null ? "passes" : `is ${expected}`}: ${name}`, async () => {
      assert.equal(await nameOf(toolSample(name as ToolSample)), expected);
    });
  }

  test("passes with a header that is not packed, and that of ClamAV's test files", async () => {
    assert.equal(await nameOf(made), null);
    assert.equal(await nameOf(await readFile("/usr/share/clamav-testfiles/clam.7z")), null);
  });

  test("is cut where its header, or what is packed, is beyond the end", async () => {
    assert.equal(await nameOf(made.subarray(0, -1)), "7Zip.Cut");
    assert.equal(await nameOf(made.subarray(0, 40)), "7Zip.Cut");
    assert.equal(await nameOf(made.subarray(0, 20)), "7Zip.Cut");
    assert.equal(await nameOf(withHeader(made, (header) => header.writeUInt8(0x7f, 3))), "7Zip.Cut");
  });

  test("is not believed where its checksums do not fit, or its header is none", async () => {
    const [start, header] = [Buffer.from(made), Buffer.from(made)];
    start.writeUInt8(1, 9);
    assert.equal(await nameOf(start), "7Zip.Header");
    header.writeUInt8(1, made.length - 1);
    assert.equal(await nameOf(header), "7Zip.Header");
    for (const first of [0x05, 0x17, 0x00]) {
      assert.equal(await nameOf(withHeader(made, (bytes) => bytes.writeUInt8(first, 0))), "7Zip.Header");
    }
  });

  test("has as many folders as there may be files, and no more", async () => {
    const many = sevenZip(Array.from({ length: 6 }, (_, index) => ({ name: `${index}`, bytes: harmless })));
    assert.equal(await nameOf(many, { maxFiles: 6 }), null);
    assert.equal(await nameOf(many, { maxFiles: 5 }), "limit-files");
  });

  test("may be empty", async () => {
    const bytes = Buffer.from(made.subarray(0, 32));
    bytes.fill(0, 12);
    bytes.writeUInt32LE(crc32(bytes.subarray(12)), 8);
    assert.equal(await nameOf(bytes), null);
  });
});

/** The same with another header and the checksums that go with it. */
function withHeader(archive: Buffer, change: (header: Buffer) => void): Buffer {
  const bytes = Buffer.from(archive);
  const header = bytes.subarray(32 + Number(bytes.readBigUInt64LE(12)));
  change(header);
  bytes.writeUInt32LE(crc32(header), 28);
  bytes.writeUInt32LE(crc32(bytes.subarray(12, 32)), 8);
  return bytes;
}
