/** Strings of any code points, halves of surrogate pairs included. */

import fc from "fast-check";

/** Looked up by its number: fast-check's own unit "binary" makes a table of all 1.1 million, which takes seconds in each test file. */
const anyCodePoint = fc.integer({ min: 0, max: 0x10ffff }).map(
  (codePoint) => String.fromCodePoint(codePoint),
  // The way back, so that fast-check can weave in the strings that it knows to be dangerous.
  (text) => {
    if (typeof text !== "string" || [...text].length !== 1) throw new TypeError("not one code point");
    return text.codePointAt(0) ?? 0;
  },
);

export function anyString(limits: { readonly maxLength?: number } = {}): fc.Arbitrary<string> {
  return fc.string({ ...limits, unit: anyCodePoint });
}
