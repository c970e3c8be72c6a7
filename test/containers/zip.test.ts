import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gzipSync, inflateRawSync, zstdCompressSync } from "node:zlib";
import { tar } from "../fault/tar.ts";
import { sevenZip } from "../fuzz/seven-zip.ts";
import { iso } from "../live/iso.ts";
import { nameOf, opened } from "./inspecting.ts";
import { endRecord, harmless, longSizes, type MadeEntry, type MadeZip, madeZip, noBytes } from "./made-zip.ts";
import { toolSample } from "./tool-samples.ts";

const script = Buffer.from("#!/bin/sh\nexit 0\n");
const long = 0xffff_ffff;
const packed = { packedSize: 100, size: 3000 };
const stored: MadeEntry = { bytes: noBytes, packed: noBytes, local: { method: 0 }, central: { method: 0 } };
const manifest = (text: Buffer): MadeEntry => ({ name: "META-INF/manifest.xml", bytes: text });
const encryptionData = '<manifest:file-entry><manifest:encryption-data manifest:checksum="a"/></manifest:file-entry>';

const whole = (...entries: readonly MadeEntry[]) => madeZip(entries);
const one = (zip: MadeZip) => madeZip([{}], zip);

const refused: Readonly<Record<string, readonly [name: string, bytes: Buffer]>> = {
  "LZMA, by 7-Zip": ["Zip.Method", toolSample("LZMA.zip")],
  "PPMd, by 7-Zip": ["Zip.Method", toolSample("PPMd.zip")],
  "a last entry of another method": ["Zip.Method", whole({}, {}, { local: { method: 93 }, central: { method: 93 } })],
  "AES's method without encryption": ["Zip.Method", whole({ local: { method: 99 }, central: { method: 99 } })],
  "another method in the local header": ["Zip.Headers", whole({ local: { method: 99 } })],
  "another method in the directory": ["Zip.Headers", whole({ central: { method: 0 } })],
  "encryption in the local header alone": ["Zip.Headers", whole({ local: { flags: 1 } })],
  "encryption in the directory alone": ["Zip.Headers", whole({ central: { flags: 1 } })],
  "a masked local header": ["Zip.Headers", whole({ local: { flags: 0x2000 } })],
  "no packed bytes in the local header": ["Zip.Headers", whole({ local: { packedSize: 0 } })],
  "30 packed bytes in the local header": ["Zip.Headers", whole({ local: { packedSize: 30 } })],
  "30 bytes in the local header": ["Zip.Headers", whole({ local: { size: 30 } })],
  "an entry that begins nowhere": ["Zip.Headers", whole({}, { central: { offset: 5 } })],
  "an entry that begins behind the end": ["Zip.Headers", whole({}, { central: { offset: 1_000_000 } })],
  "data beyond the directory": ["Zip.Headers", whole({ local: { packedSize: 5000 }, central: { packedSize: 5000 } })],
  "long sizes in the local header that are not those of the directory": [
    "Zip.Headers",
    whole({ local: { packedSize: long, size: long, extra: longSizes(packed.size, packed.packedSize) } }),
  ],
  "long sizes in the directory that are not those of the local header": [
    "Zip.Headers",
    whole({ central: { packedSize: long, size: long, extra: longSizes(480, 1) } }),
  ],
  "a span mark and no directory": ["Zip.NoDirectory", Buffer.concat([Buffer.from("PK\x07\x08"), whole({}).subarray(0, -22)])],
  "another method behind a script": [
    "Zip.Method",
    madeZip([{ local: { method: 14 }, central: { method: 14 } }], { front: script }),
  ],
  "two truths behind a script": ["Zip.Headers", madeZip([{ local: { method: 14 } }], { front: script, countsFront: true })],
  "no end record": ["Zip.NoDirectory", whole({}).subarray(0, -22)],
  "half an end record": ["Zip.NoDirectory", whole({}).subarray(0, -3)],
  "an end record that is too far from the end": ["Zip.NoDirectory", one({ behind: Buffer.alloc(70_000) })],
  "a comment beyond the end": ["Zip.NoDirectory", one({ comment: Buffer.from("comment") }).subarray(0, -1)],
  "a directory that is not there": ["Zip.NoDirectory", one({ end: { size: 10 } })],
  "a directory before the beginning": ["Zip.NoDirectory", one({ end: { size: 1_000_000 } })],
  "a directory that is said to be elsewhere": ["Zip.Directory", one({ end: { offset: 3 } })],
  "an end record of nothing behind a zip": [
    "Zip.Directory",
    Buffer.concat([whole({}), endRecord({ entries: 0, size: 0, offset: 0 })]),
  ],
  "a count that is too low": ["Zip.Directory", madeZip([{}, {}], { end: { entries: 1 } })],
  "a count that is too high": ["Zip.Directory", madeZip([{}, {}], { end: { entries: 3 } })],
  "no entries by the end record, behind a script": ["Zip.Directory", one({ front: script, end: { entries: 0 } })],
  "no entries by the end record": ["Zip.Directory", one({ end: { entries: 0, size: 0 } })],
  "an end record in the comment that is one": [
    "Zip.TwoDirectories",
    one({ comment: endRecord({ entries: 0, size: 0, offset: 0 }) }),
  ],
  "an end record in the comment that is none": ["Zip.TwoDirectories", one({ comment: Buffer.from("PK\x05\x06 and so on") })],
  "an end record in the comment, behind a script": [
    "Zip.TwoDirectories",
    one({ front: script, comment: endRecord({ entries: 0, size: 0, offset: 0 }) }),
  ],
  "end records to the end": ["Zip.NoDirectory", Buffer.concat([whole({}).subarray(0, 40), Buffer.alloc(100, "PK\x05\x06")])],
  "zip64 behind zip64": ["Zip.TwoDirectories", Buffer.concat([one({ isZip64: true }), one({ isZip64: true })])],
  "zip64 that says two things": ["Zip.TwoDirectories", twoCounts()],
  "PK00 in front": ["Zip.Front", Buffer.concat([Buffer.from("PK00"), whole({})])],
  "an entry in front of another that is not listed and of another method": ["Zip.Method", unlisted({ local: { method: 14 } })],
  "an entry that is not listed and has a descriptor": ["Zip.Descriptor", unlisted({ hasDescriptor: true })],
  "an entry that is not listed and has long sizes": [
    "Zip.Zip64",
    unlisted({ local: { packedSize: long, size: long, extra: longSizes(480, packedBytes()) } }),
  ],
  "a zip behind gzip": ["Zip.Behind", Buffer.concat([gzipSync(harmless), whole({})])],
  "a zip and a line feed behind two members of gzip": [
    "Zip.Behind",
    Buffer.concat([gzipSync(harmless), gzipSync(harmless), whole({}), Buffer.from("\n")]),
  ],
  "a zip with a cut comment behind gzip": [
    "Zip.Behind",
    Buffer.concat([gzipSync(harmless), one({ comment: harmless }).subarray(0, -5)]),
  ],
  "a zip behind broken gzip": ["Zip.Behind", Buffer.concat([gzipSync(harmless).subarray(0, 20), whole({})])],
  "a zip behind a tar": ["Zip.Behind", Buffer.concat([tar("a", harmless), whole({})])],
  "a zip with two end records behind a tar": [
    "Zip.Behind",
    Buffer.concat([tar("a", harmless), one({ comment: endRecord({ entries: 0, size: 0, offset: 0 }) })]),
  ],
  "7z behind gzip": ["7Zip.Behind", Buffer.concat([gzipSync(harmless), sevenZip([{ name: "a", bytes: harmless }])])],
  "7z behind a tar": ["7Zip.Behind", Buffer.concat([tar("a", harmless), sevenZip([{ name: "a", bytes: harmless }])])],
  "AES, as clamd calls encrypted as well": [
    "Encrypted.Zip",
    whole({ local: { method: 99, flags: 1 }, central: { method: 99, flags: 1 } }),
  ],
  "an encrypted directory": ["Encrypted.Zip", whole({ local: { flags: 0x2000 }, central: { flags: 0x2000 } })],
  "an encrypted OpenDocument file": ["Encrypted.OpenDocument", whole({}, manifest(Buffer.from(encryptionData)))],
  "one whose manifest is stored": [
    "Encrypted.OpenDocument",
    whole({
      ...manifest(Buffer.from(encryptionData)),
      packed: Buffer.from(encryptionData),
      local: { method: 0 },
      central: { method: 0 },
    }),
  ],
  "one whose manifest is in UTF-16": ["Encrypted.OpenDocument", whole(manifest(Buffer.from(encryptionData, "utf16le")))],
  "a manifest of 5 MiB": ["limit-size", whole(manifest(Buffer.alloc(5 * 1024 * 1024)))],
  "encrypted in one entry, of another method in the next": [
    "Zip.Method",
    whole({ local: { flags: 1 }, central: { flags: 1 } }, { local: { method: 14 }, central: { method: 14 } }),
  ],
};

