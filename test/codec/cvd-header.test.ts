import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseCvdHeader } from "../../src/codec/cvd-header.ts";

const real = "ClamAV-VDB:22 Nov 2026 14-09 +0000:27001:355901:216:b65944030afa38ba7e965861f5521c69:X:t:1795356588";

const header = (text: string): Uint8Array => Buffer.from(text.padEnd(512));

describe("parseCvdHeader", () => {
  test("reads the header that sigtool writes", () => {
    assert.deepEqual(parseCvdHeader(header(real)), {
      version: 27001,
      signatures: 355901,
      functionalityLevel: 216,
      builtAt: new Date(1795356588 * 1000),
      builder: "t",
    });
  });

  test("looks at the first 512 bytes only", () => {
    const whole = Buffer.concat([header(real), Buffer.from([0x1f, 0x8b, 0, 255])]);
    assert.equal(parseCvdHeader(whole)?.version, 27001);
  });

  test("falls back to the written time where the seconds are missing", () => {
    const old = real.slice(0, real.lastIndexOf(":"));
    assert.deepEqual(parseCvdHeader(header(old))?.builtAt, new Date("2026-11-22T14:09:00Z"));
  });

  const junk: readonly (readonly [string, Uint8Array])[] = [
    ["nothing", new Uint8Array()],
    ["511 bytes", header(real).subarray(0, 511)],
    ["another magic", header(real.replace("VDB", "VDC"))],
    ["no version", header(real.replace(":27001:", "::"))],
    ["a version that is no number", header(real.replace(":27001:", ":27x01:"))],
    ["a negative count", header(real.replace(":355901:", ":-1:"))],
    ["a number without end", header(real.replace(":27001:", `:${"9".repeat(300)}:`))],
    ["no builder", header("ClamAV-VDB:22 Nov 2026 14-09 +0000:27001:355901:216:md5:X")],
    ["no time at all", header(real.replace("22 Nov 2026 14-09 +0000", "soon").replace(/:\d+$/, ":"))],
    ["a date that does not exist", header(real.replace("22 Nov", "99 Xxx").replace(/:\d+$/, ":0"))],
    ["512 zero bytes", new Uint8Array(512)],
    ["a web page", header("<html>404 Not Found</html>")],
  ];
  for (const [name, bytes] of junk) {
    test(`finds no header in ${name}`, () => assert.equal(parseCvdHeader(bytes), null));
  }

  test("throws at nothing", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 500, maxLength: 600 }), fc.nat(100), (bytes, cut) => {
        bytes.set(Buffer.from(real).subarray(0, cut));
        parseCvdHeader(bytes);
      }),
    );
  });
});
