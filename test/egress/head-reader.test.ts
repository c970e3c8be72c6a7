import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HeadReader } from "../../src/egress/answer-head.ts";
import { costMs } from "../cost.ts";
import { failsWith } from "../front/proxy/refusing.ts";

const final = "HTTP/1.1 200 OK\r\nA: 1\r\n\r\n";
const interim = "HTTP/1.1 100 Continue\r\n\r\n";

/** What goes on of an answer that comes in pieces of so many bytes. */
function passed(answer: string, pieceBytes: number, maxBytes = 1000): string {
  const reader = new HeadReader(maxBytes);
  reader.expect();
  const bytes = Buffer.from(answer, "latin1");
  let text = "";
  for (let at = 0; at < bytes.length; at += pieceBytes)
    text += reader.take(bytes.subarray(at, at + pieceBytes)).toString("latin1");
  return text;
}

describe("HeadReader", () => {
  const answers: readonly (readonly [what: string, answer: string, handedOn: string])[] = [
    ["a plain answer", `${final}body\n\nHTTP/1.1 100 X\r\n\r\n`, `${final}body\n\nHTTP/1.1 100 X\r\n\r\n`],
    ["interim answers", `${interim}HTTP/1.1 103 X\nLink: </x>\n\n${interim}${final}body`, `${final}body`],
    ["bare line feeds", `${final.replaceAll("\r", "")}\r\n`, `${final}\r\n`],
    ["a head that never ends", "HTTP/1.1 200 OK\r\nA: 1\r\n", ""],
  ];
  for (const [what, answer, handedOn] of answers) {
    test(`hands on ${what}, in whatever pieces it comes`, () => {
      for (const pieceBytes of [1, 2, 3, 7, 1000]) assert.equal(passed(answer, pieceBytes), handedOn);
    });
  }

  for (const [what, answer, why] of [
    ["an empty line", `\r\n${final}`, "The origin's answer begins with an empty line"],
    [
      "a bare empty line before an odd head",
      "\nHTTP/1.1 200 OK\nContent-Length : 5\n\n",
      "The origin's answer begins with an empty line",
    ],
    ["another protocol", "SSH-2.0-x\n\nHTTP/1.1", "The origin's answer is not HTTP"],
    ["nearly its name", `http${final.slice(4)}`, "The origin's answer is not HTTP"],
    ["an empty line behind an interim answer", `${interim}\r\n${final}`, "The origin's answer begins with an empty line"],
  ] as const) {
    test(`refuses what begins with ${what}, in whatever pieces it comes`, () => {
      for (const pieceBytes of [1, 2, 3, 7, 1000])
        assert.throws(() => passed(answer, pieceBytes), failsWith("upstream-failed", why));
    });
  }

  test("looks at no byte of a long line again for each byte that comes", () => {
    const reader = new HeadReader(5_000_000);
    reader.expect();
    reader.take(Buffer.from(`HTTP/1.1 200 OK\r\nA: ${"a".repeat(4_000_000)}`));
    const byte = Buffer.from("a");
    const ms = costMs(() => {
      for (let turn = 0; turn < 20_000; turn += 1) reader.take(byte);
    });
    assert.ok(ms < 1_000, `${ms} ms`);
  });

  test("takes heads of so many bytes, interim ones included, and not of one more", () => {
    const answer = `${interim}${final}`;
    for (const pieceBytes of [1, 10, 1000]) {
      assert.equal(passed(`${answer}body`, pieceBytes, answer.length), `${final}body`);
      assert.throws(() => passed(`${answer}body`, pieceBytes, answer.length - 1), failsWith("upstream-failed"));
      assert.throws(() => passed(interim.repeat(100), pieceBytes, 1000), failsWith("upstream-failed"));
    }
  });

  test("leaves to the parser what nobody has asked for", () => {
    const reader = new HeadReader(1000);
    assert.equal(reader.take(Buffer.from(interim)).toString(), interim);
    reader.expect();
    assert.equal(reader.take(Buffer.from(`${interim}${final}x`)).toString(), `${final}x`);
    assert.equal(reader.take(Buffer.from(interim)).toString(), interim);
    reader.expect();
    assert.equal(reader.take(Buffer.from(`${interim}${final}y`)).toString(), `${final}y`);
  });
});
