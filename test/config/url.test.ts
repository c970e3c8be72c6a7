import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { proxyServer, url, urls } from "../../src/config/addresses.ts";
import { faultsOf, valueFrom } from "./parsing.ts";

const web = url(["http", "https"]);
const sources = urls(["http", "https", "ftp", "file"]);

describe("url", () => {
  test("gives the text as it is written", () => {
    for (const text of ["https://mirror.example", "HTTP://mirror.example:8080/a%20b?x=1=2", "https://user:pass@[::1]/"]) {
      assert.equal(valueFrom(web, text), text);
    }
  });

  test("refuses other schemes and what is no URL", () => {
    for (const text of [
      "mirror.example",
      "ftp://mirror.example",
      "https:mirror.example",
      "https://",
      "https:///x",
      "https://\\\\x",
      "javascript://x",
      "https://a b",
      "https://a\nDatabaseMirror b",
      "https://a:99999/",
    ]) {
      assert.deepEqual(faultsOf(web, text), [`${text} is not such a URL`]);
    }
  });

  test("shows no credentials of a wrong one", () => {
    assert.deepEqual(faultsOf(web, "ftp://user:secret@mirror.example/"), ["ftp://*** is not such a URL"]);
    assert.deepEqual(faultsOf(web, "user:secret@mirror.example"), ["*** is not such a URL"]);
  });
});

describe("urls", () => {
  test("reads several, of files too", () => {
    const texts = ["https://a.example/x.ndb", "ftp://b.example/y.hdb", "file:///srv/signatures/z.ndb"];
    assert.deepEqual(valueFrom(sources, texts.join(",")), texts);
  });

  test("refuses a file of another machine and a file without a path", () => {
    assert.deepEqual(faultsOf(sources, "file://host/x.ndb,file:///"), [
      "file://host/x.ndb is not such a URL",
      "file:/// is not such a URL",
    ]);
  });

  test("shows no half of a password that holds a comma", () => {
    assert.deepEqual(faultsOf(sources, "https://user:hun,ter2@a.example/x.ndb"), [
      "https://*** is not such a URL",
      "*** is not such a URL",
    ]);
  });

  test("never shows a password, whatever it holds", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: fc.constantFrom(..."xX,;@/:?# \n") }), (noise) => {
        const parsed = sources.parse(`gopher://user:${noise}SECRET${noise}@host/x`, {
          cwd: "/",
          cores: 1,
          stateDirectory: "/",
          maxScanTimeMs: 1,
        });
        assert.equal(parsed.kind, "wrong");
        assert.doesNotMatch(JSON.stringify(parsed), /SECRET/);
      }),
    );
  });
});

describe("proxyServer", () => {
  test("takes a host with and without the kind of proxy", () => {
    for (const text of [
      "proxy.example",
      "10.0.0.1",
      "[::1]",
      "http://proxy.example",
      "https://proxy.example",
      "socks5://proxy.example",
      "socks4a://p",
    ]) {
      assert.equal(valueFrom(proxyServer(), text), text);
    }
  });

  test("refuses what is none, without its credentials", () => {
    for (const text of ["pro xy", "ftp://proxy.example", "http://", "a\nb"])
      assert.deepEqual(faultsOf(proxyServer(), text), [`${text} is not a proxy`]);
    assert.deepEqual(faultsOf(proxyServer(), "ftp://u:p@proxy"), ["ftp://*** is not a proxy"]);
  });
});
