/** Forms to be judged by other readers: right ones with a few of their pieces replaced, added or left out, and a few bytes changed. */

import fc from "fast-check";
import { type HidingPlace, hidingPlaces } from "../forms/hidden-forms.ts";
import { type Change, changes } from "../harness/mutated.ts";

export interface JudgedForm {
  readonly route: string;
  /** Values of the Content-Type lines. */
  readonly types: readonly string[];
  /** Of the whole form: "" is none. The body is not coded where the name is not `gzip`. */
  readonly coding: string;
  /** Where a second form, `evilForm`, stands beside the coded one; it settles the coding. Null: there is none. */
  readonly hiding: HidingPlace | null;
  /** Latin-1 characters with the placeholders of marked-text.ts. */
  readonly text: string;
  readonly changes: readonly Change[];
}

type Kind = "delimiter" | "line end" | "header" | "content" | "close" | "around";
interface Piece {
  readonly kind: Kind;
  readonly text: string;
}

const octets = "Content-Type: application/octet-stream";
const named = (name: string, field = "f") => `Content-Disposition: form-data; name="${field}"; filename="${name}"`;
const inner = (mark: string, end = "\r\n") => `--${mark}${end}${named("inner", "h")}${end}${octets}${end}${end}{marker}`;
const nested = `--N\r\n${named("nested")}\r\n\r\n{marker}\r\n--N--`;
/** A message with a file in base64: what takes it apart has bytes that stand nowhere in the form. */
const message = (mark: string) =>
  `Content-Type: multipart/mixed; boundary=${mark}\r\n\r\n--${mark}\r\nContent-Disposition: attachment; filename="in a message"\r\nContent-Transfer-Encoding: base64\r\n\r\n{base64}\r\n--${mark}--`;
/** The same without headers, for a part that is a multipart itself. */
const coded64 = message("N").slice(message("N").indexOf("--N"));
const ok = `--A\r\n${named("ok", "g")}\r\n\r\nhello\r\n`;

