/** Bytes that were right once: a few of them changed, taken away, doubled or put elsewhere. */

import fc from "fast-check";

export function mutated(whole: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const change = fc.record({
    kind: fc.constantFrom("set", "drop", "double", "insert", "cut", "swap"),
    at: fc.nat(),
    length: fc.integer({ min: 1, max: 12 }),
    bytes: fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 4 }),
      fc.constantFrom(...'\r\n\0-: \t"\\;=').map((text) => Buffer.from(text)),
    ),
  });
  return fc.tuple(whole, fc.array(change, { maxLength: 4 })).map(([start, changes]) => {
    let bytes = start;
    for (const { kind, at, length, bytes: more } of changes) {
      const from = bytes.length === 0 ? 0 : at % bytes.length;
      const head = bytes.subarray(0, from);
      const some = bytes.subarray(from, from + length);
      const tail = bytes.subarray(from + length);
      if (kind === "set") bytes = Buffer.concat([head, more, bytes.subarray(from + more.length)]);
      else if (kind === "drop") bytes = Buffer.concat([head, tail]);
      else if (kind === "double") bytes = Buffer.concat([head, some, some, tail]);
      else if (kind === "insert") bytes = Buffer.concat([head, more, some, tail]);
      else if (kind === "swap") bytes = Buffer.concat([head, Buffer.from(some).reverse(), tail]);
      else bytes = Buffer.from(head);
    }
    return bytes;
  });
}
