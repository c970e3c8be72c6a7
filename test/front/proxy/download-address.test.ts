import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { originOf, targetOf, urlOf } from "../../../src/egress/target.ts";
import { join, parseBase } from "../../../src/front/proxy/download-address.ts";
import { costMs } from "../../cost.ts";
import { failsWith } from "./refusing.ts";

const joined = (base: string, requestTarget: string) => urlOf(join(parseBase(base), requestTarget));

describe("join (P1: URL join vectors of download-proxy.md 3.0)", () => {
  const vectors = [
    ["https://files.pythonhosted.org/", "packages/a.whl", "https://files.pythonhosted.org/packages/a.whl"],
    ["https://files.pythonhosted.org/", "../../x", "https://files.pythonhosted.org/x"],
    ["https://h/", "@scope/name", "https://h/@scope/name"],
    ["https://h/", "", "https://h/"],
    ["https://h/base", "", "https://h/base"],
    ["https://h/base", "a", "https://h/a"],
    ["https://h/b/?q=1", "a", "https://h/b/a"],
    ["https://h", "a", "https://h/a"],
    ["https://h/", "/a", "https://h/a"],
    ["https://h:443/", "a", "https://h/a"],
    ["http://h:443/", "a", "http://h:443/a"],
  ] as const;
  for (const [base, path, url] of vectors) {
    test(`${base} and ${path || "nothing"} are ${url}`, () => assert.equal(joined(base, `/${path}`), url));
  }

  test("gives the base alone for an empty path with a query, the base's own query dropped (S14)", () => {
    assert.equal(joined("https://h/base?old=1", "/?new=2"), "https://h/base?new=2");
  });

  test("refuses what the seed joins to outside the base's directory: https://h/base/ and /a (P3 over the vector)", () => {
    assert.throws(() => joined("https://h/base/", "//a"), failsWith("malformed"));
  });
});

describe("join keeps the raw request-target (P2)", () => {
  const paths = [
    "/a%2Fb",
    "/a%2fb%3Fc%23d%20e",
    "/a+b;c=d",
    "/%e4%ff",
    "/a%",
    "/a%zz",
    "/~a!$&'()*,=:@",
    '/a"<>^`{|}',
    "/a//b/",
    "/%5C",
    "/a%00",
  ];
  const queries = ["/?X-Amz-Signature=a%2Fb%2B+c", "/a?b?c", "/a?../../x", "/a?\\x", "/a?'\"<>", "/a?http://h/", "/a?"];
  for (const path of [...paths, ...queries, "/caf\xc3\xa9"]) {
    test(`sends ${JSON.stringify(path)} byte for byte`, () => {
      assert.equal(join(parseBase("https://h/"), path).path, path);
      assert.equal(
        join(parseBase("https://h/d%2Fe/"), path).path,
        path.startsWith("/?") ? `/d%2Fe/${path.slice(1)}` : `/d%2Fe${path}`,
      );
    });
  }
});