const rightTypes = [
  "multipart/form-data; boundary=A",
  'multipart/form-data; boundary="A"',
  "Multipart/Form-Data; BOUNDARY=A",
  "multipart/form-data; charset=utf-8; boundary=A",
];
const wrongTypes = [
  ...rightTypes.map((type) => type.replace(/A("?)$/, "B$1")),
  "multipart/form-data; boundary=A; boundary*=us-ascii''B",
  "multipart/form-data; boundary*=us-ascii''B; boundary=A",
  "multipart/form-data; boundary=A; boundary*0=B",
  "multipart/form-data; boundary*0=A; boundary*1=B",
  "multipart/form-data; boundary*0*=us-ascii''A; boundary*1=B; boundary=B",
  'multipart/form-data; x="; boundary=A;"; boundary=B',
  'multipart/form-data; x="\\"; boundary=A;"; boundary=B',
  "multipart/form-data; xboundary=A; boundary=B",
  "multipart/form-data; boundary=A; boundary=B",
  "multipart/form-data; boundary=B; Boundary=A",
  "multipart/form-data; boundary=A,B",
  "multipart/form-data; boundary=A B",
  "multipart/form-data; boundary=A;B",
  'multipart/form-data; boundary="A\\B"',
  'multipart/form-data; boundary="A B"',
  'multipart/form-data; boundary="A "',
  'multipart/form-data; boundary="A',
  "multipart/form-data; boundary='A'",
  "multipart/form-data; boundary = A",
  "multipart/form-data; boundary=%41",
  "multipart/form-data; boundary=A (B)",
  "multipart/form-data; (boundary=B) boundary=A",
  "multipart/form-data, text/plain; boundary=A",
  "multipart/form-data; boundary=A, multipart/form-data; boundary=B",
  "multipart/form-data;boundary=A;;",
  "multipart/form-data;;boundary=A",
  "multipart/form-data boundary=A",
  "multipart/form-data\t;\tboundary=A",
  `multipart/form-data; boundary=${"A".repeat(71)}`,
  `multipart/form-data; boundary=A; boundary=${"A".repeat(300)}`,
  "multipart/mixed; boundary=A",
  "multipart/related; boundary=A",
  "multipart/digest; boundary=A",
  "text/plain; boundary=A",
  "application/x-www-form-urlencoded",
  "multipart/form-data",
];

const wrong: Readonly<Record<Kind, readonly string[]>> = {
  delimiter: [
    "--B",
    "--A ",
    "--A\t",
    " --A",
    "x--A",
    "--AB",
    "--A-",
    "-A",
    "--a",
    "--A--",
    "A",
    "--A\0",
    "--A;x",
    "----A",
    "--A--B",
  ],
  "line end": ["\n", "\r", "", "\r\r\n", "\n\r", "\r\n\r\n", "\n\n", " \r\n", "\r\n ", "\x0b", "\0\r\n", "\x85"],
  header: [
    "Content-Disposition: form-data; name=\"f\"; filename*=UTF-8''a",
    'Content-Disposition: form-data; name="f"; filename="a"; filename="b"',
    'Content-Disposition: form-data; name="f"; filename="a\\"; name="b"',
    "Content-Disposition: form-data; name=f; filename=a",
    'Content-Disposition: attachment; filename="a"',
    'Content-Disposition: form-data; filename="a"',
    'Content-Disposition: form-data; name="f"',
    'Content-Disposition: form-data; name=""; filename=""',
    'Content-Disposition: form-data; name="f";\r\n filename="a"',
    'Content-Disposition : form-data; name="f"; filename="a"',
    'content-disposition:form-data;name="f";filename="a"',
    'Content-Disposition: form-data; name="f"; FileName="a"',
    'Content-Disposition: form-data; name="f"; filename*0=a; filename*1=b',
    'Content-Disposition: form-data; name="f"; x="; filename=a"',
    "Content-Type: text/plain; charset=utf-16",
    "Content-Type: multipart/mixed; boundary=N",
    "Content-Type: multipart/form-data; boundary=N",
    "Content-Type: message/rfc822",
    "Content-Type: message/delivery-status",
    "Content-Type: =?utf-8?q?message/rfc822?=",
    "Content-Type: =?utf-8?q?m=75ltipart/mixed?=; boundary=N",
    "Content-Type: =?utf-8?q?m=75ltipart/mixed;_boundary=3DN?=",
    "Content-Type: =?utf-8?b?bXVsdGlwYXJ0L21peGVk?=; boundary=N",
    "Content-Type: (x) message/rfc822",
    "Content-Type: text/plain, message/rfc822",
    "Content-Type: multipart/mixed; boundary=A",
    "Content-Transfer-Encoding: base64",
    "Content-Transfer-Encoding: quoted-printable",
    "Content-Transfer-Encoding: x-uuencode",
    "Content-Transfer-Encoding: BASE64 ",
    "Content-Transfer-Encoding: base64; x=y",
    "Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64",
    "Content-Transfer-Encoding:\r\n base64",
    "Content-Encoding: gzip",
    "Content-Encoding: deflate",
    "Content-Length: 5",
    " folded",
    "no colon",
    ": no name",
    `X: {longish}`,
    "--A",
    "",
  ],
  content: [
    "",
    "x{marker}",
    "{marker}\r\n",
    "{base64}",
    "{base64}\r\n",
    "{base64}\r\n{base64}",
    "!{base64}",
    "{base64}=",
    "{base64}====AAAA",
    "{base64}\r\n!junk!",
    "A{base64}",
    "{quoted-printable}",
    "{quoted-printable}=\r\n",
    "{quoted-printable} \r\n",
    "{gzip}",
    `${nested}`,
    `preamble\r\n${nested}\r\n`,
    message("N"),
    coded64,
    "\r\n--A\r\n",
    "--A\r\n",
    "\r\n--A--\r\n",
    "\n--A--\n",
    "\r\n--AB\r\n{marker}",
    `head\n${inner("A")}`,
    `head\n${inner("A", "\n")}`,
    `head\r${inner("A")}`,
    `head${inner("A")}`,
    `head\r\n ${inner("A")}`,
    `head\r\n\0${inner("A")}`,
    `\r\n\r\n{marker}`,
    `\n\n{marker}`,
    `ID3: junk\r\n\r\n{marker}`,
    `{long}\n${inner("A")}`,
  ],
  close: ["--A", "--A--x", "--A-", "", "--A -- ", "--A--\r\n--A", "--B--", "--A --", "--A--A--", ` --A--`],
  around: [
    "preamble\r\n",
    "\r\n",
    "\n",
    "x",
    `x${inner("A")}\r\n`,
    `\n${inner("A")}\r\n`,
    `${inner("B")}\r\n--B--\r\n`,
    `\r\n${inner("A")}\r\n--A--\r\n`,
    `--A--\r\n${inner("A")}\r\n`,
    `{long}\r\n`,
    `{long}${inner("A")}\r\n`,
  ],
};

interface Part {
  readonly name: string;
  readonly extra: readonly string[];
  readonly content: string;
}

const part: fc.Arbitrary<Part> = fc.record({
  name: fc.constantFrom("a", "b.txt", "c d"),
  // Without a type it is no file to some readers.
  extra: fc.oneof(
    { weight: 3, arbitrary: fc.constant([octets]) },
    fc.subarray([octets, "Content-Transfer-Encoding: binary", "X-More: yes"]),
  ),
  content: fc.constantFrom("{marker}", "{marker}", "hello", "a\r\nb{marker}", "{marker}\n"),
});

/** What is done to one piece, counted from the first. */
const twist = fc.record({
  at: fc.nat(200),
  how: fc.constantFrom("replace", "replace", "insert", "drop"),
  pick: fc.nat(200),
});

export const judgedForms: fc.Arbitrary<JudgedForm> = fc
  .record({
    route: fc.constantFrom("/v2/scan", "/v2/scan", "/scan", "/scanHandlerBody"),
    types: fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom(...rightTypes).map((type) => [type]) },
      { weight: 3, arbitrary: fc.constantFrom(...wrongTypes).map((type) => [type]) },
      { weight: 1, arbitrary: fc.array(fc.constantFrom(...rightTypes, ...wrongTypes), { minLength: 2, maxLength: 2 }) },
    ),
    coding: fc.oneof({ weight: 12, arbitrary: fc.constant("") }, fc.constantFrom("gzip", "identity", "foo")),
    hiding: fc.oneof({ weight: 12, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.constantFrom(...hidingPlaces) }),
    parts: fc.array(part, { minLength: 1, maxLength: 3 }),
    twists: fc.array(twist, { maxLength: 3 }),
    changes: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, changes),
  })
  .map(({ parts, twists, ...rest }) => ({ ...rest, text: twisted(piecesOf(parts), twists) }));

