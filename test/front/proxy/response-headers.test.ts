import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { responseHeaders } from "../../../src/front/proxy/response-headers.ts";
import { costMs } from "../../cost.ts";

const via = ["Via", "1.1 clamgate-a1"];
const passed = (lines: string[], passSetCookie = false) => responseHeaders(lines, { passSetCookie, gatewayId: "a1" });

describe("responseHeaders (P40)", () => {
  const names = [
    "Content-Type",
    "ETag",
    "Last-Modified",
    "Cache-Control",
    "Content-Disposition",
    "Vary",
    "Docker-Content-Digest",
    "Date",
    "Age",
  ];
  const more = [
    "Docker-Distribution-Api-Version",
    "WWW-Authenticate",
    "Retry-After",
    "npm-notice",
    "X-PyPI-Last-Serial",
    "Content-Encoding",
  ];
  for (const name of [...names, ...more, "X-Whatever"]) {
    test(`passes ${name} byte for byte`, () =>
      assert.deepEqual(passed([name, 'w/"\xe9\t" ; x']), [name, 'w/"\xe9\t" ; x', ...via]));
  }

  test("keeps order, case and repetition, and adds no Content-Type", () => {
    const lines = ["x-B", "2", "X-a", "1", "WWW-Authenticate", "Basic", "WWW-Authenticate", "Bearer"];
    assert.deepEqual(passed(lines), [...lines, ...via]);
  });

  const hops = [
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
  ];
  for (const name of hops) test(`keeps ${name} to the origin's side`, () => assert.deepEqual(passed([name, "x"]), via));

  test("and whatever Connection lists", () => {
    assert.deepEqual(passed(["Connection", "close, X-Hop", "X-Hop", "1", "X-End", "2"]), ["X-End", "2", ...via]);
  });
});

describe("responseHeaders strip what commands others (P41, S17, S19)", () => {
  const accel = [
    "X-Accel-Redirect",
    "X-Accel-Buffering",
    "X-Accel-Expires",
    "X-Accel-Limit-Rate",
    "X-Accel-Charset",
    "x-accel-new",
  ];
  const others = ["X-Sendfile", "X-Sendfile-Temporary", "X-LIGHTTPD-send-file", "X-Reproxy-URL", "X-LiteSpeed-Location"];
  const caches = ["Surrogate-Control", "Surrogate-Key", "CDN-Cache-Control", "Vendor-CDN-Cache-Control", "Edge-Control", "X-Esi"];
  const leads = ["Location", "Refresh", "URI", "Alternates", "Content-Base", "Speculation-Rules", "X-Xet-Hash"];
  const host = ["Alt-Svc", "Strict-Transport-Security", "Public-Key-Pins", "Clear-Site-Data", "Set-Cookie"];
  for (const name of [
    ...accel,
    ...others,
    ...caches,
    ...leads,
    ...host,
    "Report-To",
    "NEL",
    "X-Envoy-Immediate-Health-Check-Fail",
    "X-Clamgate-Verdict",
    "x-clamgate-cache",
    "X-CLAMGATE-SHA256",
  ]) {
    test(name, () => assert.deepEqual(passed([name, "/secret", name.toLowerCase(), "x", name.toUpperCase(), "y"]), via));
  }

  test("lets cookies pass where they are wanted", () => {
    assert.deepEqual(passed(["Set-Cookie", "a=b", "Set-Cookie", "c=d"], true), [
      "Set-Cookie",
      "a=b",
      "Set-Cookie",
      "c=d",
      ...via,
    ]);
  });
});

describe("responseHeaders let nothing lead past the gateway", () => {
  const links: readonly (readonly [value: string, isPassed: boolean])[] = [
    ['</v2/_catalog?last=b&n=2>; rel="next"', true],
    ['<next>; rel=next, <?page=2>; rel="last"; title="a, <b> \\" c"', true],
    ["", true],
    ["<https://elsewhere.example/x>; rel=next", false],
    ['<a>; rel=x, <https://elsewhere.example/x>; rel="xet-auth"', false],
    ["<//elsewhere.example/x>; rel=preload", false],
    ["<\\\\elsewhere.example/x>; rel=preload", false],
    ["</\t/elsewhere.example/x>; rel=preload", false],
    ["<///elsewhere.example/x>; rel=preload", false],
    ["<http:x>; rel=duplicate", false],
    ["https://elsewhere.example/x; rel=next", false],
    ["<a>; rel=x, https://elsewhere.example/x; rel=next", false],
    ['<a>; title="open, <https://elsewhere.example/x>; rel=next', false],
  ];
  for (const [value, isPassed] of links) {
    test(`Link ${JSON.stringify(value)}: ${isPassed ? "passed" : "left out"}`, () =>
      assert.deepEqual(passed(["Link", value]), [...(isPassed ? ["Link", value] : []), ...via]));
  }

  test("looks at 60 KB of a Link at once", () => {
    const values = [
      "<a>".repeat(20_000),
      `<a>${'"'.repeat(59_999)}`,
      `<a>;${"\\".repeat(60_000)}`,
      "<a>, ".repeat(12_000),
      ",".repeat(60_000),
    ];
    const ms = costMs(() => {
      for (const value of values) passed(["Link", value]);
    });
    assert.ok(ms < 1000, `${ms} ms`);
  });

  test("Content-Location, unless it names a place here", () => {
    assert.deepEqual(passed(["Content-Location", "/a/b.txt"]), ["Content-Location", "/a/b.txt", ...via]);
    assert.deepEqual(passed(["Content-Location", "https://elsewhere.example/a"]), via);
    assert.deepEqual(passed(["Content-Location", "\xa0https://elsewhere.example/a"]), via);
    assert.deepEqual(passed(["Link", "<\xa0//elsewhere.example/a>; rel=next"]), via);
  });
});

describe("responseHeaders leave to the sender of the body", () => {
  test("its length and its ranges (P45, P46)", () =>
    assert.deepEqual(passed(["Content-Length", "5", "Accept-Ranges", "bytes"]), via));
});

describe("responseHeaders", () => {
  test("drop what cannot be written as it is (S15)", () => {
    assert.deepEqual(passed(["X-A", "a\r\nX-Accel-Redirect: /x", "X B", "c", "", "d", "X-E", "f\0", "X-G", "h"]), [
      "X-G",
      "h",
      ...via,
    ]);
  });

  test("name this gateway after those before it (P29)", () => {
    assert.deepEqual(passed(["Via", "1.1 varnish", "VIA", "1.0 x (a), 2 y"]), [
      "Via",
      "1.1 varnish, 1.0 x (a), 2 y, 1.1 clamgate-a1",
    ]);
  });
});