const passed: Readonly<Record<string, Buffer>> = {
  "deflate64, by 7-Zip": toolSample("Deflate64.zip"),
  "bzip2, by 7-Zip": toolSample("BZip2.zip"),
  "an empty zip": endRecord({ entries: 0, size: 0, offset: 0 }),
  "three entries": whole({}, { name: "b" }, { name: "c" }),
  "entries in another order": outOfOrder(),
  descriptors: whole({ hasDescriptor: true }, { hasDescriptor: true, name: "b" }),
  "an imploded entry": whole({ local: { method: 6 }, central: { method: 6 } }),
  "a stored entry": whole({ packed: harmless, local: { method: 0 }, central: { method: 0 } }),
  "a directory entry": whole({ ...stored, name: "a/" }, {}),
  "a comment": one({ comment: Buffer.from("made by hand") }),
  "the longest comment": one({ comment: Buffer.alloc(0xffff, "c") }),
  "a line feed behind it": one({ behind: Buffer.from("\n") }),
  "local extra fields unlike central ones": whole({ local: { extra: Buffer.from("UT\x05\0\x03abcd") } }, {}),
  "an APK signing block": one({ gap: Buffer.concat([Buffer.alloc(4096), Buffer.from("APK Sig Block 42")]) }),
  "zip64 at the end alone": madeZip([{}, {}], { isZip64: true }),
  "long sizes in the directory alone": whole({ central: { packedSize: long, size: long, extra: longSizes(480, packedBytes()) } }),
  "a program in front": one({ front: script }),
  "a program in front that is counted": one({ front: script, countsFront: true }),
  "an OpenDocument file": whole({}, manifest(Buffer.from("<manifest:file-entry/>"))),
  "an unlisted entry that clamd finds": unlisted({}),
  "a span mark": Buffer.concat([
    Buffer.from("PK\x07\x08"),
    madeZip([{ central: { offset: 4 } }], { end: { offset: 4 + headBytes() } }),
  ]),
  "a zip with a descriptor in cpio": Buffer.concat([
    Buffer.from("070701"),
    whole({ hasDescriptor: true }),
    Buffer.from("TRAILER!!!"),
  ]),
  "a zip with a descriptor in an ISO image": iso(whole({ hasDescriptor: true })),
  "a tar of a zip": tar("a.zip", whole({})),
  "a tar of a zip with descriptors": tar("a.zip", whole({ hasDescriptor: true })),
  "gzip of a zip, stored": gzipSync(whole({}), { level: 0 }),
  "gzip of a tar of 7z, stored": gzipSync(tar("a.7z", sevenZip([{ name: "a", bytes: harmless }])), { level: 0 }),
  "bytes that look like an end record": Buffer.concat([harmless, endRecord({ entries: 1, size: 46, offset: 100 })]),
};

