import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { brotliCompressSync, constants, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { readCodings } from "../../src/core/content-coding.ts";
import type { SpooledBody } from "../../src/core/spool.ts";
import { fakeBody } from "../fake/spooled-body.ts";
import { collect } from "../spool/scripted-body.ts";

const text = Buffer.from("what is meant ".repeat(30));
const encoders = {
  gzip: gzipSync,
  deflate: deflateSync,
  "deflate (raw)": deflateRawSync,
  br: brotliCompressSync,
  zstd: zstdCompressSync,
};
const leftOver = (coding: string) => `The body cannot be decoded: bytes are left over behind the end of its ${coding} coding`;
const broken = (coding: string) => `The body cannot be decoded: its ${coding} coding is broken or unfinished`;

/** As from a file: in pieces of a few bytes, or of as many as there are. */
function bodyOf(bytes: Buffer, pieceBytes: number): SpooledBody {
  return {
    ...fakeBody({ size: bytes.length }),
    async *read({ start = 0, end = bytes.length } = {}) {
      for (let at = start; at < end; at += pieceBytes) yield Buffer.from(bytes.subarray(at, Math.min(end, at + pieceBytes)));
    },
  };
}

async function decoded(coding: string, bytes: Buffer, pieceBytes = bytes.length): Promise<Buffer> {
  const codings = readCodings([coding.replace(" (raw)", "")]);
  const [decode] = codings?.decoders ?? [];
  assert.ok(decode !== undefined && codings?.decoders.length === 1 && codings.unknown === null);
  return await collect(decode(bodyOf(bytes, Math.max(1, pieceBytes))));
}

async function fails(coding: string, bytes: Buffer, message: string | RegExp): Promise<void> {
  for (const pieceBytes of [bytes.length, 1, 7])
    await assert.rejects(decoded(coding, bytes, pieceBytes), { code: "undecodable", message });
}

describe("readCodings", () => {
  test("names nothing where nothing is coded", () => {
    for (const lines of [[], [""], [" , ,"], ["identity"], ["Identity, none"], ["identity", "", "NONE"]])
      assert.equal(readCodings(lines), null, lines.join("|"));
  });

  for (const [lines, decoders, unknown] of [
    [["gzip"], 1, null],
    [["X-GZip"], 1, null],
    [["x-deflate"], 1, null],
    [["gzip, br", "zstd"], 3, null],
    [["gzip", "identity", ",,br ,"], 2, null],
    [["deflate, none"], 1, null],
    [["compress"], 0, "compress"],
    [["gzip\xa0"], 0, "gzip\xa0"],
    [["\xa0identity"], 0, "\xa0identity"],
    [["br,\xa0, gzip"], 1, "\xa0"],
    [["x-compress"], 0, "x-compress"],
    [["gzip, Foo"], 0, "Foo"],
    [["foo, gzip"], 1, "foo"],
    [["gzip, gzip, gzip, foo"], 0, "foo"],
    [["gzip;q=1"], 0, "gzip;q=1"],
    [["gzip deflate"], 0, "gzip deflate"],
    [["brotli"], 0, "brotli"],
  ] as const) {
    test(`reads ${JSON.stringify(lines)} as ${decoders} known, ${unknown} unknown`, () => {
      const codings = readCodings(lines);
      assert.deepEqual([codings?.decoders.length, codings?.unknown], [decoders, unknown]);
    });
  }

  test("refuses more than three", () => {
    assert.equal(readCodings(["gzip, gzip, gzip"])?.decoders.length, 3);
    for (const lines of [["gzip, gzip, gzip, gzip"], ["br", "br", "br", "br"]])
      assert.throws(() => readCodings(lines), { code: "undecodable", message: "The body is in more content codings than 3" });
  });
});

for (const [coding, encode] of Object.entries(encoders)) {
  const name = coding.replace(" (raw)", "");
  const whole = encode(text);

  describe(`a body in ${coding}`, () => {
    test("decodes to what was meant, however it is cut", async () => {
      for (const bytes of [text, Buffer.alloc(0), Buffer.alloc(300_000, "0123456789abcdef!")])
        for (const pieceBytes of [1, 5, 4_096, 1_000_000]) {
          const coded = encode(bytes);
          if (coded.length / pieceBytes > 5_000) continue;
          assert.ok((await decoded(coding, coded, pieceBytes)).equals(bytes), `${bytes.length} bytes in pieces of ${pieceBytes}`);
        }
    });

    test("is refused where it is cut short at any byte", async () => {
      for (let end = 0; end < whole.length; end += 1)
        await fails(coding, whole.subarray(0, end), /^The body cannot be decoded: /);
    });

    test("is refused with anything behind its end that is no more of it", async () => {
      for (const [what, more] of Object.entries({
        "a zero": Buffer.alloc(1),
        zeros: Buffer.alloc(700),
        "zeros and another": Buffer.concat([Buffer.alloc(8), encode(text)]),
        garbage: Buffer.from("garbage"),
        "much garbage": Buffer.alloc(200_000, 1),
        "a line end": Buffer.from("\n"),
        "the first byte of another": encode(text).subarray(0, 1),
        "the first bytes of another": encode(text).subarray(0, 3),
        "another that is cut": encode(text).subarray(0, -1),
      })) {
        for (const pieceBytes of [whole.length, whole.length + more.length, 13])
          await assert.rejects(decoded(coding, Buffer.concat([whole, more]), pieceBytes), { code: "undecodable" }, what);
      }
    });

    test("is refused where it is something else", async () => {
      await fails(coding, Buffer.from("\xff\xff\xffhello, world", "latin1"), broken(name));
    });

    test("passes on what reading it throws, and leaves nothing running", async () => {
      const [decode] = readCodings([name])?.decoders ?? [];
      const error = new Error("disk");
      const body = fakeBody({ size: 1_000, read: [whole.subarray(0, 10)], error });
      if (decode !== undefined) await assert.rejects(collect(decode(body)), error);
    });

    test("may be left before its end", async () => {
      const [decode] = readCodings([name])?.decoders ?? [];
      assert.ok(decode !== undefined);
      const reader = decode(bodyOf(encode(Buffer.alloc(5_000_000)), 64));
      assert.ok((await reader.next()).value !== undefined);
      await reader.return();
      assert.equal((await reader.next()).done, true);
    });
  });
}

test("has one member, frame or stream: readers that stop behind it miss a second one", async () => {
  for (const [name, encode] of Object.entries(encoders)) {
    const whole = encode(text);
    await fails(name, Buffer.concat([whole, whole]), leftOver(name.replace(" (raw)", "")));
    await fails(name, Buffer.concat([whole, encode(Buffer.alloc(0))]), leftOver(name.replace(" (raw)", "")));
  }
});

test("zstd may have frames to be skipped", async () => {
  const skippable = Buffer.concat([Buffer.from([0x53, 0x2a, 0x4d, 0x18, 4, 0, 0, 0]), Buffer.from("skip")]);
  const whole = encoders.zstd(text);
  for (const parts of [
    [skippable, whole],
    [whole, skippable],
    [skippable, whole, skippable],
  ])
    for (const pieceBytes of [1, 100_000]) assert.ok((await decoded("zstd", Buffer.concat(parts), pieceBytes)).equals(text));
  for (let end = 1; end < skippable.length; end += 1)
    await assert.rejects(decoded("zstd", Buffer.concat([whole, skippable.subarray(0, end)])), { code: "undecodable" });
});

test("zstd may end like the beginning of a further frame", async () => {
  const params = { [constants.ZSTD_c_checksumFlag]: 1 };
  let tried = 0;
  for (let at = 0; tried < 8; at += 1) {
    const bytes = Buffer.from(`text ${at}`);
    const whole = zstdCompressSync(bytes, { params });
    const last = whole.at(-1) ?? 0;
    if (last !== 0x28 && (last & 0xf0) !== 0x50) continue;
    tried += 1;
    assert.ok((await decoded("zstd", whole)).equals(bytes));
    await fails("zstd", Buffer.concat([whole, Buffer.from([0x28])]), leftOver("zstd"));
  }
});

test("zstd with a larger window than RFC 9659 allows is refused, for the memory that it takes", async () => {
  const params = { [constants.ZSTD_c_windowLog]: 27 };
  const coded = zstdCompressSync(Buffer.alloc(9 * 1024 * 1024, "abcdefgh"), { params });
  await assert.rejects(decoded("zstd", coded), { code: "undecodable" });
  const allowed = zstdCompressSync(Buffer.alloc(9 * 1024 * 1024, "abcdefgh"), { params: { [constants.ZSTD_c_windowLog]: 23 } });
  assert.equal((await decoded("zstd", allowed)).length, 9 * 1024 * 1024);
});

test("a body that both readings of deflate decode is refused; one that starts so by chance is not", async () => {
  const stored = (bytes: Buffer, isLast: boolean) => {
    const head = Buffer.alloc(5);
    head.writeUInt8(isLast ? 1 : 0, 0);
    head.writeUInt16LE(bytes.length, 1);
    head.writeUInt16LE(~bytes.length & 0xffff, 3);
    return Buffer.concat([head, bytes]);
  };
  // Read as zlib: a head, then a stored block of 0xfffe bytes. Read bare: a stored block of one byte, the next of which begins with the last zero.
  const bare = Buffer.concat([stored(Buffer.from("the other reading"), false).subarray(1), stored(Buffer.alloc(0), true)]);
  const content = Buffer.concat([bare, Buffer.alloc(0xfffe - bare.length)]);
  const zlib = Buffer.concat([Buffer.from("780100feff0100", "hex"), content, stored(Buffer.alloc(0), true)]);
  const adler = deflateSync(content, { level: 0 }).subarray(-4);
  const both = Buffer.concat([zlib, adler]);
  await fails("deflate", both, /two ways/);
  // The same zlib stream whose bare reading is broken behind its first block.
  const one = Buffer.from(both);
  one[8] = 0x07;
  const sum = deflateSync(one.subarray(7, 7 + 0xfffe), { level: 0 }).subarray(-4);
  sum.copy(one, one.length - 4);
  assert.equal((await decoded("deflate", one)).length, 0xfffe);
});
