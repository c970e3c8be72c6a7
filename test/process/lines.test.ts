import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { describe, test } from "node:test";
import { readLines } from "../../src/process/lines.ts";

/** What the reader makes of these chunks, with lines of at most ten units. */
async function linesOf(...chunks: readonly Uint8Array[]): Promise<readonly string[]> {
  const stream = new PassThrough();
  const lines: string[] = [];
  const done = readLines(stream, { onLine: (line) => lines.push(line), maxLineLength: 10 });
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  await done;
  return lines;
}

const bytesOf = (text: string): Uint8Array => Buffer.from(text);
const oneByOne = (text: string): readonly Uint8Array[] => Array.from(bytesOf(text), (byte) => Uint8Array.of(byte));

describe("readLines", () => {
  for (const [text, expected] of [
    ["", []],
    ["one\ntwo\n", ["one", "two"]],
    ["one\r\ntwo", ["one", "two"]],
    ["\n\n", ["", ""]],
    ["a\0b\n", ["a\0b"]],
    ["größe\n€uro\n", ["größe", "€uro"]],
    ["123456789\n1234567890\n12345678901\nx\n", ["123456789", "1234567890", "1234567890…", "x"]],
    ["12345678901", ["1234567890…"]],
    ["123456789😀\n", ["123456789\ufffd…"]],
  ] as const) {
    test(`reads ${JSON.stringify(text)} whole and byte by byte`, async () => {
      assert.deepEqual(await linesOf(bytesOf(text)), expected);
      assert.deepEqual(await linesOf(...oneByOne(text)), expected);
    });
  }

  test("reads bytes that are no text", async () => {
    assert.deepEqual(await linesOf(Uint8Array.of(0xff, 0xfe, 0x0a)), ["\ufffd\ufffd"]);
  });

  test("delivers what it has when the pipe breaks", async () => {
    const stream = new PassThrough();
    const lines: string[] = [];
    const done = readLines(stream, {
      onLine: (line) => {
        lines.push(line);
        if (line === "one") stream.destroy(new Error("read EIO"));
      },
    });
    stream.write("one\ntwo");
    await done;
    assert.deepEqual(lines, ["one", "two"]);
  });
});
