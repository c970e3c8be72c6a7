import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { absolutePath, path } from "../../src/config/addresses.ts";
import { faultsOf, valueFrom } from "./parsing.ts";

describe("path", () => {
  test("makes a relative path absolute and resolves its dots", () => {
    assert.equal(valueFrom(path(), "state"), "/srv/clamgate/state");
    assert.equal(valueFrom(path(), "../data/./x/"), "/srv/data/x");
    assert.equal(valueFrom(path(), "/var/lib//clamgate/"), "/var/lib/clamgate");
    assert.equal(valueFrom(path(), "/with space/ü#=:"), "/with space/ü#=:");
  });

  test("refuses what would write another option into a configuration file", () => {
    for (const text of ["/a\nTCPSocket 3310", "/a\0b", '/a"b']) {
      assert.deepEqual(faultsOf(path(), text), [`${text} is not a usable path`]);
    }
  });
});

describe("absolutePath", () => {
  test("takes absolute paths only", () => {
    assert.equal(valueFrom(absolutePath(), "/"), "/");
    assert.equal(valueFrom(absolutePath(), "/data/../uploads/"), "/uploads");
    for (const text of ["uploads", "./uploads", "../uploads", "~", "~/x", "/a\nb"]) {
      assert.deepEqual(faultsOf(absolutePath(), text), [`${text} is not an absolute path`]);
    }
  });

  test("takes one name only where there is but one", () => {
    assert.equal(valueFrom(absolutePath("a.ndb"), "/db/a.ndb"), "/db/a.ndb");
    for (const text of ["/db/b.ndb", "/db/", "/a.ndb/b"]) {
      assert.deepEqual(faultsOf(absolutePath("a.ndb"), text), [`${text} names another file`]);
    }
  });
});
