import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { queryBytes } from "../../../src/front/rest/path-routes.ts";

describe("queryBytes", () => {
  test("gives back any bytes that are encoded, whatever stands around them", () => {
    const value = fc.uint8Array({ minLength: 1 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(value, value, (bytes, other) => {
        const encoded = [...bytes].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
        assert.deepEqual(queryBytes(`/x?k=${other.toString("base64url")}&path=${encoded}&path=other`, "path"), bytes);
      }),
    );
  });

  test("reads text as a form does", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" })), (values) => {
        const query = new URLSearchParams(values);
        for (const name of Object.keys(values)) {
          assert.equal(queryBytes(`/x?${query}`, name)?.toString() ?? "", values[name]);
        }
      }),
    );
  });

  test("has nothing where there is nothing, and leaves what is no escape", () => {
    for (const target of ["/x", "/x?", "/x?path", "/x?path=", "/x?Path=a", "/path=a", "/x?path=&path=a"])
      assert.equal(queryBytes(target, "path"), null, target);
    assert.equal(queryBytes("/x?path=%zz%2=%&y", "path")?.toString(), "%zz%2=%");
  });
});
