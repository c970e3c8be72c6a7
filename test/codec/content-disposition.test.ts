import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { fileNameOf } from "../../src/codec/content-disposition.ts";
import { anyString } from "../any-string.ts";

describe("fileNameOf", () => {
  const vectors: readonly (readonly [string | undefined, string | null])[] = [
    ['form-data; name="f"; filename="a.txt"', "a.txt"],
    ["form-data; name=f; filename=a.txt", "a.txt"],
    ['attachment; FileName="A.TXT"', "A.TXT"],
    ['form-data; name=""; filename="a"', "a"],
    ['form-data; filename="käse 日本.txt"', "käse 日本.txt"],
    ['form-data; filename="a;b=c.txt"', "a;b=c.txt"],
    ['form-data; filename="a\\"b\\\\c.txt"', 'a"b\\c.txt'],
    ['form-data; filename="C:\\dev\\go\\foo.txt"', "C:\\dev\\go\\foo.txt"],
    ['form-data; filename="/etc/x/passwd"', "passwd"],
    ['form-data; filename="a/b//"', "b"],
    ['form-data; filename="../.."', ".."],
    ['form-data; filename="///"', "/"],
    ['form-data; filename="."', "."],
    ["form-data; filename*=UTF-8''k%C3%A4se.txt", "käse.txt"],
    ["form-data; filename*=utf-8'en'k%c3%a4se.txt; filename=plain", "käse.txt"],
    ["form-data; filename=plain; filename*=us-ascii''star", "star"],
    ["form-data; filename=plain; filename*=ISO-8859-1''k%E4se", "plain"],
    ["form-data; filename=plain; filename*=UTF-8''bad%4", "plain"],
    ["form-data; filename=plain; filename*=no-quotes", "plain"],
    ['form-data; filename*0="long "; filename*1="name.txt"', "long name.txt"],
    ["form-data; filename*0*=UTF-8''k%C3; filename*1*=%A4se; filename*2=.txt", "käse.txt"],
    ["form-data; filename*1=b; filename*0=a", "ab"],
    ["form-data; filename*0=a; filename*2=c", "a"],
    ["form-data; filename*1=b", null],
    ["form-data; filename*=UTF-8''a%2Fb", "b"],
    ["form-data; filename*=UTF-8''a%0D%0Ab%00c%1b%7F", "a\ufffd\ufffdb\ufffdc\ufffd\ufffd"],
    ["form-data; filename*=UTF-8''a%FFb%C3", "a\ufffdb\ufffd"],
    ["form-data; filename*=UTF-8''%C2%85", "\ufffd"],
    ['form-data; filename="a\0b"', "a\ufffdb"],
    ['form-data; filename="a\ufffdb"', "a\ufffdb"],
    ['form-data; filename="a%22b.txt"', "a%22b.txt"],
    ["form-data; filename=a; filename=a", "a"],
    ["\xa0form-data\u2003;\xa0filename\u3000=\xa0a\u2028", "a"],
    [undefined, null],
    ["", null],
    ["form-data", null],
    ['form-data; name="f"', null],
    ['form-data; name="f"; filename=""', null],
    ["form-data; filename=", null],
    ["form-data; filename*=UTF-8''", null],
    ['form-data; filename="open', null],
    ["form-data; filename=two words", null],
    ["form-data; filename=a; filename=b", null],
    ['form-data; filename="a\r\nb"', null],
    ["; filename=a", null],
    ["form-data filename=a", null],
  ];
  for (const [header, expected] of vectors) {
    test(`reads ${JSON.stringify(expected)} from ${JSON.stringify(header ?? null)}`, () =>
      assert.equal(fileNameOf(header), expected));
  }

  test("gives any string a name without slash and control characters, or none", () => {
    const value = fc.oneof(
      anyString(),
      anyString().map((name) => `form-data; filename="${name}"`),
      fc.uint8Array().map((name) => `form-data; filename*=UTF-8''${Buffer.from(name).toString("hex").replaceAll(/../g, "%$&")}`),
    );
    fc.assert(
      fc.property(value, (header) => {
        const name = fileNameOf(header);
        if (name === null) return;
        assert.ok(name.length > 0);
        assert.ok(name === "/" || !name.includes("/"));
        for (const character of name) {
          const code = character.codePointAt(0) ?? 0;
          assert.ok(code >= 0x20 && code !== 0x7f, JSON.stringify(name));
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
