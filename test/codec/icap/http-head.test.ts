import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { contentLengthOf, readHttpHead, shownUrl } from "../../../src/codec/icap/http-head.ts";

const read = (text: string) => readHttpHead(Buffer.from(text, "latin1"));

describe("readHttpHead", () => {
  test("reads a request and a response", () => {
    const request = read("POST http://h/f?q HTTP/1.1\r\nHost: h\r\nX: a\r\nx: b\r\n\r\n");
    assert.equal(request.method, "POST");
    assert.equal(request.target, "http://h/f?q");
    assert.equal(request.status, null);
    assert.deepEqual(request.values("x"), ["a", "b"]);
    assert.equal(read("HTTP/1.1 206\r\n\r\n").status, 206);
  });

  test("does without a start line, and with a request line in the place of a status line", () => {
    const alone = read("Content-Length: 5\r\n\r\n");
    assert.equal(alone.method, null);
    assert.equal(alone.status, null);
    assert.equal(contentLengthOf(alone), 5);
    assert.equal(read("GET /f HTTP/1.0\r\n\r\n").target, "/f");
    assert.equal(readHttpHead(null).method, null);
  });

  test("finds a coding that a lenient reader would find", () => {
    assert.deepEqual(read("HTTP/1.1 200 OK\nContent-Encoding : gzip\n\n").values("content-encoding"), ["gzip"]);
    assert.deepEqual(read("HTTP/1.1 200 OK\r\nContent-Encoding:\r\n gzip\r\n\r\n").values("content-encoding"), [" gzip"]);
  });
});

describe("contentLengthOf", () => {
  for (const [lines, expected] of [
    ["Content-Length: 5\r\nContent-Length: 5\r\n", 5],
    ["Content-Length: 5\r\nContent-Length: 6\r\n", null],
    ["Content-Length: 5, 5\r\n", null],
    ["Content-Length: -5\r\n", null],
    ["", null],
  ] as const) {
    test(`is ${expected} of ${JSON.stringify(lines)}`, () => {
      assert.equal(contentLengthOf(read(`GET / HTTP/1.1\r\n${lines}\r\n`)), expected);
    });
  }
});

describe("shownUrl", () => {
  for (const [line, expected] of [
    ["GET http://user:pass@h:8080/p/f?token=1#x HTTP/1.1", "http://h:8080/p/f"],
    ["GET /p/f?token=1 HTTP/1.1\r\nHost: h", "h/p/f"],
    ["GET /p HTTP/1.1\r\nHost: a b", "/p"],
    ["CONNECT user@h:443 HTTP/1.1", "h:443"],
    ["HTTP/1.1 200 OK", null],
  ] as const) {
    test(`is ${expected} of ${line}`, () => assert.equal(shownUrl(read(`${line}\r\n\r\n`)), expected));
  }
});
