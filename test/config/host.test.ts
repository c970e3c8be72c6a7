import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { host, readHostPort, readPort } from "../../src/config/addresses.ts";
import { faultsOf, valueFrom } from "./parsing.ts";

describe("host", () => {
  test("takes names and addresses, and takes the brackets off IPv6", () => {
    for (const text of [
      "localhost",
      "clamd.default.svc.cluster.local",
      "clam_av",
      "a.example.",
      "0.0.0.0",
      "::",
      "::1",
      "fe80::1%eth0",
    ]) {
      assert.equal(valueFrom(host(), text), text);
    }
    assert.equal(valueFrom(host(), "[::1]"), "::1");
  });

  test("refuses what is neither", () => {
    const longLabel = "a".repeat(64);
    for (const text of [
      "a b",
      "a:9000",
      "http://a",
      "[a]",
      "[127.0.0.1]",
      "999.0.0.1",
      "1.2.3",
      "1",
      "-a",
      "a-",
      "a..b",
      ".",
      "[]",
      "a/b",
      longLabel,
      "a.".repeat(127),
    ]) {
      assert.deepEqual(faultsOf(host(), text), [`${text} is not a host`]);
    }
  });
});

describe("readHostPort", () => {
  test("splits a host from its port", () => {
    assert.deepEqual(readHostPort("clamd:3310"), { host: "clamd", port: 3310 });
    assert.deepEqual(readHostPort("127.0.0.1:1"), { host: "127.0.0.1", port: 1 });
    assert.deepEqual(readHostPort("[::1]:65535"), { host: "::1", port: 65_535 });
  });

  test("is null without a host, without a port, and for IPv6 without brackets", () => {
    for (const text of [
      "",
      ":",
      "clamd",
      "clamd:",
      ":3310",
      "clamd:0",
      "clamd:65536",
      "clamd:x",
      "::1:3310",
      "[::1]",
      "[clamd]:3310",
      "a:b:1",
      "a:1:",
    ]) {
      assert.equal(readHostPort(text), null, text);
    }
  });

  test("splits every address with every port", () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.ipV6(), fc.integer({ min: 1, max: 65_535 }), (v4, v6, port) => {
        assert.deepEqual(readHostPort(`${v4}:${port}`), { host: v4, port });
        assert.deepEqual(readHostPort(`[${v6}]:${port}`), { host: v6, port });
        assert.equal(readHostPort(`${v6}:${port}`), null);
      }),
    );
  });
});

describe("readPort", () => {
  test("takes 1 to 65535", () => {
    assert.deepEqual(["0", "1", "65535", "65536", "", "1.5", " 1"].map(readPort), [null, 1, 65_535, null, null, null, null]);
  });
});