function piecesOf(parts: readonly Part[]): readonly Piece[] {
  const end: Piece = { kind: "line end", text: "\r\n" };
  const written = parts.flatMap(({ name, extra, content }): readonly Piece[] => [
    { kind: "delimiter", text: "--A" },
    end,
    ...[named(name), ...extra].flatMap((text): readonly Piece[] => [{ kind: "header", text }, end]),
    end,
    { kind: "content", text: content },
    end,
  ]);
  return [{ kind: "around", text: "" }, ...written, { kind: "close", text: "--A--" }, end, { kind: "around", text: "" }];
}

interface Twist {
  readonly at: number;
  readonly how: string;
  readonly pick: number;
}

function twisted(pieces: readonly Piece[], twists: readonly Twist[]): string {
  const list = [...pieces];
  for (const { at, how, pick } of twists) {
    const place = list.length === 0 ? 0 : at % list.length;
    const kind = list[place]?.kind ?? "around";
    const text = wrong[kind][pick % wrong[kind].length] ?? "";
    if (how === "drop") list.splice(place, 1);
    else if (how === "insert" && kind === "header") list.splice(place, 0, { kind, text }, { kind: "line end", text: "\r\n" });
    else list.splice(place, how === "replace" ? 1 : 0, { kind, text });
  }
  return list.map(({ text }) => text).join("");
}

