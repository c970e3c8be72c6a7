import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { addressClass, clientNetwork, isInRange, parseIpAddress, parseIpRange } from "../../src/codec/ip-address.ts";

describe("parseIpAddress", () => {
  const spellings = [
    ["127.0.0.1", "127.0.0.1"],
    ["::1", "::1"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["2001:DB8::00A", "2001:db8::a"],
    ["::ffff:127.0.0.1", "127.0.0.1"],
    ["::ffff:7f00:1", "127.0.0.1"],
    ["::127.0.0.1", "::7f00:1"],
  ] as const;
  for (const [text, canonical] of spellings) {
    test(`reads ${text} as ${canonical}`, () => assert.equal(parseIpAddress(text)?.text, canonical));
  }

  const refused = [
    "",
    "127.1",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "2130706433",
    "1.2.3.4.",
    "256.0.0.1",
    " 1.2.3.4",
    "1.2.3.4\n",
    "::1%lo",
  ];
  for (const text of [
    ...refused,
    "[::1]",
    "fe80::1%25eth0",
    "1::2::3",
    "::g",
    "1:2",
    "::1/64",
    "localhost",
    ":",
    "::1@",
    "1.2.3.4:5",
  ]) {
    test(`refuses ${JSON.stringify(text)}`, () => assert.equal(parseIpAddress(text), null));
  }
});

describe("clientNetwork", () => {
  const cases = {
    "192.0.2.7": "192.0.2.7",
    "::ffff:192.0.2.7": "192.0.2.7",
    "::1": "::/64",
    "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
    "2001:db8:1:2:ffff::": "2001:db8:1:2::/64",
    "2001:db8:1:3::6": "2001:db8:1:3::/64",
    "fe80::1%eth0": "fe80::/64",
    "": "",
    "/run/socket": "/run/socket",
  };
  for (const [text, client] of Object.entries(cases)) {
    test(`takes ${JSON.stringify(text)} for a client of ${JSON.stringify(client)}`, () =>
      assert.equal(clientNetwork(text), client));
  }
});

describe("parseIpRange", () => {
  const contains = (range: string, address: string) => {
    const [parsedRange, parsedAddress] = [parseIpRange(range), parseIpAddress(address)];
    assert.ok(parsedRange !== null && parsedAddress !== null);
    return isInRange(parsedAddress, parsedRange);
  };

  test("holds its first and last address, not their neighbours", () => {
    assert.deepEqual(
      ["9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"].map((address) => contains("10.0.0.0/8", address)),
      [false, true, true, false],
    );
    assert.deepEqual(
      ["fcff::", "fd00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe00::"].map((address) => contains("fd00::/8", address)),
      [false, true, true, false],
    );
  });

  test("takes a lone address for the range of itself", () => {
    assert.ok(contains("10.0.0.1", "10.0.0.1"));
    assert.ok(!contains("10.0.0.1", "10.0.0.2"));
    assert.equal(parseIpRange("::1")?.bits, 128);
  });

  test("counts the bits of a mapped network in IPv6", () => {
    assert.ok(contains("::ffff:10.0.0.0/104", "10.1.2.3"));
    assert.equal(parseIpRange("::ffff:10.0.0.0/8"), null);
  });

  test("never mixes the families", () => {
    assert.ok(!contains("0.0.0.0/0", "::1"));
    assert.ok(!contains("::/0", "127.0.0.1"));
    assert.ok(contains("::/0", "::1"));
  });

  for (const text of [
    "10.0.0.1/8",
    "fd00::1/8",
    "10.0.0.0/33",
    "fd00::/129",
    "10.0.0.0/",
    "10.0.0.0/-1",
    "10.0.0.0/8/8",
    "10/8",
    "/8",
    "x/8",
  ]) {
    test(`refuses ${text}`, () => assert.equal(parseIpRange(text), null));
  }
});

describe("addressClass", () => {
  const classes = {
    global: ["1.1.1.1", "8.8.8.8", "99.255.255.255", "100.128.0.0", "172.32.0.0", "223.255.255.255", "2606:4700::1", "2a00::1"],
    private: [
      "10.0.0.0",
      "10.255.255.255",
      "100.64.0.0",
      "100.127.255.255",
      "172.16.0.0",
      "172.31.255.255",
      "192.168.0.0",
      "fc00::",
      "fdff::1",
    ],
    loopback: ["127.0.0.0", "127.0.0.1", "127.255.255.255", "::1", "::ffff:127.9.9.9"],
    "link-local": ["169.254.0.0", "169.254.255.255", "fe80::", "febf::1"],
    metadata: [
      "169.254.169.254",
      "169.254.170.2",
      "100.100.100.200",
      "168.63.129.16",
      "192.0.0.192",
      "fd00:ec2::254",
      "::ffff:169.254.169.254",
    ],
    unspecified: ["0.0.0.0", "0.255.255.255", "::"],
    multicast: ["224.0.0.0", "239.255.255.255", "ff00::", "ff02::1"],
    reserved: [
      "192.0.0.1",
      "192.0.2.1",
      "192.88.99.1",
      "198.18.0.1",
      "198.19.255.255",
      "198.51.100.1",
      "203.0.113.1",
      "240.0.0.0",
      "255.255.255.255",
    ],
  } as const;
  for (const [kind, addresses] of Object.entries(classes)) {
    for (const text of addresses) {
      test(`${text} is ${kind}`, () => {
        const address = parseIpAddress(text);
        assert.ok(address !== null);
        assert.equal(addressClass(address), kind);
      });
    }
  }
});