describe("join stays with the host and inside the directory (P3, S14)", () => {
  const bases = ["https://h/", "https://h/b/", "https://h/b/c"];
  const elsewhere = [
    "///evil/x",
    "////evil/x",
    "/http://evil/x",
    "/HTTP://evil/x",
    "/https:%2F%2Fevil/x",
    "/http:/%2fevil",
    "/x:%5c%5cevil",
    "/x:/\\evil",
  ];
  for (const base of bases) {
    for (const path of [...elsewhere, "/\\\\evil/x", "/\\evil/x", "/a\\..\\x", "/..\\x", "/a/..\\..\\x"]) {
      test(`${base} refuses ${path}`, () => assert.throws(() => joined(base, path), failsWith("malformed")));
    }
  }

  const escapes = ["//x", "/../x", "/%2e%2e/x", "/.%2E/x", "/a/../../x", "/a/%2e./%2e%2E/x", "/..", "/./../x", "/a/./../../x?y"];
  const deeper = [
    "/..%2fx",
    "/%2e%2e%2fx",
    "/..%5cx",
    "/a/..%2f..%2fx",
    "/%252e%252e/x",
    "/..%252fx",
    "/%25252e%252e%25252fx",
    "/..;/x",
    "/..;a=b/x",
    "/..%3b/x",
  ];
  const odd = [
    // Overlong, masked, full-width and `%u` dots and slashes.
    "/%c0%ae%c0%ae/x",
    "/.%c0%ae/x",
    "/%25c0%25ae%25c0%25ae/x",
    "/%e0%80%ae%e0%80%ae/x",
    "/%f0%80%80%ae./x",
    "/%c0%2e%c0%2e/x",
    "/..%c0%afx",
    "/..%c0%2fx",
    "/..%c1%9cx",
    "/..%c1%1cx",
    "/\xc0\xae\xc0\xae/x",
    "/%ef%bc%8e%ef%bc%8e/x",
    "/%e2%80%a5/x",
    "/..%ef%bc%8fx",
    "/..%e2%88%95x",
    "/%u002e%u002e/x",
    "/..%u2215x",
    "/%uff0e./x",
    // What a string in C, a file system or a servlet container leaves out.
    "/..%00/x",
    "/..%00a/x",
    "/.%00./x",
    "/%2e%2e%00/x",
    "/..%20/x",
    "/%20../x",
    "/..%0d/x",
    "/..%2500/x",
    "/;a/..%2fx",
    "/%3b/..%2fx",
    "/.;/..%2fx",
    "/%25%32%65%25%32%65/x",
    "/%25%32%35%32%65./x",
  ];
  for (const path of [...escapes, ...deeper, ...odd, "/a/%2f..%2f../x", "/a%2f%2f..%2f../..%2fx"]) {
    test(`https://h/b/ refuses ${path}, however the origin may decode it`, () => {
      assert.throws(() => joined("https://h/b/", path), failsWith("malformed"));
      assert.equal(new URL(joined("https://h/", path)).host, "h");
    });
  }

  const inside = [
    ["/a/../c", "/b/c"],
    ["/./c/.", "/b/c/"],
    ["/a/%2e%2e/c", "/b/c"],
    ["/a/..", "/b/"],
    ["/a%2f..%2fc", "/b/a%2f..%2fc"],
    ["/...", "/b/..."],
    ["/..a", "/b/..a"],
    ["/%2e%2ea", "/b/%2e%2ea"],
    ["/%c0.tar", "/b/%c0.tar"],
    ["/caf%c3%a9/..%e2%80%a6", "/b/caf%c3%a9/..%e2%80%a6"],
    ["/%e6%97%a5%ef%bc%8fa", "/b/%e6%97%a5%ef%bc%8fa"],
    ["/a%00b", "/b/a%00b"],
    ["/a;v=1/c%20d", "/b/a;v=1/c%20d"],
    ["/100%25/50%", "/b/100%25/50%"],
    ["/%25252525252525/x", "/b/%25252525252525/x"],
  ] as const;
  for (const [path, sent] of inside)
    test(`https://h/b/ takes ${path} as ${sent}`, () => assert.equal(joined("https://h/b/", path), `https://h${sent}`));

  test("keeps a:b/c and http:b/c as path segments", () => {
    assert.equal(joined("https://h/b/", "/a:b/c"), "https://h/b/a:b/c");
    assert.equal(joined("https://h/b/", "/http:b/c"), "https://h/b/http:b/c");
    assert.equal(joined("https://h/b/", "/x/http://evil/y"), "https://h/b/x/http://evil/y");
  });

  test("never leaves the host for any mixture of dots, slashes, colons and backslashes", () => {
    const alphabet = ["/", "\\", ".", "..", ":", "@", "%2e", "%2f", "%5c", "http:", "evil", ";", "?", "%25"];
    // A fixed sequence stands in for chance, so that a failure can be repeated.
    let seed = 7;
    for (let round = 0; round < 20_000; round += 1) {
      let path = "/";
      for (let length = 0; length < 7; length += 1) {
        seed = (seed * 1103515245 + 12345) % 2147483648;
        path += alphabet[Math.floor((seed / 2147483648) * alphabet.length)] ?? "";
      }
      let url: URL;
      try {
        url = new URL(joined("https://h/b/", path));
      } catch (error) {
        failsWith("malformed")(error);
        continue;
      }
      assert.equal(url.origin, "https://h", path);
      // What WHATWG makes of the sent path is inside as well: origin and check cannot disagree.
      assert.ok(url.pathname.startsWith("/b/"), path);
    }
  });
});

