import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MultipartParser } from "../../../src/codec/multipart/reader.ts";
import { ProtocolError } from "../../../src/codec/protocol-error.ts";
import { bytes, parse, parseInEveryCut, type Sample } from "./driver.ts";

const sample: Sample = { boundary: "bnd" };
const header = 'Content-Disposition: form-data; name="f"; filename="a"\r\n\r\n';

/** The bodies of the parts; fails when the body is refused or a part is not whole. */
function bodies(text: string, how: Sample = sample): string[] {
  const outcome = parseInEveryCut(bytes(text), how);
  assert.equal(outcome.error, null);
  return outcome.parts.map((part) => {
    assert.ok(part.isWhole);
    return part.body;
  });
}

function refusal(text: string, how: Sample = sample): string {
  const outcome = parseInEveryCut(bytes(text), how);
  assert.equal(outcome.isEnded, false);
  return outcome.error ?? assert.fail(`accepted ${JSON.stringify(outcome.parts)}`);
}

describe("MultipartParser: well-formed bodies", () => {
  test("gives out headers and bodies byte for byte", () => {
    const text = `--bnd\r\nContent-Type: text/plain\r\nX-Two:  b \t\r\n\r\nfirst\r\n\r\n--bnd\r\n${header}\x00\xff\r\n--bnd--\r\n`;
    const { parts } = parseInEveryCut(bytes(text), sample);
    assert.deepEqual(parts, [
      { headers: { "content-type": "text/plain", "x-two": "b" }, body: "first\r\n", isWhole: true },
      { headers: { "content-disposition": 'form-data; name="f"; filename="a"' }, body: "\x00\xff", isWhole: true },
    ]);
  });

  const accepted: readonly (readonly [string, string, readonly string[]])[] = [
    ["a closing boundary without a line end", `--bnd\r\n${header}x\r\n--bnd--`, ["x"]],
    ["no part at all", "--bnd--\r\n", []],
    ["no part and no line end", "--bnd--", []],
    ["a preamble and an epilogue", `pre\r\namble\r\n--bnd\r\n${header}x\r\n--bnd--\r\nepi--bnd\r\n--bn\r\nlogue`, ["x"]],
    ["a leading empty line", `\r\n--bnd\r\n${header}x\r\n--bnd--\r\n`, ["x"]],
    ["blanks behind every boundary", `--bnd \t\r\n${header}x\r\n--bnd\t \r\n${header}y\r\n--bnd-- \t \r\n`, ["x", "y"]],
    ["blanks behind a closing boundary that ends the body", `--bnd\r\n${header}x\r\n--bnd-- \t`, ["x"]],
    ["bare LF everywhere", "--bnd\nA: b\n\nx\ny\n--bnd\nA: b\n\n\n--bnd--\n", ["x\ny", ""]],
    ["bare LF after a CRLF preamble", "pre\r\n--bnd\nA: b\n\nx\n--bnd--\n", ["x"]],
    ["CRLF headers in a body of bare LF", "--bnd\nA: b\r\n\r\nx\r\n--bnd--", ["x\r"]],
    ["LF headers in a body of CRLF", "--bnd\r\nA: b\n\nx\n\r\n--bnd--", ["x\n"]],
    ["an empty part", `--bnd\r\n${header}\r\n--bnd--\r\n`, [""]],
    ["an empty part without a line end of its own", `--bnd\r\n${header}--bnd\r\n${header}--bnd--\r\n`, ["", ""]],
    ["a part without headers", "--bnd\r\n\r\nx\r\n--bnd--\r\n", ["x"]],
    ["a body of line ends", `--bnd\r\n${header}\r\n\r\n\r\r\n\n\r\r\n--bnd--\r\n`, ["\r\n\r\n\r\r\n\n\r"]],
    ["a boundary of dashes", `-----\r\n${header}----\r\n----\r\n-------\r\n`, ["----\r\n----"]],
    [
      "a lookalike that goes on",
      `--bnd\r\n${header}a\r\n--bndX\r\n--bn\r\n--\r\n-\r\r\n--bnd-X\r\nb\r\n--bnd--`,
      ["a\r\n--bndX\r\n--bn\r\n--\r\n-\r\r\n--bnd-X\r\nb"],
    ],
    [
      "a lookalike at the start of a part",
      `--bnd\r\n${header}--bndX\r\n--bnd\r\n${header}--bnd-\r\n--bnd--`,
      ["--bndX", "--bnd-"],
    ],
    ["a boundary in mid-line", `--bnd\r\n${header}a--bnd--\r\n--bnd--`, ["a--bnd--"]],
    ["a boundary behind the other line end", `--bnd\r\n${header}a\n--bnd--\nb\r\n--bnd--`, ["a\n--bnd--\nb"]],
    [
      "lookalikes in the preamble",
      `--bndX\r\n--bnd-\r\n--bnd \rX\r\n--bnd--X\r\n--bnd--\n\n--bnd\r\n${header}x\r\n--bnd--`,
      ["x"],
    ],
    [
      "a nested multipart with a longer boundary",
      `--bnd\r\n${header}--bndary\r\n\r\nin\r\n--bndary--\r\n\r\n--bnd--`,
      ["--bndary\r\n\r\nin\r\n--bndary--\r\n"],
    ],
  ];
  for (const [name, text, expected] of accepted) {
    test(`accepts ${name}`, () =>
      assert.deepEqual(bodies(text, name.includes("of dashes") ? { boundary: "---" } : sample), expected));
  }

  test("finds a boundary of 70 characters and one of 2,000 in every cut", () => {
    for (const length of [70, 2_000]) {
      const boundary = "-b".repeat(length / 2);
      assert.deepEqual(bodies(`--${boundary}\r\n\r\nx\r\n--${boundary.slice(0, -1)}\r\n--${boundary}--`, { boundary }), [
        `x\r\n--${boundary.slice(0, -1)}`,
      ]);
    }
  });

  test("gives out views of what it was fed, not copies", () => {
    const body = bytes(`--bnd\r\n${header}some bytes\r\n--bnd--`);
    const data = [...new MultipartParser("bnd").feed(body)].filter((event) => event.type === "data");
    assert.equal(data.length, 1);
    assert.equal(data[0]?.bytes.buffer, body.buffer);
  });

  test("reads 10,000 parts", () => {
    const text = `${`--bnd\r\n${header}x\r\n`.repeat(10_000)}--bnd--\r\n`;
    const outcome = parse([bytes(text)], sample);
    assert.equal(outcome.error, null);
    assert.equal(outcome.parts.length, 10_000);
    assert.ok(outcome.parts.every((part) => part.isWhole && part.body === "x"));
  });
});

