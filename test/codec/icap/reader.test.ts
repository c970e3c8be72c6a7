import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { mayBeginRequest } from "../../../src/codec/icap/request-head.ts";
import { costMs } from "../../cost.ts";
import { parse, parseInEveryCut, type ReadRequest } from "./driver.ts";

const httpRequest = "GET http://a.example/f HTTP/1.1\r\nHost: a.example\r\n\r\n";
const httpResponse = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";

function resp(fields: string, rest: string, encapsulated = `res-hdr=0, res-body=${httpResponse.length}`): string {
  return `RESPMOD icap://h/avscan ICAP/1.0\r\nHost: h\r\n${fields}Encapsulated: ${encapsulated}\r\n\r\n${rest}`;
}

/** Read alone and with another request behind it. */
function read(text: string): ReadRequest {
  const next = "OPTIONS icap://h/next ICAP/1.0\r\n\r\n";
  const { requests, fault } = parseInEveryCut(text + next);
  assert.equal(fault, null);
  assert.equal(requests.length, 2);
  assert.equal(requests[1]?.service, "next");
  const [alone] = parseInEveryCut(text).requests;
  assert.deepEqual(alone, requests[0], "with trailing bytes");
  return alone ?? assert.fail("nothing was read");
}

function refusal(text: string): string {
  const { fault } = parseInEveryCut(text);
  return fault ?? assert.fail("it was accepted");
}

