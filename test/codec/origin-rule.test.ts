import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseOriginRule, parsePrivateRule } from "../../src/codec/origin-rule.ts";

const exact = (name: string) => ({ kind: "exact", name }) as const;

describe("parseOriginRule", () => {
  test("reads an origin with its scheme, port and prefix", () => {
    const origin = { kind: "origin", schemes: ["https"], host: exact("files.example"), port: null, prefix: "/" };
    assert.deepEqual(parseOriginRule("https://files.example"), origin);
    assert.deepEqual(parseOriginRule("https://files.example/"), origin);
    assert.deepEqual(parseOriginRule("HTTPS://Files.Example."), origin);
    assert.deepEqual(parseOriginRule("http://files.example:8081/a/@b/"), {
      ...origin,
      schemes: ["http"],
      port: 8081,
      prefix: "/a/@b/",
    });
  });

  test("reads a wildcard alone, for both schemes, and with a scheme, for one", () => {
    const host = { kind: "subdomains", domain: "example.com" };
    assert.deepEqual(parseOriginRule("*.example.com"), {
      kind: "origin",
      schemes: ["http", "https"],
      host,
      port: null,
      prefix: "/",
    });
    assert.deepEqual(parseOriginRule("https://*.example.com:8443/x"), {
      kind: "origin",
      schemes: ["https"],
      host,
      port: 8443,
      prefix: "/x",
    });
  });

  test("writes names in punycode and addresses in their one spelling, as URL will write a request's", () => {
    const hostOf = (text: string) => {
      const rule = parseOriginRule(text);
      return rule?.kind === "origin" ? rule.host : null;
    };
    assert.deepEqual(hostOf("https://bücher.example"), exact("xn--bcher-kva.example"));
    assert.deepEqual(hostOf("https://127.1"), exact("127.0.0.1"));
    assert.deepEqual(hostOf("https://[0:0:0:0:0:0:0:1]"), exact("::1"));
    assert.deepEqual(hostOf("https://[::ffff:1.2.3.4]"), exact("1.2.3.4"));
  });

  test("reads any as every origin", () => assert.deepEqual(parseOriginRule("any"), { kind: "any" }));

  const wrong = [
    "",
    "*",
    "*.",
    "*.*.example",
    "a.*.example",
    "example.com",
    "ftp://h",
    "https:h",
    "https:/h",
    "https:///h",
    "https://",
    "//h",
  ];
  const tricky = [
    "https://u@h",
    "https://h?x",
    "https://h#x",
    "https://h/a?x",
    "https://h/a#x",
    "https://h/../a",
    "https://h/%2e%2e/a",
    "https://h\\a",
  ];
  const ports = [
    "https://h:",
    "https://h:0",
    "https://h:65536",
    "https://h:*",
    "https://h:x",
    "https://[::1",
    "https://[::1]x",
    "https://::1",
  ];
  const hosts = [
    "*.10.0.0.1",
    "*.[::1]",
    "https://h h",
    "https://h\t",
    "https://a..b",
    "https://%68",
    "https://a!b",
    `https://${"a".repeat(64)}`,
  ];
  for (const text of [...wrong, ...tricky, ...ports, ...hosts]) {
    test(`refuses ${JSON.stringify(text)}`, () => assert.equal(parseOriginRule(text), null));
  }
});

describe("parsePrivateRule", () => {
  const range = (network: string, family: 4 | 6, bits: number, port: number | "any" | "default") => ({
    kind: "range",
    range: { network: { text: network, family }, bits },
    port,
  });
  const cases = [
    ["pypi.internal:8080", { kind: "host", host: "pypi.internal", port: 8080 }],
    ["Redis:*", { kind: "host", host: "redis", port: "any" }],
    ["10.0.0.0/8", range("10.0.0.0", 4, 8, "default")],
    ["10.0.0.0/8:8081", range("10.0.0.0", 4, 8, 8081)],
    ["10.0.0.0/8:*", range("10.0.0.0", 4, 8, "any")],
    ["fd00::/8", range("fd00::", 6, 8, "default")],
    ["fd00::/8:8081", range("fd00::", 6, 8, 8081)],
    ["[fd00::]/8:8081", range("fd00::", 6, 8, 8081)],
    ["10.0.0.1", range("10.0.0.1", 4, 32, "default")],
    ["10.0.0.1:81", range("10.0.0.1", 4, 32, 81)],
    ["::1", range("::1", 6, 128, "default")],
    ["[::1]:81", range("::1", 6, 128, 81)],
  ] as const;
  for (const [text, rule] of cases) test(`reads ${text}`, () => assert.deepEqual(parsePrivateRule(text), rule));

  const wrong = [
    "",
    "host",
    "host:",
    ":80",
    "host:0",
    "host:65536",
    "*.internal:80",
    "10.0.0.1/8",
    "10.0.0.0/8:",
    "10.0.0.0/33",
    "http://h:80",
  ];
  for (const text of [...wrong, "a b:80", "[::1]", "u@h:80", "h?:80", "h/8", "10.0.0.0/8:80:80"]) {
    test(`refuses ${JSON.stringify(text)}`, () => assert.equal(parsePrivateRule(text), null));
  }
});
