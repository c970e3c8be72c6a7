/** B1: forms of every wrongness. */

import fc from "fast-check";
import { marker } from "../../live/clamd.ts";
import { mutated } from "../harness/mutated.ts";

export const mark = "B";
export const contentType = `multipart/form-data; boundary=${mark}`;

/** What each piece of a form is chosen from. */
interface Pieces {
  readonly prefixes: readonly string[];
  readonly dispositions: readonly string[];
  readonly extras: readonly string[];
  readonly contents: readonly string[];
  readonly lineEnds: readonly string[];
  readonly suffixes: readonly string[];
}

const right: Pieces = {
  prefixes: ["", "", "\r\n"],
  dispositions: [
    'form-data; name="f"; filename="a"',
    'form-data; name="f"; filename=a',
    "form-data; name=\"f\"; filename*=UTF-8''a",
    'attachment; filename="../a"',
  ],
  extras: ["", "Content-Type: text/plain\r\n", "Content-Type: text/plain; boundary=C\r\n", "X-A: b\r\nX-A: c\r\n"],
  contents: [marker, "\r\n", "\n", "\r", "--", "x", "\r\n--C\r\n", "\0"],
  lineEnds: ["\r\n"],
  suffixes: [`--${mark}--\r\n`, `--${mark}--`, `--${mark}--\r\n\r\n`],
};

const wrong: Pieces = {
  prefixes: [...right.prefixes, "preamble\r\n", " ", "\n"],
  dispositions: [
    ...right.dispositions,
    'form-data; name=""; filename=""',
    'form-data; name="f"',
    'form-data; name="f"; filename="a"; filename="b"',
  ],
  extras: [
    ...right.extras,
    " folded\r\n",
    "X\r\n",
    "Content-Transfer-Encoding: base64\r\n",
    "Content-Type: multipart/mixed; boundary=C\r\n",
    "Content-Length: 1\r\n",
    "\n",
  ],
  contents: [...right.contents, `\r\n--${mark}`, `--${mark}`, `--${mark}--`],
  lineEnds: ["\r\n", "\r\n", "\r\n", "\n"],
  suffixes: [...right.suffixes, `--${mark}`, "", `--${mark}-`, `--${mark}--\r\nepilogue`, `--${mark}-- \r\n`],
};

/** Each marker in it has a number of its own. */
function formOf({ prefixes, dispositions, extras, contents, lineEnds, suffixes }: Pieces): fc.Arbitrary<Buffer> {
  const part = fc.record({
    disposition: fc.constantFrom(...dispositions),
    extra: fc.constantFrom(...extras),
    content: fc.array(fc.constantFrom(...contents), { maxLength: 5 }),
    lineEnd: fc.constantFrom(...lineEnds),
  });
  const form = fc.record({
    prefix: fc.constantFrom(...prefixes),
    parts: fc.array(part, { maxLength: 4 }),
    suffix: fc.constantFrom(...suffixes),
  });
  return form.map(({ prefix, parts, suffix }) => {
    let markers = 0;
    const numbered = (piece: string) => {
      if (piece !== marker) return piece;
      markers += 1;
      return `${marker}#${markers}`;
    };
    const written = parts.map(({ disposition, extra, content, lineEnd }) => {
      const head = `--${mark}${lineEnd}Content-Disposition: ${disposition}\r\n${extra}\r\n`;
      return `${head}${content.map(numbered).join("")}${lineEnd}`;
    });
    return Buffer.from(prefix + written.join("") + suffix, "latin1");
  });
}

/** Two parsers differ over what is nearly right: of wrong ones alone hardly any would be accepted. */
export const forms: fc.Arbitrary<Buffer> = fc.oneof(formOf(right), mutated(formOf(right)), mutated(formOf(wrong)));

const head = `--${mark}\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n`;
/** CVE-2022-24434, CVE-2025-47935, -47944, -48997, -7338 and their kin: reliability.md 1. */
export const knownForms: readonly Buffer[] = [
  "",
  `--${mark}`,
  `--${mark}--`,
  `--${mark}\r\n\r\n\r\n--${mark}--`,
  `--${mark}\r\n Content-Disposition: form-data; name="f"; filename="a"\r\n\r\n${marker}\r\n--${mark}--`,
  `${head}\r\n${marker}`,
  `${head}\r\n${marker}\r\n--${mark}`,
  `${head}\r\n${marker}\r\n--${mark}-`,
  `--${mark}\r\nContent-Disposition: form-data; name=""; filename="a"\r\n\r\n${marker}\r\n--${mark}--`,
  `${head}X-Long: ${"a".repeat(100_000)}\r\n\r\n${marker}\r\n--${mark}--`,
  `${head}\r\n${marker}\n--${mark}--`,
  `junk\r\n${head}\r\n${marker}\r\n--${mark}--\r\njunk`,
  // Found here: a blank line of LF alone, and what is the end for one parser is a header for another.
  `${head}\n--${mark}--\r\n${head}\r\n${marker}\r\n--${mark}--`,
  `${head}\r\n${`\r\n--${mark}x`.repeat(100)}${marker}\r\n--${mark}--`,
].map((text) => Buffer.from(text, "latin1"));
