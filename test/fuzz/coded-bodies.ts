/** Bodies in content codings, right and odd, under right and odd names. */

import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { expand, type Markers } from "./harness/marked-text.ts";

export interface CodedBody {
  /** From the inside out. */
  readonly layers: readonly Layer[];
  /** Names of codings that nobody applied, and how many layers stand before each. */
  readonly extra: readonly { readonly at: number; readonly name: string }[];
  readonly layout: "one line" | "a line each" | "upper case";
  /** A value for Transfer-Encoding; "": none. */
  readonly transfer: string;
}

interface Layer {
  readonly coding: Coding;
  /** What the head calls it. */
  readonly name: string;
  readonly oddity: Oddity;
}

const encode = {
  gzip: (bytes: Buffer) => gzipSync(bytes),
  deflate: (bytes: Buffer) => deflateSync(bytes),
  "raw deflate": (bytes: Buffer) => deflateRawSync(bytes),
  br: (bytes: Buffer) => brotliCompressSync(bytes),
  zstd: (bytes: Buffer) => zstdCompressSync(bytes),
} as const;
type Coding = keyof typeof encode;
const codings = Object.keys(encode) as Coding[]; // the keys of encode

const harmless = Buffer.from("hello");
/** What may stand around the member that holds everything. */
const oddities = {
  none: (whole: Buffer) => whole,
  "behind another": (whole: Buffer, coding: Coding) => Buffer.concat([encode[coding](harmless), whole]),
  "behind another and zeros": (whole: Buffer, coding: Coding) =>
    Buffer.concat([encode[coding](harmless), Buffer.alloc(8), whole]),
  "behind another and junk": (whole: Buffer, coding: Coding) =>
    Buffer.concat([encode[coding](harmless), Buffer.from("junk"), whole]),
  "behind an empty one": (whole: Buffer, coding: Coding) => Buffer.concat([encode[coding](Buffer.alloc(0)), whole]),
  "before another": (whole: Buffer, coding: Coding) => Buffer.concat([whole, encode[coding](harmless)]),
  "before junk": (whole: Buffer) => Buffer.concat([whole, Buffer.from("junk")]),
  "before zeros": (whole: Buffer) => Buffer.concat([whole, Buffer.alloc(8)]),
  "behind junk": (whole: Buffer) => Buffer.concat([Buffer.from("junk"), whole]),
  "a checksum short": (whole: Buffer) => whole.subarray(0, -4),
  "a wrong checksum": (whole: Buffer) => Buffer.concat([whole.subarray(0, -1), Buffer.from([1 + (whole.at(-1) ?? 0)])]),
} as const;
type Oddity = keyof typeof oddities;

const odd = Object.keys(oddities) as Oddity[]; // the keys of oddities
const right: Readonly<Record<Coding, string>> = {
  gzip: "gzip",
  deflate: "deflate",
  "raw deflate": "deflate",
  br: "br",
  zstd: "zstd",
};
const aliases = [
  "gzip",
  "x-gzip",
  "deflate",
  "x-deflate",
  "compress",
  "x-compress",
  "br",
  "x-br",
  "zstd",
  "x-zstd",
  "gzip;q=1",
  '"gzip"',
];
const unapplied = ["identity", "none", "foo", "", "utf-8", "gzip", "deflate", "br", "chunked"];

const layer: fc.Arbitrary<Layer> = fc
  .record({
    coding: fc.constantFrom(...codings),
    oddity: fc.oneof({ weight: 4, arbitrary: fc.constant<Oddity>("none") }, fc.constantFrom(...odd)),
    alias: fc.oneof({ weight: 2, arbitrary: fc.constant("") }, fc.constantFrom(...aliases)),
  })
  .map(({ coding, oddity, alias }) => ({ coding, oddity, name: alias === "" ? right[coding] : alias }));

export const codedBodies: fc.Arbitrary<CodedBody> = fc.record({
  layers: fc.array(layer, { maxLength: 3 }),
  extra: fc.oneof(
    { weight: 2, arbitrary: fc.constant([]) },
    fc.array(fc.record({ at: fc.nat(3), name: fc.constantFrom(...unapplied) }), { minLength: 1, maxLength: 2 }),
  ),
  layout: fc.constantFrom("one line", "one line", "a line each", "upper case"),
  transfer: fc.oneof(
    { weight: 8, arbitrary: fc.constant("") },
    fc.constantFrom("chunked", "deflate, chunked", "gzip, chunked", "foo, chunked"),
  ),
});

export function bytesOf({ layers, transfer }: CodedBody, markers: Markers): Buffer {
  let bytes: Buffer = Buffer.from(expand("{marker}", markers), "latin1");
  for (const { coding, oddity } of layers) bytes = oddities[oddity](encode[coding](bytes), coding);
  if (transfer.startsWith("deflate")) return deflateSync(bytes);
  return transfer.startsWith("gzip") ? gzipSync(bytes) : bytes;
}

/** Values of the Content-Encoding lines. */
export function headerLines({ layers, extra, layout }: CodedBody): readonly string[] {
  const list = layers.map(({ name }) => name);
  for (const { at, name } of extra) list.splice(at, 0, name);
  if (list.length === 0) return [];
  if (layout === "a line each") return list;
  const line = list.join(", ");
  return [layout === "upper case" ? line.toUpperCase() : line];
}

const coded = (layers: readonly Layer[], extra: CodedBody["extra"] = [], transfer = ""): CodedBody => ({
  layers,
  extra,
  layout: "one line",
  transfer,
});
const plain = (coding: Coding, name = right[coding]): Layer => ({ coding, oddity: "none", name });

/** Each has misled the gateway, or a reader, once. */
export const misleadingBodies: readonly CodedBody[] = [
  ...codings.map((coding) => coded([plain(coding)])),
  ...odd.map((oddity) => coded([{ coding: "gzip", oddity, name: "gzip" }])),
  coded([plain("gzip"), plain("deflate")]),
  coded([plain("deflate", "x-deflate")]),
  coded([plain("deflate", "compress")]),
  coded([plain("deflate")], [{ at: 1, name: "none" }]),
  coded([plain("gzip"), plain("deflate", "foo")]),
  coded([plain("gzip"), plain("deflate")], [{ at: 1, name: "foo" }]),
  coded([], [], "deflate, chunked"),
];
