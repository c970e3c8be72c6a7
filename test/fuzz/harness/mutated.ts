/** Bytes that were right once: a few of them changed, taken away, doubled or put elsewhere. */

import fc from "fast-check";

export interface Change {
  readonly kind: "set" | "drop" | "double" | "insert" | "cut" | "swap";
  readonly at: number;
  readonly length: number;
  readonly bytes: Uint8Array;
}

export const changes: fc.Arbitrary<Change[]> = fc.array(
  fc.record({
    kind: fc.constantFrom("set", "drop", "double", "insert", "cut", "swap"),
    at: fc.nat(),
    length: fc.integer({ min: 1, max: 12 }),
    bytes: fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 4 }),
      fc.constantFrom(...'\r\n\0-: \t"\\;=').map((text) => Buffer.from(text)),
    ),
  }),
  { maxLength: 4 },
);

export function mutated(whole: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  return fc.tuple(whole, changes).map(([start, some]) => changed(start, some));
}

export function changed(start: Buffer, some: readonly Change[]): Buffer {
  let bytes = start;
  for (const { kind, at, length, bytes: more } of some) {
    const from = bytes.length === 0 ? 0 : at % bytes.length;
    const head = bytes.subarray(0, from);
    const middle = bytes.subarray(from, from + length);
    const tail = bytes.subarray(from + length);
    if (kind === "set") bytes = Buffer.concat([head, more, bytes.subarray(from + more.length)]);
    else if (kind === "drop") bytes = Buffer.concat([head, tail]);
    else if (kind === "double") bytes = Buffer.concat([head, middle, middle, tail]);
    else if (kind === "insert") bytes = Buffer.concat([head, more, middle, tail]);
    else if (kind === "swap") bytes = Buffer.concat([head, Buffer.from(middle).reverse(), tail]);
    else bytes = Buffer.from(head);
  }
  return bytes;
}