describe("IcapReader: what is accepted", () => {
  test("reads a response with its head and body", () => {
    const one = read(resp("Allow: 204\r\n", `${httpResponse}5\r\nhello\r\n0\r\n\r\n`));
    assert.equal(one.method, "RESPMOD");
    assert.equal(one.service, "avscan");
    assert.equal(one.responseHead, httpResponse);
    assert.equal(one.requestHead, null);
    assert.equal(one.body, "hello");
    assert.equal(one.askedAfter, null);
    assert.ok(!one.isInPreview);
  });

  test("reads both heads by their offsets", () => {
    const both = `req-hdr=0, res-hdr=${httpRequest.length}, res-body=${httpRequest.length + httpResponse.length}`;
    const one = read(resp("", `${httpRequest}${httpResponse}2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n`, both));
    assert.equal(one.requestHead, httpRequest);
    assert.equal(one.responseHead, httpResponse);
    assert.equal(one.body, "abcde");
  });

  test("reads a request without a body and without chunks (Squid, each GET)", () => {
    const head = `REQMOD icap://h:1344/proxy ICAP/1.0\r\nEncapsulated: req-hdr=0, null-body=${httpRequest.length}\r\nPreview: 0\r\n\r\n`;
    const one = read(head + httpRequest);
    assert.equal(one.requestHead, httpRequest);
    assert.ok(!one.hasBody && one.isInPreview && one.askedAfter === null);
  });

  test("asks for the rest of a body after a preview without ieof", () => {
    const one = read(resp("Preview: 3\r\n", `${httpResponse}3\r\nhel\r\n0\r\n\r\n2\r\nlo\r\n0\r\n\r\n`));
    assert.equal(one.askedAfter, 3);
    assert.equal(one.body, "hello");
    assert.ok(!one.isInPreview);
  });

  test("asks after an empty preview", () => {
    const one = read(resp("Preview: 0\r\n", `${httpResponse}0\r\n\r\n5\r\nhello\r\n0\r\n\r\n`));
    assert.equal(one.askedAfter, 0);
    assert.equal(one.body, "hello");
  });

  for (const last of [
    "0; ieof",
    "0;ieof",
    "0;IEOF",
    "0 ; ieof",
    "0\t;\tIeof ",
    "0; a=b; ieof",
    '0; a="x; y"; ieof',
    "000;ieof=1",
  ]) {
    test(`takes ${JSON.stringify(last)} for the end of the body`, () => {
      const one = read(resp("Preview: 9\r\n", `${httpResponse}5\r\nhello\r\n${last}\r\n\r\n`));
      assert.ok(one.isInPreview && one.isWhole);
      assert.equal(one.askedAfter, null);
    });
  }

  test("takes ieof without Preview for nothing", () => {
    const one = read(resp("", `${httpResponse}5\r\nhello\r\n0; ieof\r\n\r\n`));
    assert.ok(!one.isInPreview);
  });

  test("does not take ieof within a value, or after the preview, for the end of a preview", () => {
    const one = read(resp("Preview: 1\r\n", `${httpResponse}1\r\nh\r\n0; a="ieof"\r\n\r\n4\r\nello\r\n0; ieof\r\n\r\n`));
    assert.equal(one.askedAfter, 1);
    assert.ok(!one.isInPreview);
  });

  test("takes more bytes in a preview than were announced", () => {
    const one = read(resp("Preview: 2\r\n", `${httpResponse}5\r\nhello\r\n0; ieof\r\n\r\n`));
    assert.equal(one.body, "hello");
  });

  test("keeps trailers as they came", () => {
    const one = read(resp("", `${httpResponse}5\r\nhello\r\n0\r\nX-Sum: 1\r\nx-more:\r\n\r\n`));
    assert.equal(one.trailers, "X-Sum: 1\r\nx-more:\r\n");
  });

  const compositions: readonly (readonly [string, string])[] = [
    [`RES-HDR=0, Res-Body=${httpResponse.length}`, httpResponse],
    [`res-hdr=0 res-body=${httpResponse.length}`, httpResponse],
    [`  res-hdr=0 ,\tres-body=${httpResponse.length}`, httpResponse],
    ["res-body=0", ""],
    ["res-hdr=0, res-body=4", "\r\n\r\n"],
  ];
  for (const [encapsulated, heads] of compositions) {
    test(`accepts Encapsulated: ${JSON.stringify(encapsulated)}`, () => {
      assert.equal(read(resp("", `${heads}5\r\nhello\r\n0\r\n\r\n`, encapsulated)).body, "hello");
    });
  }

  test("accepts a request without Host and with no blank behind a colon", () => {
    const text = "RESPMOD /x?allow204=on ICAP/1.0\r\nX-Empty:\r\nEncapsulated:res-body=0\r\n\r\n0\r\n\r\n";
    assert.equal(read(text).service, "x");
  });

  for (const [uri, service] of [
    ["icap://h:1344/avscan?x=/y", "avscan"],
    ["ICAPS://[::1]:11344/a/b", "a/b"],
    ["icap://h", ""],
    ["icap://h?x", ""],
    ["icap:///x", "x"],
    ["/", ""],
    ["//x", "/x"],
  ]) {
    test(`takes ${service === "" ? "no path" : service} out of ${uri}`, () => {
      assert.equal(read(`OPTIONS ${uri} ICAP/1.0\r\nEncapsulated:  null-body=0\r\n\r\n`).service, service);
    });
  }

  test("passes over the body of OPTIONS", () => {
    const one = read("OPTIONS icap://h/x ICAP/1.0\r\nEncapsulated: opt-body=0\r\n\r\na\r\n0123456789\r\n0\r\n\r\n");
    assert.equal(one.body, "0123456789");
  });

  test("skips up to eight empty lines before a request", () => {
    const request = "OPTIONS icap://h/x ICAP/1.0\r\n\r\n";
    assert.equal(parseInEveryCut("\r\n".repeat(8) + request).requests.length, 1);
    assert.match(refusal("\r\n".repeat(9) + request), /^400 more than 8 empty lines/);
  });

  test("joins a folded line with one blank", () => {
    const { fault } = parseInEveryCut("OPTIONS /x ICAP/1.0\r\nUser-Agent: a\r\n  b\r\n\r\n");
    assert.equal(fault, null);
  });

  test("is not within a request before and between them", () => {
    assert.ok(!parse([Buffer.from("OPTIONS /x ICAP/1.0\r\n\r\n\r\n")]).isWithin);
    assert.ok(parse([Buffer.from("O")]).isWithin);
    assert.ok(parse([Buffer.from("OPTIONS /x ICAP/1.0\r\n")]).isWithin);
  });
});

