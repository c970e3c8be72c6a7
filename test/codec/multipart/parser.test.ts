import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MultipartParser } from "../../../src/codec/multipart/parser.ts";
import { ProtocolError } from "../../../src/codec/protocol-error.ts";
import { costMs } from "../../cost.ts";
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
    ["two line ends behind the closing boundary", `--bnd\r\n${header}x\r\n--bnd--\r\n\r\n`, ["x"]],
    ["no part at all", "--bnd--\r\n", []],
    ["no part and no line end", "--bnd--", []],
    ["a leading empty line", `\r\n--bnd\r\n${header}x\r\n--bnd--\r\n`, ["x"]],
    ["bare LF everywhere", "--bnd\nA: b\n\nx\ny\n--bnd\nA: b\n\n\n--bnd--\n", ["x\ny", ""]],
    ["bare LF behind an empty line", "\n--bnd\nA: b\n\nx\n--bnd--", ["x"]],
    ["CR LF in the data of a form in LF", "--bnd\nA: b\n\nx\r\ny\r\n\n--bnd--", ["x\r\ny\r\n"]],
    ["an empty part", `--bnd\r\n${header}\r\n--bnd--\r\n`, [""]],
    ["a body of line ends", `--bnd\r\n${header}\r\n\r\n\r\r\n\n\r\r\n--bnd--\r\n`, ["\r\n\r\n\r\r\n\n\r"]],
    ["a boundary of dashes", `-----\r\n${header}----\r\n----\r\n-------\r\n`, ["----\r\n----"]],
    [
      "beginnings of the boundary",
      `--bnd\r\n${header}a\r\n--bn\r\n--\r\n-\r\r\n--bnX\r\n--bnd--`,
      ["a\r\n--bn\r\n--\r\n-\r\r\n--bnX"],
    ],
    ["the boundary without its dashes", `--bnd\r\n${header}bnd\r\n-bnd\r\n--bnd--`, ["bnd\r\n-bnd"]],
    ["the boundary in another case", `--bnd\r\n${header}--BND\r\n--Bnd--\r\n--bnd--`, ["--BND\r\n--Bnd--"]],
    ["a Content-Length that is right", "--bnd\r\nContent-Length: 5\r\n\r\nx\r\n--\r\n--bnd--\r\n", ["x\r\n--"]],
  ];
  for (const [name, text, expected] of accepted) {
    test(`accepts ${name}`, () =>
      assert.deepEqual(bodies(text, name.includes("of dashes") ? { boundary: "---" } : sample), expected));
  }

  test("finds a boundary of 70 characters in every cut", () => {
    const boundary = "-b".repeat(35);
    const near = `x\r\n--${boundary.slice(0, -1)}`;
    assert.deepEqual(bodies(`--${boundary}\r\n${header}${near}\r\n--${boundary}--`, { boundary }), [near]);
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
  const open = `--bnd\r\n${header}`;
  const refused: readonly (readonly [string, string, RegExp])[] = [
    ["an empty body", "", /ends before/],
    ["a body without any boundary", "just text\r\n", /does not begin with its boundary \(part 0, byte 0\)/],
    ["a boundary that is not the announced one", "--other\r\n\r\nx\r\n--other--", /does not begin .*byte 2\)/],
    ["a body that stops at its first boundary", "--bnd", /ends before/],
    ["a missing closing boundary", `${open}x\r\n`, /ends before/],
    ["a closing boundary with one dash", `${open}x\r\n--bnd-`, /ends before/],
    ["a closing boundary cut in its line end", `${open}x\r\n--bnd--\r`, /ends before/],
    ["a header block without its blank line", "--bnd\r\nA: b\r\n--bnd--\r\n", /boundary stands among a part's headers/],

    ["a preamble", `pre\r\n${open}x\r\n--bnd--`, /does not begin/],
    ["a preamble with a boundary in it", `x--bnd\r\n\r\nx\r\n${open}x\r\n--bnd--`, /does not begin/],
    ["two empty lines first", `\r\n\r\n${open}x\r\n--bnd--`, /does not begin .*byte 2\)/],
    ["a blank line first", ` \r\n${open}x\r\n--bnd--`, /does not begin/],
    ["a byte order mark", `\xef\xbb\xbf${open}x\r\n--bnd--`, /does not begin/],

    ["blanks behind a boundary", `--bnd \r\n${header}x\r\n--bnd--`, /neither a line end nor two dashes \(part 0, byte 5\)/],
    ["blanks behind a later boundary", `${open}x\r\n--bnd\t\r\n${header}y\r\n--bnd--`, /neither .*\(part 1, byte 73\)/],
    ["text behind a boundary", `${open}x\r\n--bnd junk\r\n`, /neither/],
    ["a boundary that goes on", `${open}x\r\n--bndX\r\ny\r\n--bnd--`, /neither/],
    ["a boundary that goes on with a dash", `${open}x\r\n--bnd-X\r\ny\r\n--bnd--`, /one dash/],
    ["blanks behind the closing boundary", `${open}x\r\n--bnd-- \r\n`, /behind the closing/],
    ["a third dash", `${open}x\r\n--bnd---\r\n`, /behind the closing/],
    ["text behind the closing boundary", `${open}x\r\n--bnd--junk\r\n`, /behind the closing/],
    ["NUL behind the end", `${open}x\r\n--bnd--\r\n\0`, /behind the closing/],
    ["an epilogue", `${open}x\r\n--bnd--\r\nepilogue`, /behind the closing/],
    ["a second form behind the first", `${open}x\r\n--bnd--\r\n${open}y\r\n--bnd--`, /behind the closing/],
    ["a second end", `${open}x\r\n--bnd--\r\n--bnd--`, /behind the closing/],
    ["what busboy took for a header", `--bnd\r\nA: b\r\n\n--bnd--\r\n--bnd\r\n${header}y\r\n--bnd--`, /ends otherwise/],
    ["very many line ends behind the end", `${open}x\r\n--bnd--${"\r\n".repeat(17)}`, /too many line ends/],

    ["a part without headers", "--bnd\r\n\r\nA: b\r\n\r\nx\r\n--bnd--", /no headers \(part 1, whose headers begin at byte 7\)/],
    ["a part without headers in a form in LF", "--bnd\n\nA: b\n\nx\n--bnd--", /no headers/],
    ["a boundary in mid-line", `${open}a--bnd\r\n\r\ny\r\n--bnd--`, /within a part \(part 1, byte 66\)/],
    ["an end in mid-line", `${open}a--bnd--\r\n--bnd--`, /within a part/],
    ["a boundary where the data begin", `${open}--bnd\r\n${header}--bnd--\r\n`, /within a part/],
    ["a boundary behind a bare LF", `${open}a\n--bnd\r\n\r\nb\r\n--bnd--`, /within a part/],
    ["a boundary behind a bare CR", `${open}a\r--bnd\r\n\r\nb\r\n--bnd--`, /within a part/],
    ["a boundary behind three dashes", `${open}a\r\n---bnd\r\n\r\nb\r\n--bnd--`, /within a part/],
    ["a boundary within one of dashes", `${open}a\r\n----bnd--\r\n--bnd--`, /within a part/],
    ["a longer boundary", `${open}--bndary\r\n\r\nin\r\n--bndary--\r\n\r\n--bnd--`, /within a part/],

    ["a bare CR behind a boundary", `${open}x\r\n--bnd\rX`, /CR stands alone/],
    ["a form whose lines end in CR", `--bnd\rA: b\r\rx\r--bnd--`, /CR stands alone/],
    ["a bare LF behind a boundary of a CRLF body", `${open}x\r\n--bnd\n`, /LF here and in CR LF there/],
    ["a CRLF behind a boundary of an LF body", "--bnd\nA: b\n\nx\n--bnd\r\n", /LF here and in CR LF there/],
    ["a bare LF behind the end of a CRLF body", `${open}x\r\n--bnd--\n`, /LF here and in CR LF there/],
    ["a CRLF behind the end of an LF body", "--bnd\nA: b\n\nx\n--bnd--\r\n", /LF here and in CR LF there/],
    ["an empty line of LF before a form of CRLF", `\n${open}x\r\n--bnd--`, /LF here and in CR LF there/],
    ["an empty line of CRLF before a form of LF", "\r\n--bnd\nA: b\n\nx\n--bnd--", /LF here and in CR LF there/],
    ["a boundary of LF behind data that end in CR", "--bnd\nA: b\n\nx\r\n--bnd--", /CR LF stands before the boundary/],
    ["CR LF CR LF in the data of a form in LF", "--bnd\nA: b\n\nx\r\n\r\ny\n--bnd--", /holds CR LF CR LF/],
    ["headers that end in LF LF", "--bnd\r\nA: b\n\nx\r\n--bnd--", /ends otherwise/],
    ["headers that end in CRLF LF", "--bnd\r\nA: b\r\n\nx\r\n--bnd--", /ends otherwise/],
    ["headers that end in LF CRLF", "--bnd\r\nA: b\n\r\nx\r\n--bnd--", /ends otherwise/],
    ["headers in CRLF of a form in LF", "--bnd\nA: b\r\n\r\nx\n--bnd--", /ends otherwise/],
    ["a blank line in CRLF of a form in LF", "--bnd\nA: b\n\r\nx\n--bnd--", /ends otherwise/],

    ["a boundary among the headers", "--bnd\r\nA: b\r\n--bnd\r\nB: c\r\n\r\nx\r\n--bnd--", /among a part's headers/],
    ["a boundary in a header's value", "--bnd\r\nA: --bnd\r\n\r\nx\r\n--bnd--", /among a part's headers \(part 1, .* byte 7\)/],
    ["a header without colon", "--bnd\r\nnonsense\r\n\r\nx\r\n--bnd--", /no colon \(part 1, whose headers begin at byte 7\)/],
    ["a first header line that starts with a blank (CVE-2022-24434)", "--bnd\r\n A: b\r\n\r\nx\r\n--bnd--", /folded/],
    ["a multipart type in a part", "--bnd\r\nContent-Type: multipart/mixed\r\n\r\nx\r\n--bnd--", /multipart type/],
    ["a Content-Length that is too small", "--bnd\r\nContent-Length: 1\r\n\r\nxy\r\n--bnd--", /2 bytes and the Content-Length 1/],
    ["a Content-Length that is too large", "--bnd\r\nContent-Length: 3\r\n\r\nxy\r\n--bnd--", /2 bytes and the Content-Length 3/],
  ];
  for (const [name, text, message] of refused) {
    test(`refuses ${name}`, () => assert.match(refusal(text), message));
  }

  test("refuses a boundary that none can be found by", () => {
    for (const boundary of ["", "a\r\nb", "a\0", "\x7f", "\u20ac", "a".repeat(71)]) {
      assert.throws(() => new MultipartParser(boundary), ProtocolError);
    }
  });

  test("lets a body cut anywhere before its closing boundary never pass, and no cut part look whole", () => {
    for (const newline of ["\r\n", "\n"]) {
      const part = (name: string, body: string) =>
        `--bnd${newline}Content-Disposition: form-data; filename="${name}"${newline}${newline}${body}${newline}`;
      const text = `${part("a", "first body")}${part("b", "")}${part("c", `--bn${newline}--bnX`)}--bnd--`;
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
    const line = (length: number) => `A: ${"x".repeat(length - 5)}\r\n`;
    const block = (length: number): string => (length > 2_000 ? line(1_000) + block(length - 1_000) : line(length));
    const text = (length: number) => `--bnd\r\n${block(length - 2)}\r\nbody\r\n--bnd--`;
    assert.equal(withLimit({ maxHeaderBytes: 99 }, text(98)), null);
    assert.equal(withLimit({ maxHeaderBytes: 99 }, text(99)), null);
    assert.match(withLimit({ maxHeaderBytes: 99 }, text(100)) ?? "", /header is longer than 99 bytes/);
    assert.equal(withLimit({}, text(65_536)), null);
    assert.match(withLimit({}, text(65_537)) ?? "", /longer than 65536/);
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
    const text = (count: number) => `${`--bnd\r\n${header}x\r\n`.repeat(count)}--bnd--`;
    assert.equal(withLimit({ maxParts: 3 }, text(2)), null);
    assert.equal(withLimit({ maxParts: 3 }, text(3)), null);
    assert.match(withLimit({ maxParts: 3 }, text(4)) ?? "", /more than 3 parts/);
  });
});

describe("MultipartParser: cost", () => {
  const [a, ab] = ["a".repeat(70), "ab".repeat(35)];
  const nearMisses: readonly (readonly [boundary: string, unit: string])[] = [
    [a, `\r\n--${a.slice(1)}b`],
    [a, `\r\n-${a}`],
    [a, `--${a.slice(1)}b`],
    [a, a],
    ["-".repeat(70), `${"-".repeat(71)}x`],
    [ab, `-${ab}`],
    [ab, `xb${ab.slice(2)}`],
    [`${"a".repeat(35)}${"b".repeat(35)}`, `-b${"b".repeat(35)}`],
    [`ba${"a".repeat(68)}`, `--bb${"a".repeat(68)}`],
    [a, "\r\n"],
    [a, "\r\n--"],
  ];
  const chunkBytes = 65_536;
  const chunks = 64;

  /** Of a part full of it. */
  function nanosecondsPerByte(boundary: string, unit: string): number {
    const reader = new MultipartParser(boundary);
    const chunk = Buffer.alloc(chunkBytes, unit, "latin1");
    // Else two chunks could hold the boundary between them.
    chunk[chunkBytes - 1] = 0;
    [...reader.feed(bytes(`--${boundary}\r\n${header}`))];
    const cost = costMs(() => {
      for (let count = 0; count < chunks; count += 1) [...reader.feed(chunk)];
    });
    return (cost * 1e6) / (chunkBytes * chunks);
  }

  for (const [boundary, unit] of nearMisses) {
    test(`reads at the same pace whatever nearly is ${boundary}: ${JSON.stringify(unit)}`, () => {
      // 0.02 to 2.5 on a busy machine. A search that looks at each byte again for each of the boundary's costs 70 and more.
      const best = Math.min(...Array.from({ length: 5 }, () => nanosecondsPerByte(boundary, unit)));
      assert.ok(best < 30, `${best} ns a byte`);
    });
  }
});