const descriptor: MadeEntry = { name: "d", bytes: Buffer.from("another"), hasDescriptor: true };

/** clamd does not read them as they are written. */
const writtenAnew: Readonly<Record<string, Buffer>> = {
  "zip64 by Info-ZIP from a pipe": toolSample("stdin.zip"),
  "long sizes in the local header": whole({
    local: { packedSize: long, size: long, extra: longSizes(480, packedBytes()) },
  }),
  "long sizes and a descriptor": whole({
    hasDescriptor: true,
    central: { packedSize: long, size: long, extra: longSizes(480, packedBytes()) },
  }),
  "a long offset": whole({ central: { offset: long, extra: longSizes(0) } }),
  "a descriptor behind a script": madeZip([{}, descriptor], { front: script }),
  "a descriptor behind a script that is counted": madeZip([{}, descriptor], { front: script, countsFront: true }),
  "a descriptor where the end record is zip64": madeZip([{}, descriptor], { isZip64: true }),
  "a descriptor behind a span mark": madeZip([{}, descriptor], { front: Buffer.from("PK\x07\x08"), countsFront: true }),
  "a descriptor between a script and 700 bytes": madeZip([{}, descriptor], { front: script, behind: Buffer.alloc(700) }),
};

describe("a zip", () => {
  for (const [name, bytes] of Object.entries(writtenAnew)) {
    test(`is written anew with ${name}, and is a plain zip of the same then`, async () => {
      const { found, pieces } = await opened(bytes);
      assert.equal(found, null);
      const [piece, ...others] = pieces;
      assert.ok(piece !== undefined && others.length === 0 && !piece.isScanned);
      const again = await opened(piece.bytes);
      assert.deepEqual(again, { found: null, pieces: [] });
      assert.deepEqual(textsOf(piece.bytes), textsOf(bytes));
    });
  }

  test("is taken apart where it stands behind another, and what is between them goes with the first", async () => {
    const first = whole({ bytes: Buffer.from("first") });
    for (const between of [noBytes, Buffer.from("between")]) {
      const { found, pieces } = await opened(Buffer.concat([first, between, whole({}, descriptor)]));
      assert.equal(found, null);
      assert.deepEqual(
        pieces.map(({ isScanned }) => isScanned),
        [false, false],
      );
      assert.deepEqual(pieces[0]?.bytes, Buffer.concat([first, between]));
      assert.deepEqual(textsOf(pieces[1]?.bytes ?? Buffer.alloc(0)), textsOf(whole({}, descriptor)));
    }
  });

  for (const method of [0, 8]) {
    test(`has looked into what is worth it, by method ${method}`, async () => {
      const inner = [toolSample("BZip2.7z"), toolSample("LZMA.zip"), zstdCompressSync(harmless), gzipSync(tar("a", harmless))];
      const entries = inner.map((bytes, index) => ({ name: `${index}`, bytes, ...packedBy(method, bytes) }));
      const { found, pieces } = await opened(whole({}, ...entries, {}));
      assert.equal(found, null);
      assert.deepEqual(
        pieces,
        inner.map((bytes) => ({ isScanned: true, bytes })),
      );
    });
  }

  test("has looked into what the operator calls unsupported", async () => {
    const lz4 = Buffer.from("04224d18", "hex");
    assert.deepEqual((await opened(whole({ bytes: lz4 }))).pieces, []);
    assert.deepEqual((await opened(whole({ bytes: lz4 }), { formats: ["lz4"] })).pieces, [{ isScanned: true, bytes: lz4 }]);
  });

  for (const [name, [expected, bytes]] of Object.entries(refused)) {
    test(`is ${expected} with ${name}`, async () => assert.equal(await nameOf(bytes), expected));
  }
  for (const [name, bytes] of Object.entries(passed)) {
    test(`passes with ${name}`, async () => assert.equal(await nameOf(bytes), null));
  }

  test("has as many entries as may be, and no more", async () => {
    const bytes = madeZip(Array.from({ length: 5 }, (_, index) => ({ name: `${index}` })));
    assert.equal(await nameOf(bytes, { maxFiles: 5 }), null);
    assert.equal(await nameOf(bytes, { maxFiles: 4 }), "limit-files");
    assert.equal(await nameOf(bytes, { maxFiles: 0 }), null);
  });

  test("may have more entries than its end record can count", async () => {
    const bytes = madeZip(
      Array.from({ length: 0x1_0002 }, () => stored),
      { end: { entries: 2 } },
    );
    assert.equal(await nameOf(bytes, { maxFiles: 0 }), null);
  });
});