describe("join: cost", () => {
  const length = 60_000;
  for (const unit of [";", "..;", "%25", "%", "/", "../front/", "../front/proxy/", "%2e", "%c0%ae", " ", ":", "a"]) {
    for (const end of ["", "%E2%80%A8", "%0a", "/.."]) {
      test(`takes a path of ${JSON.stringify(unit)} and ${JSON.stringify(end)} at once`, () => {
        const path = `/${unit.repeat(length / unit.length)}${end}`;
        const ms = costMs(() => {
          try {
            joined("https://h/b/", path);
          } catch {
            // Refused or not, in no time.
          }
        });
        assert.ok(ms < 500, `${ms} ms`);
      });
    }
  }
});

describe("join refuses what no request line should hold (S15, P8)", () => {
  for (const path of [
    "",
    "*",
    "a",
    "http://h/a",
    "h:443",
    "/a b",
    "/a\tb",
    "/a\r\nX: y",
    "/a\0",
    "/a\x7f",
    "/a#b",
    "/?a b",
    "/\u0100",
  ]) {
    test(JSON.stringify(path), () => assert.throws(() => joined("https://h/", path), failsWith("malformed")));
  }
});

describe("parseBase (P4, S2, S14, S23)", () => {
  test("gives scheme, host, port and directory of one parse", () => {
    assert.deepEqual(parseBase("HTTPS://Files.Example:8443/a/b?c"), {
      scheme: "https",
      host: "files.example",
      port: 8443,
      path: "/a/b",
    });
    assert.deepEqual(parseBase("http://h?q"), { scheme: "http", host: "h", port: 80, path: "/" });
    assert.deepEqual(parseBase("http://[::1]:81/"), { scheme: "http", host: "::1", port: 81, path: "/" });
    assert.deepEqual(parseBase("http://[::ffff:10.0.0.1]/"), { scheme: "http", host: "10.0.0.1", port: 80, path: "/" });
    assert.equal(parseBase("http://h.example./").host, "h.example");
  });

  const schemes = [
    "ftp://h/",
    "file:///etc/passwd",
    "data:,x",
    "gopher://h/",
    "unix:///x",
    "ws://h/",
    "javascript:alert(1)",
    "h/",
    "//h/",
    "://h/",
  ];
  const authorities = [
    "http:h/",
    "http:/h/",
    "http:///h/",
    "http://",
    "http:///",
    "http://?q",
    "http:\\\\h/",
    "http://h\\@evil/",
    "https://h\\evil/",
  ];
  const credentials = ["http://u@h/", "http://u:p@h/", "http://@h/", "http://:@h/", "http://h@evil/", "http://h%40evil/"];
  const texts = [
    "",
    " ",
    "http://h /",
    "http://h/a b",
    "http://h\t/",
    "ht\ntp://h/",
    "http://h/\0",
    "http://h/\x7f",
    "http://h\u00e9/",
    "http://h/#",
    "http://h/#f",
  ];
  const hosts = [
    "http://[::1/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://h:99999/",
    "http://h:x/",
    "http://a..b/",
    "http://a../",
    "http://a!b/",
    "http://*.b/",
    "http://1.2.3.4.5/",
    "http://256.1.1.1/",
    "http://./",
  ];
  for (const text of [...schemes, ...authorities, ...credentials, ...texts, ...hosts, "http://a/,http://b/ "]) {
    test(`refuses ${JSON.stringify(text)}`, () => assert.throws(() => parseBase(text), failsWith("malformed")));
  }

  test("never tells what was written, which may hold a password", () => {
    assert.throws(
      () => parseBase("http://user:secret@h/"),
      (error: Error) => !error.message.includes("secret"),
    );
  });
});

describe("targetOf and originOf", () => {
  for (const spelling of [
    "127.1",
    "2130706433",
    "0x7f.1",
    "0177.0.0.1",
    "127.0.0.1.",
    "%31%32%37.1",
    "１２７.０.０.１",
    "127。0。0。1",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
  ]) {
    test(`sees through ${spelling} (S5)`, () => assert.equal(targetOf(URL.parse(`http://${spelling}/`))?.host, "127.0.0.1"));
  }

  test("puts an IPv6 address in brackets and leaves default ports out", () => {
    assert.equal(originOf(parseBase("http://[::1]:80/")), "http://[::1]");
    assert.equal(originOf(parseBase("https://[::1]:80/")), "https://[::1]:80");
  });

  test("refuses what has no host, another scheme, or credentials", () => {
    for (const text of ["file:///x", "data:,x", "http://u@h/", "http://:p@h/"]) assert.equal(targetOf(URL.parse(text)), null);
  });
});
