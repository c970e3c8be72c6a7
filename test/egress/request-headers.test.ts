import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hasPassedHere, type RequestHeadersOptions, requestHeaders } from "../../src/egress/request-headers.ts";
import { failsWith } from "../front/proxy/refusing.ts";

const plain: RequestHeadersOptions = { forwardAuthorization: true, forwardHeaders: [], gatewayId: "a1" };
const own = ["Accept-Encoding", "identity", "Via", "1.1 clamgate-a1"];
const sent = (lines: string[], options: Partial<RequestHeadersOptions> = {}, isFirstOrigin = true) =>
  requestHeaders(lines, { ...plain, ...options }, isFirstOrigin);

describe("requestHeaders (P20)", () => {
  test("sends on what says what the client wants, as it was written", () => {
    const wanted = [
      "Accept",
      "a/b",
      "ACCEPT-language",
      "de",
      "User-Agent",
      "pip/\xe9",
      "If-None-Match",
      '"x"',
      "If-Modified-Since",
      "d",
    ];
    const more = ["Cache-Control", "no-cache", "Pragma", "no-cache", "Authorization", "Basic x", "Accept", "second"];
    assert.deepEqual(sent([...wanted, ...more]), [...wanted, ...more, ...own]);
  });

  const never = [
    "Host",
    "Cookie",
    "Connection",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Expect",
    "Proxy-Authorization",
  ];
  const neither = [
    "Proxy-Connection",
    "Proxy-X",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "Forwarded",
    "X-Real-IP",
    "Content-Length",
    "Content-Type",
  ];
  for (const name of [
    ...never,
    ...neither,
    "Range",
    "If-Range",
    "Accept-Encoding",
    "Download-From",
    "Cache-Scan",
    "X-Clamgate-X",
    "X-Other",
  ]) {
    test(`does not send ${name} on (P11, P20, P45, S20)`, () => assert.deepEqual(sent([name, "x"]), own));
    if (name === "Cookie" || name === "X-Other") continue;
    test(`does not send ${name} on though a route lists it`, () =>
      assert.deepEqual(sent([name, "x"], { forwardHeaders: [name] }), own));
  }

  test("sends on what a route lists", () => {
    assert.deepEqual(sent(["Cookie", "c", "X-Token", "t"], { forwardHeaders: ["cookie", "X-TOKEN"] }), [
      "Cookie",
      "c",
      "X-Token",
      "t",
      ...own,
    ]);
  });

  test("keeps whatever Connection lists to this side", () => {
    assert.deepEqual(
      sent(["Accept", "x", "Connection", "close, Accept", "connection", "authorization", "Authorization", "y"]),
      own,
    );
  });

  test("keeps credentials from another origin, and when it is told to (S9)", () => {
    const lines = ["Authorization", "x", "Cookie", "c", "Accept", "y"];
    assert.deepEqual(sent(lines, { forwardHeaders: ["cookie"] }, false), ["Accept", "y", ...own]);
    assert.deepEqual(sent(lines, { forwardAuthorization: false }), ["Accept", "y", ...own]);
  });

  for (const value of ["a\r\nX: y", "a\nb", "a\0b", "a\x7f", "\u0100"]) {
    test(`refuses the value ${JSON.stringify(value)} (S15)`, () => {
      assert.throws(() => sent(["User-Agent", value]), failsWith("malformed"));
      assert.deepEqual(sent(["X-Not-Sent", value]), own);
    });
  }
});

describe("Via (P29)", () => {
  test("replaces the client's, but keeps the gateways it came through", () => {
    const via = ["Via", "1.0 nginx, 1.1 clamgate-b2 (x)", "via", "1.1 clamgate-b2, 1.1 secret.internal"];
    assert.deepEqual(sent(via), ["Via", "1.1 clamgate-b2", ...own]);
  });

  test("tells this gateway's own request, whatever stands around its name", () => {
    for (const via of ["1.1 clamgate-a1", "1.0 x, 1.1  clamgate-a1 (comment)", "HTTP/1.1 CLAMGATE-A1"])
      assert.ok(hasPassedHere(["Via", via], "a1"), via);
    for (const via of ["", "1.1 clamgate-a", "1.1 clamgate-a11", "1.1 x-clamgate-a1", "clamgate-a1"])
      assert.ok(!hasPassedHere(["Via", via], "a1"), via);
    assert.ok(!hasPassedHere([], "a1"));
  });
});
