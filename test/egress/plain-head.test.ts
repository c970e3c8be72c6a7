import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { plainHead } from "../../src/egress/answer-head.ts";
import { costMs } from "../cost.ts";
import { failsWith } from "../front/proxy/refusing.ts";

const ok = "HTTP/1.1 200 OK";
const lines = (...all: string[]) => [...all, "", ""].join("\r\n");

describe("plainHead", () => {
  for (const head of [
    lines(ok),
    lines("HTTP/1.0 404 "),
    lines("HTTP/1.1 200 Se\xe9n"),
    lines(ok, "x-B:2", "X-a:   1 \t", "x-b: \xe9", "Empty:", "Content-Length: 5"),
    lines(ok, "Transfer-Encoding: chunked"),
  ])
    test(`leaves ${JSON.stringify(head)} as it is`, () => assert.equal(plainHead(head).text, head));

  const lenient: readonly (readonly [head: string, plain: string])[] = [
    ["HTTP/1.1 200 OK\nA: 1\nB: 2\n\n", lines(ok, "A: 1", "B: 2")],
    ["HTTP/1.1 200 OK\r\nA: 1\nB: 2\r\n\n", lines(ok, "A: 1", "B: 2")],
    [lines("HTTP/1.1 200"), lines("HTTP/1.1 200 ")],
    [lines("HTTP/1.1  200 \tOK"), lines(ok)],
    [lines(ok, "A: 1  ", " \t 2", "\t3", "B: 4"), lines(ok, "A: 1 2 3", "B: 4")],
    [lines(ok, "A: 1", " Content-Length: 9"), lines(ok, "A: 1 Content-Length: 9")],
    [lines(ok, "A \t: 1"), lines(ok, "A: 1")],
    [lines(ok, "Content-Length: 4", "A: 1", "content-length:4"), lines(ok, "Content-Length: 4", "A: 1")],
  ];
  for (const [head, plain] of lenient)
    test(`writes ${JSON.stringify(head)} as the RFC has it`, () => assert.equal(plainHead(head).text, plain));

  const refused: readonly (readonly [head: string, why: RegExp])[] = [
    [lines("HTTP/2 200"), /not HTTP$/],
    [lines("HTTP/1.1 20 OK"), /not HTTP$/],
    [lines("HTTP/1.1 099 OK"), /not HTTP$/],
    [lines("HTTP/1.1 200 O\rK"), /not HTTP$/],
    [lines("ICY 200 OK"), /not HTTP$/],
    [lines(ok, " A: 1", "B: 2"), /begins with a folded line$/],
    [lines(ok, "no colon"), /a header without a colon$/],
    [lines(ok, "A B: 1"), /a space in the name of a header$/],
    [lines(ok, ": 1"), /whose name is none$/],
    [lines(ok, "A\x0b: 1"), /whose name is none$/],
    [lines(ok, "Transfer-Encoding\0: chunked"), /whose name is none$/],
    [lines(ok, "A: 1\rB: 2"), /a bare CR in a header$/],
    [lines(ok, "A: 1\r"), /a bare CR in a header$/],
    [lines(ok, "A: 1\0"), /control characters in a header$/],
    [lines(ok, "A: 1", " 2\x07"), /control characters in a header$/],
    // Whoever has read these before us may have seen another end of the body.
    [lines(ok, "Content-Length : 4"), /no clear length$/],
    [lines(ok, "Transfer-Encoding\t: chunked"), /no clear length$/],
    [lines(ok, "Content-Length:", " 4"), /no clear length$/],
    [lines(ok, "Transfer-Encoding: x,", " chunked"), /no clear length$/],
    [lines(ok, "Content-Length: 4", "Content-Length: 5"), /no clear length$/],
    [lines(ok, "Content-Length: 4", "Content-Length: 04"), /no clear length$/],
    [lines(ok, "Content-Length: 4, 4"), /no clear length$/],
    [lines(ok, "Content-Length: 4", "Transfer-Encoding: chunked"), /two lengths$/],
    [lines(ok, "Transfer-Encoding: gzip, chunked"), /transfer coding/],
    [lines(ok, "Transfer-Encoding: chunked\xa0"), /transfer coding/],
    [lines(ok, "Content-Length: 5\xa0"), /no clear length$/],
    [lines(ok, "Content-Length: 5", "Content-Length: 5\xa0"), /no clear length$/],
  ];
  for (const [head, why] of refused) {
    test(`refuses ${JSON.stringify(head)}`, () => {
      assert.throws(() => plainHead(head), failsWith("upstream-failed"));
      assert.throws(
        () => plainHead(head),
        ({ publicMessage }: { publicMessage: string }) => why.test(publicMessage),
      );
    });
  }

  for (const [where, head] of [
    ["before a colon", lines(ok, `A${" ".repeat(60_000)}B: 1`)],
    ["before what is no reason", lines(`HTTP/1.1 200${" ".repeat(60_000)}\rOK`)],
    ["before what is no status", lines(`HTTP/1.1${" ".repeat(60_000)}x`)],
  ] as const) {
    test(`reads 64 KiB of spaces at once, ${where}`, () => {
      const ms = costMs(() => assert.throws(() => plainHead(head), failsWith("upstream-failed")));
      assert.ok(ms < 500, `${ms} ms`);
    });
  }
});