describe("MultipartParser: malformed bodies", () => {
  const refused: readonly (readonly [string, string, RegExp])[] = [
    ["an empty body", "", /ends before/],
    ["a body without any boundary", "just text\r\n", /ends before/],
    ["a boundary that is not the announced one", "--other\r\n\r\nx\r\n--other--", /ends before/],
    ["a body that stops at its first boundary", "--bnd", /ends before/],
    ["a missing closing boundary", `--bnd\r\n${header}x\r\n`, /ends before/],
    ["a closing boundary with one dash", `--bnd\r\n${header}x\r\n--bnd-`, /ends before/],
    ["a closing boundary cut in its line end", `--bnd\r\n${header}x\r\n--bnd--\r`, /ends before/],
    ["text behind a boundary", `--bnd\r\n${header}x\r\n--bnd junk\r\n`, /line end/],
    ["text behind a closing boundary", `--bnd\r\n${header}x\r\n--bnd--junk\r\n`, /line end/],
    ["a bare CR behind a boundary", `--bnd\r\n${header}x\r\n--bnd\rX`, /line end/],
    ["a bare LF behind a boundary of a CRLF body", `--bnd\r\n${header}x\r\n--bnd\n`, /line end/],
    ["a CRLF behind a boundary of an LF body", "--bnd\nA: b\n\nx\n--bnd\r\n", /line end/],
    ["a boundary among the headers", "--bnd\r\nA: b\r\n--bnd--\r\n\r\n", /no colon/],
    ["a header without colon", "--bnd\r\nnonsense\r\n\r\nx\r\n--bnd--", /no colon/],
    [
      "a first header line that starts with a blank (CVE-2022-24434)",
      "--bnd\r\n A: b\r\n\r\nx\r\n--bnd--",
      /starts with a blank/,
    ],
    ["a blank before the colon", "--bnd\r\nA : b\r\n\r\nx\r\n--bnd--", /malformed name/],
    ["an empty header name", "--bnd\r\n: b\r\n\r\nx\r\n--bnd--", /malformed name/],
    ["NUL in a header", "--bnd\r\nA: b\0c\r\n\r\nx\r\n--bnd--", /control/],
    ["a bare CR in a header", "--bnd\r\nA: b\rc\r\n\r\nx\r\n--bnd--", /control/],
  ];
  for (const [name, text, message] of refused) {
    test(`refuses ${name}`, () => assert.match(refusal(text), message));
  }

  test("refuses a boundary that is empty or holds a control character", () => {
    for (const boundary of ["", "a\r\nb", "a\0", "\x7f", "\u20ac"]) {
      assert.throws(() => new MultipartParser(boundary), ProtocolError);
    }
  });

  const hidden: readonly (readonly [string, string])[] = [
    ["in a line of its own", `--bnd\r\n${header}x\r\n--bnd--\r\nepi\r\n--bnd\r\n${header}y`],
    ["at once", `--bnd\r\n${header}x\r\n--bnd--\r\n--bnd--`],
    ["after a bare LF", `--bnd\r\n${header}x\r\n--bnd--\r\n\r\n\n--bndX`],
    ["that another parser takes for a header", `--bnd\r\nA: b\r\n\n--bnd--\r\n--bnd\r\n${header}y\r\n--bnd--`],
  ];
  for (const [name, text] of hidden) {
    test(`refuses a boundary behind the closing one, ${name}`, () => {
      const { error } = parseInEveryCut(bytes(text), sample);
      assert.equal(error, "a multipart boundary stands behind the closing one");
    });
  }

  test("lets a body cut anywhere before its closing boundary never pass, and no cut part look whole", () => {
    for (const newline of ["\r\n", "\n"]) {
      const part = (name: string, body: string) =>
        `--bnd${newline}Content-Disposition: form-data; filename="${name}"${newline}${newline}${body}${newline}`;
      const text = `${part("a", "first body")}${part("b", "")}${part("c", `--bn${newline}--bndX`)}--bnd--`;
      const whole = parse([bytes(text)], sample);
      assert.equal(whole.error, null);
      for (let length = 0; length < text.length; length += 1) {
        const cut = parse([bytes(text.slice(0, length))], sample);
        assert.notEqual(cut.error, null, `accepted when cut at ${length}`);
        for (const [index, found] of cut.parts.entries()) {
          if (found.isWhole) assert.deepEqual(found, whole.parts[index], `part ${index} cut at ${length}`);
        }
      }
    }
  });

  test("tells the parts before a fault first", () => {
    const outcome = parseInEveryCut(bytes(`--bnd\r\n${header}good\r\n--bnd\r\nbad\r\n\r\n`), sample);
    assert.match(outcome.error ?? "", /no colon/);
    assert.deepEqual(
      outcome.parts.map((part) => [part.body, part.isWhole]),
      [["good", true]],
    );
  });
});