describe("IcapReader: what is refused", () => {
  const heads: readonly (readonly [string, string])[] = [
    ["FOO icap://h/x ICAP/1.0\r\n\r\n", "501"],
    ["respmod icap://h/x ICAP/1.0\r\n\r\n", "501"],
    ["OPTIONS icap://h/x ICAP/2.0\r\n\r\n", "505"],
    ["OPTIONS icap://h/x HTTP/1.1\r\n\r\n", "400"],
    ["OPTIONS  icap://h/x ICAP/1.0\r\n\r\n", "400"],
    ["OPTIONS http://h/x ICAP/1.0\r\n\r\n", "400"],
    ["OPTIONS * ICAP/1.0\r\n\r\n", "400"],
    ["OPTIONS /x\0 ICAP/1.0\r\n\r\n", "400"],
    ["OPTIONS /x ICAP/1.0\n\n", "400"],
    ["OPTIONS /x ICAP/1.0\r\nA: b\n\r\n", "400"],
    ["OPTIONS /x ICAP/1.0\r\nA: b\rc\r\n\r\n", "400"],
    ["OPTIONS /x ICAP/1.0\r\nA: b\0\r\n\r\n", "400"],
    ["OPTIONS /x ICAP/1.0\r\nA : b\r\n\r\n", "400"],
    ["OPTIONS /x ICAP/1.0\r\nA\r\n\r\n", "400"],
    ["OPTIONS /x ICAP/1.0\r\n: b\r\n\r\n", "400"],
    ["OPTIONS /x ICAP/1.0\r\n A: b\r\n\r\n", "400"],
    ["OPTIONS /x ICAP/1.0\r\nAllow: 204\r\n ,206\r\n\r\n", "400"],
    ["OPTIONS /x ICAP/1.0\r\nConnection: keep-alive\r\n\tclose\r\n\r\n", "400"],
    [`OPTIONS /${"x".repeat(8 * 1024)} ICAP/1.0\r\n\r\n`, "400"],
    [`OPTIONS /x ICAP/1.0\r\nA: ${"x".repeat(16 * 1024)}\r\n\r\n`, "400"],
    [`OPTIONS /x ICAP/1.0\r\n${"A: b\r\n".repeat(101)}\r\n`, "400"],
  ];
  for (const [text, status] of heads) {
    test(`answers ${status} to ${JSON.stringify(text.slice(0, 60))}`, () => {
      const { requests, fault } = parseInEveryCut(text);
      assert.ok(fault?.startsWith(`${status} `), String(fault));
      assert.equal(requests.length, 0, "its head could not be read");
    });
  }

  test("takes heads at their limits", () => {
    const line = `OPTIONS /${"x".repeat(8 * 1024 - "OPTIONS / ICAP/1.0".length)} ICAP/1.0\r\n`;
    const fields = "A: b\r\n".repeat(100);
    assert.equal(parse([Buffer.from(`${line}${fields}\r\n`)]).requests.length, 1);
    const long = `OPTIONS /x ICAP/1.0\r\nA: ${"x".repeat(16 * 1024 - 5)}\r\n\r\n`;
    assert.equal(parse([Buffer.from(long)]).requests.length, 1);
  });

  const n = httpResponse.length;
  const compositions: readonly (readonly [string, string])[] = [
    ["res-hdr=0", "400"],
    ["res-body=5", "400"],
    [`res-hdr=0, res-body=${n}, null-body=${n}`, "400"],
    [`res-hdr=0, res-body=${n}, null-body=${n + 9}`, "400"],
    [`res-body=0, res-hdr=${n}`, "400"],
    ["res-hdr=0, res-body=0", "400"],
    [`res-hdr=${n}, res-body=0`, "400"],
    ["res-hdr=0, res-body=-1", "400"],
    ["res-hdr=0, res-body=1e3", "400"],
    [`res-hdr=0, res-body=${2 ** 40}`, "400"],
    [`res-hdr=0, res-body=${2 ** 31}`, "400"],
    [`res-hdr=0, res-hdr=9, res-body=${n}`, "400"],
    [`res-hdr=0, foo-hdr=9, res-body=${n}`, "400"],
    [`res-hdr=0, res-body=${n}x`, "400"],
    ["", "400"],
    ["res-hdr=0, res-body=65537", "400"],
    [`req-hdr=0, req-body=${n}`, "418"],
    [`res-hdr=0, opt-body=${n}`, "418"],
    [`res-hdr=0, res-body=${n - 1}`, "400"],
    [`res-hdr=0, res-body=${n + 1}`, "400"],
    [`req-hdr=0, res-hdr=10, res-body=${n}`, "400"],
  ];
  for (const [encapsulated, status] of compositions) {
    test(`refuses Encapsulated: ${encapsulated} with ${status}, as a fault of that request`, () => {
      const { requests, fault } = parseInEveryCut(
        resp("", `${httpResponse}5\r\nhello\r\n0\r\n\r\n${"x".repeat(70_000)}`, encapsulated),
      );
      assert.ok(fault?.startsWith(`${status} `), String(fault));
      assert.match(fault ?? "", /\(byte \d+ of the request\)$/);
      assert.equal(requests.length, 1);
      assert.equal(requests[0]?.body, "");
    });
  }

  test("refuses a response's part in REQMOD with 418", () => {
    const head = "REQMOD icap://h/x ICAP/1.0\r\nEncapsulated: ";
    assert.match(refusal(`${head}res-hdr=0, null-body=4\r\n\r\n\r\n\r\n`), /^418 /);
    assert.match(refusal(`${head}req-hdr=0, res-body=4\r\n\r\n\r\n\r\n`), /^418 /);
  });

  test("refuses a mod without Encapsulated, and one with two", () => {
    assert.match(refusal("RESPMOD icap://h/x ICAP/1.0\r\n\r\n"), /^400 Encapsulated is missing/);
    assert.match(refusal(resp("Encapsulated: res-body=0\r\n", "", "res-body=0")), /^400 the header encapsulated is there more/);
  });

  for (const preview of ["-1", "a", "1.5", "2147483649", "99999999999", ""]) {
    test(`refuses Preview: ${preview}`, () => {
      assert.match(refusal(resp(`Preview: ${preview}\r\n`, "", "res-body=0")), /^400 Preview is /);
    });
  }

  test("refuses a head that ends before its offset", () => {
    const two = "HTTP/1.1 200 OK\r\n\r\nA: b\r\n\r\n";
    assert.match(refusal(resp("", `${two}0\r\n\r\n`, `res-hdr=0, res-body=${two.length}`)), /^400 Encapsulated has an offset/);
  });

  for (const chunk of [
    "-1\r\nx",
    "0x5\r\nhello",
    "1234567890abcdef\r\n",
    "\r\n",
    "5\nhello",
    " 5\r\nhello",
    "5;\r\nhello",
    "5; =x\r\nhello",
    '5; a="x\r\nhello',
    "5 x\r\nhello",
    `5; a=${"x".repeat(1024)}\r\nhello\r\n`,
    "5\r\nhelloX\r\n0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "5\r\nhello0\r\n\r\n",
    "5\r\nhello\r\n\r\n0\r\n\r\n",
    "0\r\nno colon\r\n\r\n",
    "0\r\nA: b\n\r\n",
    "0\r\nA : b\r\n\r\n",
    `0\r\n${`A: ${"x".repeat(1000)}\r\n`.repeat(9)}\r\n`,
  ]) {
    test(`refuses the chunk ${JSON.stringify(chunk.slice(0, 30))}`, () => {
      assert.match(refusal(resp("", httpResponse + chunk)), /^400 /);
    });
  }

  test("refuses extensions of more than 16 KiB in one message", () => {
    const chunk = `1; a=${"x".repeat(1000)}\r\nx\r\n`;
    assert.match(refusal(resp("", httpResponse + chunk.repeat(17))), /^400 the chunks' extensions/);
    assert.equal(parse([Buffer.from(resp("", `${httpResponse}${chunk.repeat(16)}0\r\n\r\n`))]).fault, null);
  });

  test("refuses trailers before the end of the body, and a large body of OPTIONS", () => {
    assert.match(refusal(resp("Preview: 5\r\n", `${httpResponse}0\r\nA: b\r\n\r\n`)), /^400 trailers stand before/);
    const options = "OPTIONS /x ICAP/1.0\r\nEncapsulated: opt-body=0\r\n\r\n";
    assert.match(refusal(`${options}10001\r\n`), /^400 the body of OPTIONS/);
  });

  test("holds no more of a line that never ends than its limit, at no cost that grows", () => {
    const line = Buffer.alloc(1024 * 1024, "x");
    const each = function* () {
      for (let at = 0; at < line.length; at += 1) yield line.subarray(at, at + 1);
    };
    assert.ok(costMs(() => assert.match(parse(each()).fault ?? "", /^400 the request line is longer than 8192 bytes/)) < 1_000);
  });
});

describe("mayBeginRequest", () => {
  for (const text of ["", "\r", "\r\n", "\r\n\r\nO", "R", "RESP", "OPTIONS icap://h", "\r\nREQMOD x", "REQMOD "]) {
    test(`is true of ${JSON.stringify(text)}`, () => assert.ok(mayBeginRequest(Buffer.from(text))));
  }
  for (const text of ["EVIL\r\n", "0\r\n\r\n", "RESPMODx", "options ", "\n", "\rR", " OPTIONS "]) {
    test(`is false of ${JSON.stringify(text)}`, () => assert.ok(!mayBeginRequest(Buffer.from(text))));
  }
});
