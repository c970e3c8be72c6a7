import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { canaryBytes, canarySignature, epochOf } from "../../src/signatures/canary.ts";

describe("canarySignature", () => {
  test("is one line of an .ndb file that names the set", () => {
    const line = canarySignature("0123456789abcdef");
    assert.equal(line, `Clamgate.Epoch.0123456789abcdef:0:0:${Buffer.from(canaryBytes).toString("hex")}\n`);
  });

  for (const id of ["", "0123", "0123456789ABCDEF", "0123456789abcde\n", "0123456789abcdef0", "../../../../../x"]) {
    test(`refuses ${JSON.stringify(id)} as an id`, () => {
      assert.throws(() => canarySignature(id), RangeError);
    });
  }

  test("is for plain ASCII text of at least 64 bytes", () => {
    assert.ok(canaryBytes.length >= 64);
    assert.match(Buffer.from(canaryBytes).toString("latin1"), /^[ -~]+\n$/);
  });
});

describe("epochOf", () => {
  test("reads the id from a name with and without clamd's suffix", () => {
    assert.equal(epochOf("Clamgate.Epoch.0123456789abcdef.UNOFFICIAL"), "0123456789abcdef");
    assert.equal(epochOf("Clamgate.Epoch.0123456789abcdef"), "0123456789abcdef");
  });

  for (const name of [
    "",
    "Eicar-Test-Signature.UNOFFICIAL",
    "Clamgate.Epoch.",
    "Clamgate.Epoch.12",
    "Clamgate.Epoch.0123456789abcdef.UNOFFICIAL.UNOFFICIAL",
    "X.Clamgate.Epoch.0123456789abcdef",
    "Clamgate.Epoch.0123456789abcdeg",
  ]) {
    test(`finds none in ${JSON.stringify(name)}`, () => assert.equal(epochOf(name), null));
  }
});
