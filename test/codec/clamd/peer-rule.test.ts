import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { mayConnect, parsePeerRule } from "../../../src/codec/clamd/peer-rule.ts";

const rules = (...texts: string[]) => texts.map((text) => parsePeerRule(text)).filter((rule) => rule !== null);

describe("mayConnect", () => {
  test("always lets this machine in", () => {
    for (const address of ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
      assert.equal(mayConnect(address, []), true, address);
  });

  test("takes a mapped address for the IPv4 address that it is", () => {
    assert.equal(mayConnect("::ffff:10.1.2.3", rules("10.0.0.0/8")), true);
    assert.equal(mayConnect("::ffff:11.1.2.3", rules("10.0.0.0/8", "::/0")), false);
  });

  test("lets in whom the rules name, and nobody else", () => {
    assert.equal(mayConnect("10.1.2.3", []), false);
    assert.equal(mayConnect("10.1.2.3", rules("10.1.2.3")), true);
    assert.equal(mayConnect("10.1.2.4", rules("10.1.2.3")), false);
    assert.equal(mayConnect("8.8.8.8", rules("private")), false);
    for (const address of ["192.168.1.1", "172.16.0.1", "fd00::1"])
      assert.equal(mayConnect(address, rules("private")), true, address);
    assert.equal(mayConnect("8.8.8.8", rules("any")), true);
    assert.equal(mayConnect("fe80::1%eth0", rules("fe80::/10")), true);
    assert.equal(mayConnect("", rules("any")), false);
  });
});

describe("parsePeerRule", () => {
  test("refuses names and half ranges", () => {
    for (const text of ["", "mail", "10.0.0.0/33", "10.0.0.1/8", "Any "]) assert.equal(parsePeerRule(text), null, text);
  });
});
