import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Endpoint } from "../../src/egress/origin-gate.ts";
import { createAddressGate, isForbiddenAddress } from "../../src/egress/origin-gate.ts";
import { parseBase } from "../../src/front/proxy/download-address.ts";
import { isRefused } from "../front/proxy/refusing.ts";
import { privates } from "../front/proxy/rules.ts";

/** First and last address of each range of S6 and S7. */
const forbidden = [
  ["0.0.0.0", "0.255.255.255"],
  ["10.0.0.0", "10.255.255.255"],
  ["100.64.0.0", "100.127.255.255"],
  ["127.0.0.0", "127.255.255.255"],
  ["169.254.0.0", "169.254.255.255"],
  ["172.16.0.0", "172.31.255.255"],
  ["192.0.0.0", "192.0.0.255"],
  ["192.0.2.0", "192.0.2.255"],
  ["192.88.99.0", "192.88.99.255"],
  ["192.168.0.0", "192.168.255.255"],
  ["198.18.0.0", "198.19.255.255"],
  ["198.51.100.0", "198.51.100.255"],
  ["203.0.113.0", "203.0.113.255"],
  ["224.0.0.0", "239.255.255.255"],
  ["240.0.0.0", "255.255.255.255"],
  ["::", "::"],
  ["::1", "::1"],
  ["::", "::ffff:ffff"],
  ["::ffff:0:0", "::ffff:0.255.255.255"],
  ["::ffff:127.0.0.1", "::ffff:192.168.1.1"],
  ["64:ff9b::", "64:ff9b::ffff:ffff"],
  ["64:ff9b::8.8.8.8", "64:ff9b::127.0.0.1"],
  ["64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"],
  ["100::", "100::ffff:ffff:ffff:ffff"],
  ["2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff"],
  ["2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"],
  ["2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff"],
  ["2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
  ["2002:7f00:1::", "2002:808:808::1"],
  ["fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
  ["fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
  ["fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
  ["ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
] as const;

describe("isForbiddenAddress (S6, S7)", () => {
  for (const [first, last] of forbidden) {
    test(`holds ${first} to ${last}`, () => assert.deepEqual([first, last].map(isForbiddenAddress), [true, true]));
  }

  test("lets pass only what is global unicast, next to the ranges' ends", () => {
    const open = [
      "1.0.0.0",
      "9.255.255.255",
      "11.0.0.0",
      "100.63.255.255",
      "100.128.0.0",
      "126.255.255.255",
      "128.0.0.0",
      "172.15.255.255",
    ];
    const more = [
      "172.32.0.0",
      "192.0.1.0",
      "192.167.255.255",
      "192.169.0.0",
      "198.17.255.255",
      "198.20.0.0",
      "223.255.255.255",
      "::ffff:8.8.8.8",
    ];
    for (const address of [...open, ...more, "2606:4700:4700::1111", "2a00:1450::1", "2003::", "2000::1"])
      assert.equal(isForbiddenAddress(address), false, address);
  });

  test("allows no part of IPv6 that has not been given out", () => {
    for (const address of ["200::1", "1fff::1", "4000::1", "8000::1", "fbff::1", "64:ff9b:2::1", "3fff::1", "5f00::1"])
      assert.equal(isForbiddenAddress(address), true, address);
  });

  test("refuses zone ids and whatever is no address (S7)", () => {
    for (const text of ["fe80::1%eth0", "::1%1", "2606:4700::1%eth0", "127.1", "", "localhost", "8.8.8.8 "])
      assert.equal(isForbiddenAddress(text), true, text);
  });

  test("knows the clouds' metadata addresses, also the one in a public range", () => {
    for (const text of ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16"])
      assert.ok(isForbiddenAddress(text));
  });
});

interface Given {
  readonly privates?: string[];
  readonly own?: Endpoint[];
  readonly local?: string[];
  readonly isPortOpen?: boolean;
}

function check(given: Given, url: string, addresses: string[]): readonly string[] {
  const gate = createAddressGate({
    allowPrivate: privates(...(given.privates ?? [])),
    ownEndpoints: given.own ?? [],
    localAddresses: () => given.local ?? [],
  });
  return gate.check(parseBase(url), addresses, { isPortOpen: given.isPortOpen ?? true });
}

const refuses = (given: Given, url: string, addresses: string[]) =>
  assert.throws(() => check(given, url, addresses), isRefused, addresses.join());

describe("an address gate", () => {
  test("returns all addresses in their one spelling, each once, in order", () => {
    assert.deepEqual(check({}, "http://h.example/", ["2606:4700:0::1", "1.1.1.1", "::ffff:1.1.1.1"]), [
      "2606:4700::1",
      "1.1.1.1",
    ]);
  });

  test("refuses when a single address is forbidden, wherever it stands (S3, S21)", () => {
    for (const bad of ["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "fe80::1", "0.0.0.0"]) {
      refuses({}, "http://h.example/", [bad]);
      refuses({}, "http://h.example/", ["1.1.1.1", "2606:4700::1", bad]);
      refuses({}, "http://h.example/", [bad, "1.1.1.1"]);
    }
  });

  test("refuses answers that are no addresses (S22)", () => {
    for (const odd of ["", "evil.internal", "127.1", "fe80::1%lo"]) refuses({}, "http://h.example/", ["1.1.1.1", odd]);
  });

  test("judges ten thousand addresses and finds the one (S22)", () => {
    const many = Array.from({ length: 10_000 }, (_, index) => `1.1.${index >> 8}.${index & 255}`);
    assert.equal(check({}, "http://h.example/", many).length, 10_000);
    refuses({}, "http://h.example/", [...many, "127.0.0.1"]);
  });
});

describe("DOWNLOAD_ALLOW_PRIVATE at the address gate (S10)", () => {
  test("a range lets its addresses pass, and no others", () => {
    assert.deepEqual(check({ privates: ["10.1.0.0/16"] }, "http://h.example/", ["10.1.2.3", "1.1.1.1"]), ["10.1.2.3", "1.1.1.1"]);
    refuses({ privates: ["10.1.0.0/16"] }, "http://h.example/", ["10.1.2.3", "10.2.0.1"]);
  });

  test("a range with a port opens this port for its addresses only", () => {
    const given = { privates: ["10.0.0.0/8:8081"], isPortOpen: false };
    check(given, "http://h.example:8081/", ["10.1.2.3"]);
    refuses(given, "http://h.example:8081/", ["1.1.1.1"]);
    refuses(given, "http://h.example:8081/", ["10.1.2.3", "1.1.1.1"]);
    refuses(given, "http://h.example:8082/", ["10.1.2.3"]);
    check({ privates: ["10.0.0.0/8:*"], isPortOpen: false }, "http://h.example:1/", ["10.1.2.3"]);
    refuses({ privates: ["10.0.0.0/8:8081"] }, "http://h.example/", ["10.1.2.3"]);
  });

  test("a host may lead to private addresses under its own name and port, not elsewhere inside", () => {
    const given = { privates: ["devpi.internal:80"] };
    assert.deepEqual(check(given, "http://devpi.internal/", ["10.0.0.5", "fd12::5"]), ["10.0.0.5", "fd12::5"]);
    refuses(given, "http://other.internal/", ["10.0.0.5"]);
    refuses(given, "http://devpi.internal:81/", ["10.0.0.5"]);
    for (const address of ["127.0.0.1", "::1", "169.254.169.254", "169.254.1.1", "fd00:ec2::254", "100.100.100.200", "0.0.0.0"])
      refuses(given, "http://devpi.internal/", [address]);
  });

  test("loopback needs a range of its own, or the name localhost", () => {
    for (const range of ["127.0.0.0/8", "127.0.0.1", "127.0.0.0/30"])
      check({ privates: [range] }, "http://h.example/", ["127.0.0.1"]);
    check({ privates: ["::1"] }, "http://h.example/", ["::1"]);
    check({ privates: ["localhost:80"] }, "http://localhost/", ["127.0.0.1", "::1"]);
    for (const range of ["0.0.0.0/0", "64.0.0.0/2", "::/0", "::/64"]) {
      refuses({ privates: [range] }, "http://h.example/", ["127.0.0.1"]);
      refuses({ privates: [range] }, "http://h.example/", ["::1"]);
    }
  });

  test("metadata addresses need an entry each", () => {
    check({ privates: ["169.254.169.254"] }, "http://h.example/", ["169.254.169.254"]);
    check({ privates: ["fd00:ec2::254"] }, "http://h.example/", ["fd00:ec2::254"]);
    for (const range of ["169.254.0.0/16", "169.254.169.254/31", "0.0.0.0/0", "100.64.0.0/10", "fd00::/8"])
      for (const address of ["169.254.169.254", "100.100.100.200", "fd00:ec2::254", "168.63.129.16"])
        refuses({ privates: [range] }, "http://h.example/", [address]);
  });

  test("nothing opens 0.0.0.0, which is this machine, or multicast", () => {
    const given = { privates: ["0.0.0.0/0:*", "0.0.0.0:*", "::/0:*", "[::]:*", "224.0.0.0/4:*"] };
    for (const address of ["0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "ff02::1"]) refuses(given, "http://h.example/", [address]);
  });
});

describe("own endpoints at the address gate (S11)", () => {
  const privatesOfAll = ["127.0.0.0/8:*", "::1/128:*", "10.0.0.0/8:*"];

  test("are refused by address, whatever name leads there and whatever is listed", () => {
    const own = [{ host: "10.0.0.7", port: 6379 }];
    refuses({ own, privates: privatesOfAll }, "http://h.example:6379/", ["10.0.0.7"]);
    refuses({ own, privates: privatesOfAll }, "http://h.example:6379/", ["10.0.0.8", "::ffff:10.0.0.7"]);
    check({ own, privates: privatesOfAll }, "http://h.example:6380/", ["10.0.0.7"]);
    refuses({ own: [{ host: "10.0.0.7", port: null }], privates: privatesOfAll }, "http://h.example:1/", ["10.0.0.7"]);
  });

  for (const host of ["0.0.0.0", "::"]) {
    test(`a listener on ${host} is every address of this machine`, () => {
      const given = { own: [{ host, port: 8080 }], local: ["10.0.0.9", "203.0.114.9", "fe80::1%eth0"], privates: privatesOfAll };
      for (const address of ["127.0.0.1", "127.8.8.8", "::1", "10.0.0.9", "203.0.114.9"])
        refuses(given, "http://h.example:8080/", [address]);
      check(given, "http://h.example:8081/", ["127.0.0.1", "10.0.0.9"]);
      check(given, "http://h.example:8080/", ["10.0.0.10"]);
    });
  }
});
