import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { bodyKinds, makeBodies } from "../../bench/load/body.ts";

const wholeOf = (pieces: readonly Buffer[]) => Buffer.concat(pieces);

describe("makeBodies", () => {
  for (const kind of bodyKinds) {
    test(`makes bodies of ${kind} that differ, each of the size it tells`, () => {
      const bodies = makeBodies({ kind, bytes: 5000, isUnique: true }, "aaaaaaaa");
      const [first, second] = [wholeOf(bodies.next()), wholeOf(bodies.next())];
      assert.equal(first.length, bodies.bytes);
      assert.equal(second.length, bodies.bytes);
      assert.ok(Math.abs(bodies.bytes - 5000) < 700, `${bodies.bytes} bytes`);
      assert.ok(!first.equals(second));
    });
  }

  test("never makes the body of another run", () => {
    const plan = { kind: "random", bytes: 1024, isUnique: true } as const;
    assert.ok(!wholeOf(makeBodies(plan, "aaaaaaaa").next()).equals(wholeOf(makeBodies(plan, "bbbbbbbb").next())));
  });

  test("makes the same body in every run where it is to be repeated", () => {
    const plan = { kind: "random", bytes: 1024, isUnique: false } as const;
    const bodies = makeBodies(plan, "aaaaaaaa");
    bodies.next();
    assert.ok(wholeOf(bodies.next()).equals(wholeOf(makeBodies(plan, "bbbbbbbb").next())));
  });

  test("needs no memory for a large body but for one piece of it", () => {
    const bodies = makeBodies({ kind: "random", bytes: 1024 ** 3 + 7, isUnique: true }, "aaaaaaaa");
    const pieces = bodies.next();
    assert.equal(bodies.bytes, 1024 ** 3 + 7);
    assert.equal(
      pieces.reduce((sum, piece) => sum + piece.length, 0),
      bodies.bytes,
    );
    assert.ok(new Set(pieces.map(({ buffer }) => buffer)).size < 4);
  });

  test("ends a zip with its stamp as the archive's comment", () => {
    const whole = wholeOf(makeBodies({ kind: "zip", bytes: 5000, isUnique: true }, "aaaaaaaa").next());
    const end = whole.lastIndexOf("PK\x05\x06");
    assert.equal(whole.readUInt16LE(end + 20), 16);
    assert.equal(whole.length, end + 22 + 16);
  });
});
