/** Coded forms with room beside what they hold: a second form stands there, for readers that do not undo the coding. */

import { brotliCompressSync, constants, gzipSync, zstdCompressSync } from "node:zlib";

interface Hiding {
  /** For Content-Encoding. */
  readonly coding: string;
  /** Outermost first; the form itself is what the last one decodes to, and not among them. */
  layers(form: Buffer, hidden: Buffer): readonly Buffer[];
}

export const hidings = {
  "the extra field of gzip": { coding: "gzip", layers: (form, hidden) => [gzipWith(form, 4, extraField(hidden))] },
  "the file name of gzip": { coding: "gzip", layers: (form, hidden) => [gzipWith(form, 8, closed(hidden))] },
  "the comment of gzip": { coding: "gzip", layers: (form, hidden) => [gzipWith(form, 16, closed(hidden))] },
  "a frame that zstd skips": {
    coding: "zstd",
    layers: (form, hidden) => [Buffer.concat([skippableFrame(hidden), zstdCompressSync(form)])],
  },
  "the metadata of brotli": { coding: "br", layers: (form, hidden) => [brotliWithMetadata(form, hidden)] },
  "the inner of two codings": {
    coding: "gzip, br",
    layers(form, hidden) {
      const inner = gzipWith(form, 4, extraField(hidden));
      return [brotliCompressSync(inner), inner];
    },
  },
} as const satisfies Readonly<Record<string, Hiding>>;
export type HidingPlace = keyof typeof hidings;
export const hidingPlaces = Object.keys(hidings) as readonly HidingPlace[]; // the keys of hidings

/** RFC 1952 §2.3 */
function gzipWith(form: Buffer, flag: number, field: Buffer): Buffer {
  const head = Buffer.from([0x1f, 0x8b, 8, flag, 0, 0, 0, 0, 0, 3]);
  return Buffer.concat([head, field, gzipSync(form).subarray(head.length)]);
}

function extraField(bytes: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16LE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** `bytes` must not hold a zero. */
function closed(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(1)]);
}

/** RFC 8878 §3.1.2 */
function skippableFrame(bytes: Buffer): Buffer {
  const head = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]);
  head.writeUInt32LE(bytes.length, 4);
  return Buffer.concat([head, bytes]);
}

/** RFC 7932 §9.1, §9.2: a window of 16 bits is the stream's first bit alone, so that what follows it moves by one bit. */
function brotliWithMetadata(form: Buffer, hidden: Buffer): Buffer {
  const whole = brotliCompressSync(form, { params: { [constants.BROTLI_PARAM_LGWIN]: 16 } });
  const rest = whole.map((byte, at) => (byte >> 1) | (((whole[at + 1] ?? 0) & 1) << 7));
  // Of two length bytes the last must not be zero.
  const metadata = Buffer.concat([Buffer.alloc(256, "x"), hidden]);
  const head = Buffer.alloc(3);
  head.writeUIntLE((3 << 2) | (2 << 5) | ((metadata.length - 1) << 7), 0, 3);
  return Buffer.concat([head, metadata, rest]);
}
