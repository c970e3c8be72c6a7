import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { name, origin, secret } from "../../src/config/parser.ts";
import { faultsOf, valueFrom } from "./parsing.ts";

describe("name", () => {
  test("takes anything but control characters", () => {
    assert.equal(valueFrom(name(), 'DOMAIN\\us"er = ü'), 'DOMAIN\\us"er = ü');
    for (const text of ["a\nHTTPProxyServer b", "a\rb", "a\0b", "a\x7fb", "a\tb"]) {
      assert.deepEqual(faultsOf(name(), text), [`${text} has control characters`]);
    }
  });
});

describe("secret", () => {
  test("keeps every character, also spaces at its ends", () => {
    assert.equal(valueFrom(secret(), " p=a s@s "), " p=a s@s ");
    assert.equal(secret().isVerbatim, true);
  });

  test("does not show what is wrong", () => {
    assert.deepEqual(faultsOf(secret(), "hunter2\n"), ["*** has control characters"]);
  });
});

describe("origin", () => {
  test("takes origins, wildcards in them, and a wildcard alone", () => {
    for (const text of ["*", "https://app.example", "https://*.example:8443", "http://[::1]:3000", "null", "*.example"]) {
      assert.equal(valueFrom(origin(), text), text);
    }
  });

  test("refuses white space and control characters within", () => {
    for (const text of ["https://a.example https://b.example", "https://a\x01.example", "a\u00a0b"]) {
      assert.deepEqual(faultsOf(origin(), text), [`${text} is not an origin`]);
    }
  });
});