const form = (types: string | readonly string[], text: string, route = "/v2/scan", coding = ""): JudgedForm => ({
  route,
  types: typeof types === "string" ? [types] : types,
  coding,
  hiding: null,
  text,
  changes: [],
});
const A = "multipart/form-data; boundary=A";
const evil = (mark = "A") => `--${mark}\r\n${named("evil")}\r\n${octets}\r\n\r\n{marker}\r\n`;
const two = `${evil()}--A--\r\n--B\r\n${named("ok", "g")}\r\n\r\nhello\r\n--B--\r\n`;

/** For a place beside the form. */
export const evilForm = `\r\n${evil()}--A--\r\n`;

/** A part with this Content-Type line, or none, and a message or a multipart in it. */
const nesting = (line: string, content: string) => `--A\r\n${named("n")}\r\n${line}\r\n${content}\r\n--A--\r\n`;

/** Each has misled the gateway, or a reader, once. */
export const misleadingForms: readonly JudgedForm[] = [
  form(A, `${evil()}--A--\r\n`),
  form(`${A}; boundary*=us-ascii''B`, two),
  form(`${A}; boundary*0=B`, two),
  form('multipart/form-data; x="; boundary=A;"; boundary=B', two),
  form([A, "multipart/form-data; boundary=B"], two),
  form(["multipart/form-data; boundary=B", A], two),
  form(A, `x${evil()}${ok}--A--\r\n`),
  form(A, `{long}${evil()}${ok}--A--\r\n`),
  form(A, `--A\r\n${named("song")}\r\n\r\nhead\n${inner("A")}\r\n--A--\r\n`),
  form(A, `--A\r\n${named("song")}\r\n\r\nhead\n${inner("A", "\n")}\r\n--A--\r\n`),
  form(A, `--A\r\n${named("song")}\r\n\r\nhead${inner("A")}\r\n--A--\r\n`),
  form(A, `--A\r\n${named("x")}\r\n${octets}\n\nhead: junk\r\n\r\n{marker}\r\n--A--\r\n`),
  form(A, `--A\r\n${named("x")}\r\n\nhead: junk\r\n\r\n{marker}\r\n--A--\r\n`),
  form(A, `--A\r\n${named("n")}\r\nContent-Type: multipart/mixed; boundary=N\r\n\r\nhead\r\n${nested}\r\n--A--\r\n`),
  form(A, `--A\r\n${named("x")}\r\nContent-Transfer-Encoding: base64\r\n\r\n{base64}\r\n--A--\r\n`),
  form(A, `--A\r\n${named("x")}\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{quoted-printable}\r\n--A--\r\n`),
  form(A, `--A\r\n${named("x")}\r\nContent-Encoding: gzip\r\n\r\n{gzip}\r\n--A--\r\n`),
  form(A, `${evil()}--A--\r\n`, "/scanHandlerBody"),
  form(A, `${evil()}--A--\r\n`, "/v2/scan", "gzip"),
  ...hidingPlaces.flatMap((hiding) =>
    ["/v2/scan", "/scan", "/scanHandlerBody"].map((route) => ({ ...form(A, `${ok}--A--\r\n`, route), hiding })),
  ),
  form(A, nesting("Content-Type: message/rfc822\r\n", message("N"))),
  form(A, nesting("Content-Type: =?utf-8?q?message/rfc822?=\r\n", message("N"))),
  form(A, nesting("Content-Type: =?utf-8?q?m=75ltipart/mixed?=; boundary=N\r\n", coded64)),
  form("multipart/digest; boundary=A", nesting("", message("N")), "/scanHandlerBody"),
];
