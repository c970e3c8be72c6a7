import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Busboy } from "@fastify/busboy";
import fc from "fast-check";
import { fileNameOf } from "../../../src/codec/content-disposition.ts";
import { bytes, type Outcome, parse } from "./driver.ts";

interface GivenPart {
  readonly name: string;
  readonly fileName: string;
  readonly body: Uint8Array;
}

const boundary = fc.stringMatching(/^[0-9A-Za-z'()+_./:=*-]{1,70}$/);
/** Bytes that love to look like a boundary, among any others. */
const body = (mark: string) =>
  fc
    .array(
      fc.oneof(
        fc.uint8Array({ maxLength: 40 }),
        fc
          .constantFrom("\r\n", "\r", "\n", "--", "-", `\r\n--${mark.slice(0, -1)}`, `\n--${mark}`, `--${mark}`, `\r\n--`)
          .map(bytes),
      ),
      { maxLength: 12 },
    )
    .map((pieces) => Buffer.concat(pieces));
const name = fc.stringMatching(/^[a-z]{1,8}$/);
const fileName = fc.stringMatching(/^[a-zA-Z0-9 ._-]{0,11}[a-z]$/);
const given = boundary.chain((mark) =>
  fc.record({
    mark: fc.constant(mark),
    parts: fc.array(fc.record({ name, fileName, body: body(mark) }), { maxLength: 6 }),
    cuts: fc.array(fc.nat(400), { maxLength: 12 }),
  }),
);

/** What every reader splits at the same places: the boundary is in no part, and in no header. */
function isPlain({ mark, parts }: { readonly mark: string; readonly parts: readonly GivenPart[] }): boolean {
  return parts.every(({ fileName, body }) => !`${fileName}"`.includes(`--${mark}`) && !Buffer.from(body).includes(`--${mark}`));
}

function write(mark: string, parts: readonly GivenPart[]): Buffer {
  const written = parts.flatMap((part) => [
    bytes(`--${mark}\r\nContent-Disposition: form-data; name="${part.name}"; filename="${part.fileName}"\r\n`),
    bytes("Content-Type: application/octet-stream\r\n\r\n"),
    part.body,
    bytes("\r\n"),
  ]);
  return Buffer.concat([...written, bytes(`--${mark}--\r\n`)]);
}

function pieces(whole: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set([0, ...cuts.map((cut) => cut % (whole.length + 1)), whole.length])].sort((a, b) => a - b);
  return places.slice(1).map((end, index) => whole.subarray(places[index], end));
}

function found(outcome: Outcome): unknown {
  assert.equal(outcome.error, null);
  assert.ok(outcome.parts.every((part) => part.isWhole));
  return outcome.parts.map((part) => ({ fileName: fileNameOf(part.headers["content-disposition"]), body: part.body }));
}

describe("MultipartParser: any body", () => {
  test("gives back every list of parts, however it is cut", () => {
    fc.assert(
      fc.property(given.filter(isPlain), ({ mark, parts, cuts }) => {
        const outcome = parse(pieces(write(mark, parts), cuts), { boundary: mark });
        assert.deepEqual(
          found(outcome),
          parts.map((part) => ({ fileName: part.fileName, body: Buffer.from(part.body).toString("latin1") })),
        );
      }),
      { numRuns: 1_000 },
    );
  });

  test("sees the parts that @fastify/busboy sees, or refuses the form", async () => {
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(fc.oneof(given, given.filter(isPlain)), async (form) => {
        const whole = write(form.mark, form.parts);
        const outcome = parse(pieces(whole, form.cuts), { boundary: form.mark });
        if (outcome.error !== null) return assert.ok(!isPlain(form), outcome.error);
        accepted += 1;
        assert.deepEqual(found(outcome), await referenceParts(form.mark, whole));
      }),
      { numRuns: 600 },
    );
    assert.ok(accepted > 200, `${accepted} of 600 were compared`);
  });

  test("ends or refuses whatever is done to it, and throws nothing but ProtocolError", () => {
    const damage = fc.array(
      fc.record({ at: fc.nat(5_000), kind: fc.constantFrom("flip", "delete", "insert", "cut", "repeat"), byte: fc.nat(255) }),
      { minLength: 1, maxLength: 6 },
    );
    fc.assert(
      fc.property(given, damage, ({ mark, parts, cuts }, wounds) => {
        let whole = write(mark, parts);
        for (const wound of wounds) whole = wounded(whole, wound);
        // The driver lets nothing but a ProtocolError pass, and insists on an end or an error.
        assert.deepEqual(parse(pieces(whole, cuts), { boundary: mark }), parse([whole], { boundary: mark }));
      }),
      { numRuns: 2_000 },
    );
  });
});

function wounded(whole: Buffer, wound: { at: number; kind: string; byte: number }): Buffer {
  const at = wound.at % (whole.length + 1);
  const [before, after] = [whole.subarray(0, at), whole.subarray(at)];
  switch (wound.kind) {
    case "flip":
      return Buffer.concat([before, Buffer.of((after[0] ?? 0) ^ (1 << (wound.byte % 8))), after.subarray(1)]);
    case "delete":
      return Buffer.concat([before, after.subarray(wound.byte)]);
    case "insert":
      return Buffer.concat([before, Buffer.of(wound.byte), after]);
    case "repeat":
      return Buffer.concat([before, after.subarray(0, wound.byte), after]);
    default:
      return before;
  }
}

async function referenceParts(mark: string, whole: Buffer): Promise<unknown> {
  const seen: { fileName: string; body: string }[] = [];
  const reference = new Busboy({ headers: { "content-type": `multipart/form-data; boundary="${mark}"` } });
  reference.on("file", (_field, stream, fileName) => {
    const file = { fileName, body: "" };
    seen.push(file);
    stream.on("data", (chunk: Buffer) => {
      file.body += chunk.toString("latin1");
    });
  });
  await new Promise((resolve, reject) => {
    reference.on("finish", resolve);
    reference.on("error", reject);
    reference.end(whole);
  });
  return seen;
}
