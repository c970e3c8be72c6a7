import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isShareable } from "../../../../src/front/proxy/shared/shared-downloads.ts";

const cases: readonly (readonly [lines: readonly string[], isForAll: boolean, isForAllAuthorized: boolean])[] = [
  [[], true, false],
  [["Cache-Control", "max-age=600, public"], true, true],
  [["Cache-Control", "s-maxage=1"], true, true],
  [["cache-control", "Must-Revalidate"], true, true],
  [["Cache-Control", "no-cache"], true, false],
  [["Cache-Control", "no-store"], false, false],
  [["Cache-Control", "public, NO-STORE"], false, false],
  [["Cache-Control", "public", "Cache-Control", "max-age=1 ,private"], false, false],
  [["Cache-Control", 'public, private="set-cookie, x"'], false, false],
  [["Cache-Control", 'public, x="no-store"'], true, true],
  [["Cache-Control", "public\xa0"], false, false],
  [["Cache-Control", "public, no-store\xa0"], false, false],
  [["Cache-Control", "public, \xa0private=x"], false, false],
  [["Cache-Control", "public", "Vary", "*\xa0"], false, false],
  [["Vary", "Accept, User-Agent"], true, false],
  [["Vary", "Accept", "VARY", "x, *"], false, false],
  [["Set-Cookie", "a=b", "Cache-Control", "public"], false, false],
];

describe("isShareable (RFC 9111 §3, §3.5, §4.1)", () => {
  for (const [lines, isForAll, isForAllAuthorized] of cases) {
    test(`${JSON.stringify(lines)}: ${isForAll}, with credentials ${isForAllAuthorized}`, () => {
      assert.equal(isShareable([lines], false), isForAll);
      assert.equal(isShareable([lines], true), isForAllAuthorized);
    });
  }

  test("asks it of the redirects, too", () => {
    const ticket = ["Location", "/ticket/1", "Cache-Control", "no-store"];
    assert.equal(isShareable([ticket, ["Content-Length", "1"]], false), false);
  });
});