function packedBy(method: number, bytes: Buffer): MadeEntry {
  return method === 8 ? {} : { packed: bytes, local: { method }, central: { method } };
}

/** What a reader that goes by the directory takes out; entries are deflated. */
function textsOf(zip: Buffer): readonly string[] {
  const texts: string[] = [];
  for (let at = zip.indexOf("PK\x03\x04"); at !== -1; at = zip.indexOf("PK\x03\x04", at + 1)) {
    const dataAt = at + 30 + zip.readUInt16LE(at + 26) + zip.readUInt16LE(at + 28);
    texts.push(inflateRawSync(zip.subarray(dataAt)).toString());
  }
  return texts;
}

function packedBytes(): number {
  return madeZip([{}]).readUInt32LE(18);
}

/** Of a zip of one entry: where its directory begins. */
function headBytes(): number {
  return 30 + 5 + packedBytes();
}

/** An entry before those that the directory names. */
function unlisted(entry: MadeEntry): Buffer {
  const zip = madeZip([{ ...entry, name: "hidden" }]);
  const front = zip.subarray(0, zip.indexOf("PK\x01\x02", 0, "latin1"));
  return madeZip([{}], { front, countsFront: true });
}

function outOfOrder(): Buffer {
  const bytes = madeZip([{ name: "a" }, { name: "b" }]);
  const start = bytes.indexOf("PK\x01\x02", 0, "latin1");
  const [first, second, end] = [0, 47, 94].map((at) => bytes.subarray(start + at, start + at + 47));
  return Buffer.concat([bytes.subarray(0, start), second ?? noBytes, first ?? noBytes, end ?? noBytes]);
}

function twoCounts(): Buffer {
  const bytes = madeZip([{}], { isZip64: true });
  bytes.writeUInt16LE(7, bytes.length - 12);
  return bytes;
}
