import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { cleanPath, redirectTarget } from "../../src/http/manners.ts";

describe("cleanPath (rest.md 5)", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["/", "/"],
    ["//", "/"],
    ["/v2/scan", "/v2/scan"],
    ["/v2/scan/", "/v2/scan/"],
    ["//v2/scan", "/v2/scan"],
    ["/v2//scan", "/v2/scan"],
    ["/a/../scan", "/scan"],
    ["/../../scan", "/scan"],
    ["/./scan", "/scan"],
    ["/a/..", "/"],
    ["/a/../", "/"],
    ["/a/.", "/a"],
    ["/...", "/..."],
    ["/%2e%2e/scan", "/%2e%2e/scan"],
  ];
  for (const [path, cleaned] of cases) {
    test(`makes ${cleaned} of ${path}`, () => assert.equal(cleanPath(path), cleaned));
  }

  test("changes nothing the second time", () => {
    const segments = fc.array(fc.constantFrom("", ".", "..", "a", "b"));
    fc.assert(
      fc.property(segments, (parts) => {
        const once = cleanPath(`/${parts.join("/")}`);
        assert.equal(cleanPath(once), once);
      }),
    );
  });
});

describe("redirectTarget", () => {
  test("keeps the query", () => assert.equal(redirectTarget("//version?a=1?b&c=../x"), "/version?a=1?b&c=../x"));
  test("leaves a clean path alone", () => assert.equal(redirectTarget("/version?path=/a/../b"), null));
  test("leaves an asterisk alone", () => assert.equal(redirectTarget("*"), null));
  test("never leads to another host", () => {
    assert.equal(redirectTarget("//evil.test/.."), "/");
    assert.equal(redirectTarget("/x/../\\evil.test"), "/%5Cevil.test");
  });
  test("sends no byte that a header may not carry", () => assert.equal(redirectTarget("//\u00e4 b"), "/%E4%20b"));
});
