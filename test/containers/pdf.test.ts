import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { deflateSync } from "node:zlib";
import { nameOf, opened } from "./inspecting.ts";
import { toolSample } from "./tool-samples.ts";

const data = deflateSync("no harm in this");

/** A PDF of one stream with these keys in its dictionary. */
function pdf(keys: string, front = "", behind = ""): Buffer {
  const head = `${front}%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n2 0 obj\n<< ${keys} /Length ${data.length} >>\nstream\n`;
  return Buffer.concat([
    Buffer.from(head, "latin1"),
    data,
    Buffer.from(`\nendstream\nendobj\n${behind}trailer << >>\n`, "latin1"),
  ]);
}

function cut(bytes: Buffer): Buffer {
  return bytes.subarray(0, bytes.indexOf(data) + 10);
}

function encrypted(bytes: Buffer): Buffer {
  const at = bytes.indexOf(data);
  return Buffer.concat([bytes.subarray(0, at), Buffer.alloc(data.length, 0xee), bytes.subarray(at + data.length)]);
}

/** clamd does not see it. */
const hidden: Readonly<Record<string, Buffer>> = {
  "an attachment by qpdf": toolSample("attachment.pdf"),
  "a hex string in a dictionary before it": pdf("/P << /C <00> /S 1 >> /Filter /FlateDecode"),
  "a hex string and a space at the end of one": pdf("/P << /S 1 /C <00> >> /Filter /FlateDecode"),
  "the same without spaces": pdf("/P<</C<00>/S 1>>/Filter/FlateDecode"),
  "the same in an array": pdf("/P [<< /C <00> /S 1 >>] /Filter [/FlateDecode]"),
  "the same with the name spelled out": pdf("/P << /C <00> /S 1 >> /F#69lter /FlateDecode"),
  "the end of a dictionary in a string before it": pdf("/P (>>) /Filter /FlateDecode"),
  "the beginning of one in a string": pdf("/P (<<) /Filter /FlateDecode"),
  "the end of a dictionary in a comment": pdf("% >>\n/Filter /FlateDecode"),
  "the filter by its short name": pdf("/P (>>) /Filter /Fl"),
  "the filter in an array": pdf("/P (>>) /Filter [ /FlateDecode ]"),
};

/** Nor does anybody here unpack them. */
const refused: Readonly<Record<string, Buffer>> = {
  "another filter": pdf("/P (>>) /Filter /LZWDecode"),
  "two filters": pdf("/P (>>) /Filter [/FlateDecode /FlateDecode]"),
  "a stream that is cut": cut(pdf("/P (>>) /Filter /FlateDecode")),
  "a stream that is encrypted": encrypted(pdf("/P (>>) /Filter /FlateDecode")),
  "the filter in another object": pdf("/Filter 6 0 R"),
  "one of its filters in another object": pdf("/Filter [/FlateDecode 6 0 R]"),
  "two filters, one of them in another object": pdf("/Filter /FlateDecode /Filter 6 0 R"),
  "1000 bytes before it": pdf("/Filter 6 0 R", "x".repeat(1000)),
  "a stream far behind": pdf(
    "/Type /X",
    "",
    `3 0 obj\n<< /Length 0 >>\nstream\n${"-".repeat(700_000)}\nendstream\nendobj\n${pdf("/Filter 6 0 R").toString("latin1")}`,
  ),
  "a dictionary of 300 KiB": pdf(`/P (${"x".repeat(300_000)}) /Filter 6 0 R`),
};

const seen: Readonly<Record<string, Buffer>> = {
  "an attachment by qpdf in object streams": toolSample("attachment-in-objects.pdf"),
  "the filter first": pdf("/Filter /FlateDecode /P << /C <00> /S 1 >>"),
  "a hex string that is the last value": pdf("/P << /S 1 /C <00>>> /Filter /FlateDecode"),
  "a hex string on the same level": pdf("/C <00> /Filter /FlateDecode"),
  "parameters behind the filter": pdf("/Filter /FlateDecode /DecodeParms << /Predictor 15 /Columns 4 >>"),
  "no filter": pdf("/P << /C <00> /S 1 >>"),
  "a length in another object": pdf("/Filter /FlateDecode /Length 6 0 R"),
  "a filter in a dictionary that has no stream": pdf("", "", "3 0 obj << /Filter 6 0 R >> endobj\n"),
  "a signature": pdf("", "", "3 0 obj << /Type /Sig /Contents <00ff> /ByteRange [0 1 2 3] /Filter /Adobe.PPKLite >> endobj\n"),
  "an unfinished dictionary": pdf("", "", "3 0 obj << /A (".repeat(100)),
  "no PDF": pdf("/Filter 6 0 R", "x".repeat(1100)),
};

describe("a PDF", () => {
  for (const [name, bytes] of Object.entries(hidden)) {
    test(`has its stream unpacked with ${name}`, async () => {
      const { found, pieces } = await opened(bytes);
      assert.equal(found, null);
      const [piece, ...others] = pieces;
      assert.ok(piece !== undefined && others.length === 0 && !piece.isScanned);
      assert.match(piece.bytes.toString(), name.includes("qpdf") ? /^CLAMGATE-/ : /^no harm in this$/);
    });
  }
  for (const [name, bytes] of Object.entries(refused)) {
    test(`hides a filter with ${name}`, async () => assert.equal(await nameOf(bytes), "Pdf.Filter"));
  }
  for (const [name, bytes] of Object.entries(seen)) {
    test(`passes with ${name}`, async () => assert.equal(await nameOf(bytes), null));
  }

  test("is not read over and over: dictionaries that do not end", async () => {
    assert.equal(await nameOf(Buffer.concat([pdf(""), Buffer.from("obj<<".repeat(20_000))])), "limit-time");
  });

  test("has no dictionary of more than 4 MiB", async () => {
    assert.equal(await nameOf(pdf(`/P (${"x".repeat(5 * 1024 * 1024)}) /Filter 6 0 R`)), "limit-size");
  });
});