describe("MultipartParser: limits", () => {
  function withLimit(limits: Sample["limits"], text: string): string | null {
    return parse([bytes(text)], { boundary: "bnd", ...(limits && { limits }) }).error;
  }

  test("holds one part's headers to their bytes", () => {
    const text = (length: number) => `--bnd\r\nA: ${"x".repeat(length - 7)}\r\n\r\nbody\r\n--bnd--`;
    assert.equal(withLimit({ maxHeaderBytes: 99 }, text(98)), null);
    assert.equal(withLimit({ maxHeaderBytes: 99 }, text(99)), null);
    assert.match(withLimit({ maxHeaderBytes: 99 }, text(100)) ?? "", /header is longer than 99 bytes/);
    assert.equal(withLimit({}, text(65_536)), null);
    assert.match(withLimit({}, text(65_537)) ?? "", /longer than 65536/);
  });

  test("refuses a file name of 64 KiB, also byte by byte, and reads one of 60 KiB", () => {
    const text = (length: number) =>
      `--bnd\r\nContent-Disposition: form-data; filename="${"n".repeat(length)}"\r\n\r\n\r\n--bnd--`;
    const long = bytes(text(65_536));
    assert.match(parse([long], sample).error ?? "", /longer/);
    assert.match(
      parse(
        Array.from(long, (byte) => Buffer.of(byte)),
        sample,
      ).error ?? "",
      /longer/,
    );
    assert.equal(parse([bytes(text(61_440))], sample).error, null);
  });

  test("refuses a header that never ends before it has read much of it", () => {
    const parser = new MultipartParser("bnd");
    const endless = Buffer.alloc(65_536, "x");
    [...parser.feed(bytes("--bnd\r\nA: "))];
    assert.throws(() => [...parser.feed(endless)], ProtocolError);
  });

  test("holds one part to its number of headers", () => {
    const text = (count: number) => `--bnd\r\n${"A: b\r\n".repeat(count)}\r\nbody\r\n--bnd--`;
    assert.equal(withLimit({}, text(99)), null);
    assert.equal(withLimit({}, text(100)), null);
    assert.match(withLimit({}, text(101)) ?? "", /more than 100 headers/);
  });

  test("holds a body to its number of parts, when asked to", () => {
    const text = (count: number) => `${"--bnd\r\n\r\nx\r\n".repeat(count)}--bnd--`;
    assert.equal(withLimit({ maxParts: 3 }, text(2)), null);
    assert.equal(withLimit({ maxParts: 3 }, text(3)), null);
    assert.match(withLimit({ maxParts: 3 }, text(4)) ?? "", /more than 3 parts/);
  });

  test("holds the preamble and the epilogue to their bytes, each on its own", () => {
    const text = (before: number, after: number) =>
      `${"p".repeat(before - 1)}\n--bnd\r\n\r\nx\r\n--bnd--\r\n${"e".repeat(after)}`;
    const limits = { maxIgnoredBytes: 50 };
    assert.equal(withLimit(limits, text(50, 50)), null);
    assert.match(withLimit(limits, text(52, 0)) ?? "", /outside of the parts/);
    assert.match(withLimit(limits, text(10, 51)) ?? "", /outside of the parts/);
  });

  test("holds the blanks behind a boundary to the header's bytes", () => {
    const text = (blanks: number) => `--bnd\r\n\r\nx\r\n--bnd--${" ".repeat(blanks)}`;
    assert.equal(withLimit({ maxHeaderBytes: 20 }, text(20)), null);
    assert.match(withLimit({ maxHeaderBytes: 20 }, text(21)) ?? "", /blanks/);
  });
});
