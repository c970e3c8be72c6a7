import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createOriginRules, type Endpoint } from "../../src/egress/origin-gate.ts";
import { join, parseBase } from "../../src/front/proxy/download-address.ts";
import { isRefused } from "../front/proxy/refusing.ts";
import { origins, privates } from "../front/proxy/rules.ts";

interface Given {
  readonly origins?: string[];
  readonly redirects?: string[];
  readonly privates?: string[];
  readonly own?: Endpoint[];
}

function rulesOf(given: Given) {
  return createOriginRules({
    origins: origins(...(given.origins ?? ["any"])),
    redirectOrigins: origins(...(given.redirects ?? [])),
    allowPrivate: privates(...(given.privates ?? [])),
    ownEndpoints: given.own ?? [],
  });
}

const allows = (given: Given, url: string) => rulesOf(given).check(parseBase(url), "request");
const refuses = (given: Given, url: string) => assert.throws(() => allows(given, url), isRefused, url);

describe("DOWNLOAD_ORIGINS (S1)", () => {
  test("an exact origin is its scheme, host and port, and nothing like it", () => {
    const given = { origins: ["https://files.example"] };
    assert.deepEqual(allows(given, "https://files.example/x"), { isPortOpen: true });
    for (const url of [
      "http://files.example/",
      "https://files.example:8443/",
      "https://a.files.example/",
      "https://files.example.evil.test/",
    ])
      refuses(given, url);
    for (const url of ["https://xfiles.example/", "https://example/", "https://files.exampl/"]) refuses(given, url);
  });

  test("a wildcard stands for whole labels below the domain, not for the domain or for half a label", () => {
    const given = { origins: ["*.example.com"] };
    for (const url of ["https://a.example.com/", "http://a.b.example.com/", "https://A.EXAMPLE.COM./"]) allows(given, url);
    for (const url of [
      "https://example.com/",
      "https://evilexample.com/",
      "https://a.example.com.evil.test/",
      "https://a.example.com:8443/",
    ])
      refuses(given, url);
  });

  test("names are compared in punycode", () => {
    allows({ origins: ["https://bücher.example"] }, "https://xn--bcher-kva.example/");
    refuses({ origins: ["https://example.com"] }, "https://xn--exmple-cua.com/");
  });

  test("a prefix holds at segment boundaries, for encoded dots too", () => {
    const given = { origins: ["https://h.example/simple"] };
    for (const url of ["https://h.example/simple", "https://h.example/simple/", "https://h.example/simple/a?b"])
      allows(given, url);
    for (const url of ["https://h.example/", "https://h.example/simplex", "https://h.example/%73imple/"]) refuses(given, url);
    const base = parseBase("https://h.example/");
    assert.throws(() => rulesOf(given).check(join(base, "/simple/..%2fother"), "request"), isRefused);
    assert.throws(() => rulesOf(given).check(join(base, "/simple/%2e%2e/other"), "request"), isRefused);
  });

  test("a listed port is open for that origin alone", () => {
    const given = { origins: ["any", "https://h.example:8443"] };
    assert.deepEqual(allows(given, "https://h.example:8443/"), { isPortOpen: true });
    refuses(given, "https://other.example:8443/");
    refuses(given, "http://h.example:8443/");
  });

  test("an empty list allows nothing", () => refuses({ origins: [] }, "https://h.example/"));

  test("any is every name on the default ports (S2)", () => {
    assert.deepEqual(allows({}, "https://h.example/"), { isPortOpen: true });
    allows({}, "http://1.1.1.1/");
    for (const port of [0, 22, 25, 443, 3310, 6379, 8080, 9000]) refuses({}, `http://h.example:${port}/`);
    refuses({}, "https://h.example:80/");
  });
});

describe("DOWNLOAD_REDIRECT_ORIGINS (S9)", () => {
  test("is wider for redirects only", () => {
    const given = { origins: ["https://h.example"], redirects: ["*.cdn.example"] };
    const rules = rulesOf(given);
    rules.check(parseBase("https://a.cdn.example/"), "redirect");
    rules.check(parseBase("https://h.example/"), "redirect");
    assert.throws(() => rules.check(parseBase("https://a.cdn.example/"), "request"), isRefused);
    assert.throws(() => rules.check(parseBase("https://evil.example/"), "redirect"), isRefused);
  });
});

describe("internal names (S8)", () => {
  const names = [
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "printer.local",
    "metadata.google.internal",
    "x.internal",
    "redis",
    "clamd",
  ];
  for (const name of [...names, "api.default.svc.cluster.local", "nas.home.arpa", "pc.lan", "intranet"]) {
    test(`${name} is refused before DNS unless it is listed`, () => {
      refuses({}, `http://${name}/`);
      const bare = name.toLowerCase().replace(/\.$/, "");
      allows({ origins: [`http://${bare}`] }, `http://${name}/`);
      allows({ privates: [`${bare}:80`] }, `http://${name}/`);
      refuses({ privates: [`${bare}:81`] }, `http://${name}/`);
      refuses({ privates: ["0.0.0.0/0", "127.0.0.0/8:*"] }, `http://${name}/`);
    });
  }

  test("a wildcard may list them", () => {
    allows({ origins: ["*.svc.cluster.local"] }, "http://devpi.default.svc.cluster.local/");
  });

  test("names that only look like them are not meant", () => {
    for (const url of ["http://localhost.example/", "http://mylocal.example/", "http://internal.example/"]) allows({}, url);
  });
});

describe("DOWNLOAD_ALLOW_PRIVATE and ports (S2, S10)", () => {
  test("a listed host has its port open", () => {
    assert.deepEqual(allows({ privates: ["devpi.example:3141"] }, "http://devpi.example:3141/"), { isPortOpen: true });
    assert.deepEqual(allows({ privates: ["devpi.example:*"] }, "http://devpi.example:1/"), { isPortOpen: true });
    refuses({ privates: ["devpi.example:3141"] }, "http://other.example:3141/");
  });

  test("a listed range leaves the port to the address gate", () => {
    assert.deepEqual(allows({ privates: ["10.0.0.0/8:8081"] }, "http://h.example:8081/"), { isPortOpen: false });
    refuses({ privates: ["10.0.0.0/8"] }, "http://h.example:8081/");
  });

  test("does not make an origin allowed that the list of origins leaves out", () => {
    refuses({ origins: ["https://h.example"], privates: ["devpi.internal:80"] }, "http://devpi.internal/");
  });
});

describe("own endpoints (S11)", () => {
  const own = [
    { host: "Proxy.example", port: null },
    { host: "redis", port: 6379 },
    { host: "::1", port: 9000 },
  ];
  test("are refused by name whatever is listed", () => {
    refuses({ own }, "https://proxy.example/");
    refuses({ own, origins: ["http://redis:6379"], privates: ["redis:6379"] }, "http://redis:6379/");
    refuses({ own, origins: ["http://[::1]:9000"], privates: ["[::1]:9000"] }, "http://[::1]:9000/");
    allows({ own, origins: ["http://redis:80"] }, "http://redis/");
  });
});
