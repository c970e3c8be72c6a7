import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ProtocolError } from "../../src/codec/protocol-error.ts";
import { ClamgateError } from "../../src/core/errors.ts";
import { MultipartReader } from "../../src/http/multipart-reader.ts";
import { ReadyChunks } from "../fake/ready-chunks.ts";
import { readParts } from "./read-parts.ts";

/** A source that counts what is pulled and notices when it is returned. */
class Source implements AsyncIterableIterator<Uint8Array> {
  readonly #chunks: Iterator<Uint8Array>;
  pulled = 0;
  isReturned = false;

  constructor(text: string, size = 7) {
    const bytes = Buffer.from(text, "latin1");
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
    this.#chunks = chunks.values();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.pulled += 1;
    const chunk = this.#chunks.next();
    return chunk.done ? { done: true, value: undefined } : { done: false, value: chunk.value };
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.isReturned = true;
    return { done: true, value: undefined };
  }
}

function part(name: string, body: string, headers = ""): string {
  return `--bnd\r\nContent-Disposition: form-data; name="f"; filename="${name}"\r\n${headers}\r\n${body}\r\n`;
}

async function text(body: AsyncIterable<Uint8Array>): Promise<string> {
  let read = "";
  for await (const chunk of body) read += Buffer.from(chunk).toString("latin1");
  return read;
}

async function failure(promise: Promise<unknown>): Promise<ClamgateError> {
  try {
    await promise;
  } catch (thrown) {
    assert.ok(thrown instanceof ClamgateError);
    return thrown;
  }
  return assert.fail("did not fail");
}

const two = `${part("a.txt", "first body")}${part("dir/b.txt", "second")}--bnd--\r\n`;

describe("MultipartReader", () => {
  test("gives each part's name, headers and body", async () => {
    const found: unknown[] = [];
    for await (const { fileName, headers, body } of readParts(new Source(two), "bnd")) {
      found.push([fileName, headers.size, await text(body)]);
    }
    assert.deepEqual(found, [
      ["a.txt", 1, "first body"],
      ["b.txt", 1, "second"],
    ]);
  });

  test("gives the parts of a body that is there without a wait", () => {
    const reader = new MultipartReader(new ReadyChunks([Buffer.from(two)]), "bnd");
    const found: unknown[] = [];
    for (let part = reader.nextPart(); part; part = reader.nextPart()) {
      assert.notEqual(part.beingRead(), null);
      const bytes = part.take();
      assert.ok(bytes);
      found.push([part.fileName, Buffer.from(bytes).toString(), part.take(), part.beingRead()]);
    }
    assert.deepEqual(found, [
      ["a.txt", "first body", null, null],
      ["b.txt", "second", null, null],
    ]);
    assert.equal(reader.nextPart(), null);
  });

  test("names no file where the part names none, or an empty one", async () => {
    const names: unknown[] = [];
    const form = `--bnd\r\nContent-Disposition: form-data; name="f"\r\n\r\nx\r\n--bnd\r\nA: b\r\n\r\nx\r\n${part("", "x")}--bnd--`;
    for await (const { fileName } of readParts(new Source(form), "bnd")) names.push(fileName);
    assert.deepEqual(names, [null, null, null]);
  });

  test("skips what its reader leaves unread", async () => {
    const source = new Source(two);
    const found: string[] = [];
    for await (const { body } of readParts(source, "bnd")) {
      for await (const chunk of body) {
        found.push(Buffer.from(chunk).toString("latin1"));
        break;
      }
    }
    assert.equal(found.length, 2);
    assert.ok("first body".startsWith(found[0] ?? "-") && "second".startsWith(found[1] ?? "-"));
    assert.equal(source.isReturned, false);
  });

  test("reads the source no further than its reader reads", async () => {
    const source = new Source(`${part("a", "x".repeat(7_000))}--bnd--`);
    const parts = readParts(source, "bnd");
    assert.equal(source.pulled, 0);
    const first = await parts.next();
    assert.ok(first.value);
    const body = first.value.body[Symbol.asyncIterator]();
    await body.next();
    const before = source.pulled;
    await body.next();
    assert.ok(source.pulled - before <= 1);
    assert.ok(source.pulled < 20);
    await parts.return();
    assert.equal(source.isReturned, false);
  });

  test("does not let a left part be read, as if it ended there", async () => {
    const parts = readParts(new Source(two), "bnd");
    const first = await parts.next();
    assert.ok(first.value);
    const body = first.value.body[Symbol.asyncIterator]();
    await body.next();
    await parts.next();
    assert.equal((await failure(body.next())).code, "internal");
  });

  test("fails in the part's body and again in the parts when the body is cut at any byte", async () => {
    const end = two.lastIndexOf("--bnd--") + "--bnd--".length;
    for (let length = 0; length < end; length += 1) {
      const parts = readParts(new Source(two.slice(0, length), 16), "bnd");
      const bodies: string[] = [];
      const inParts = await failure(
        (async () => {
          for await (const { body } of parts) {
            try {
              bodies.push(await text(body));
            } catch (thrown) {
              assert.ok(thrown instanceof ClamgateError && thrown.code === "malformed");
            }
          }
        })(),
      );
      assert.equal(inParts.code, "malformed");
      assert.ok(inParts.cause instanceof ProtocolError);
      assert.deepEqual(bodies, ["first body", "second"].slice(0, bodies.length), `cut at ${length}`);
    }
  });

  test("passes the source's own error on, to both", async () => {
    const gone = new ClamgateError("client-gone", "gone");
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(part("a", "body"));
      throw gone;
    }
    const parts = readParts(broken(), "bnd");
    const first = await parts.next();
    assert.ok(first.value);
    assert.equal(await failure(text(first.value.body)), gone);
    assert.equal(await failure(parts.next()), gone);
  });

  test("gives parts as they came, with what is still to be undone", async () => {
    const coded = (coding: string) => part("q", "=5A", `content-transfer-encoding: ${coding}\r\n`);
    const codings = ["Quoted-Printable", "BASE64", "7bit", "8Bit", "binary"];
    const whole = `${codings.map(coded).join("")}${part("none", "=5A")}--bnd--`;
    const found: unknown[] = [];
    for await (const { transferCoding, body } of readParts(new Source(whole, 3), "bnd")) {
      found.push([transferCoding, await text(body)]);
    }
    const plain = [null, "=5A"];
    assert.deepEqual(found, [["quoted-printable", "=5A"], ["base64", "=5A"], plain, plain, plain, plain]);
  });

  test("refuses what stands behind the end, after the last part", async () => {
    const parts = readParts(new Source(`${two}epilogue`), "bnd");
    for (const name of ["a.txt", "dir/b.txt"]) assert.ok(name.endsWith((await parts.next()).value?.fileName ?? "-"));
    const { code, publicMessage } = await failure(parts.next());
    assert.equal(code, "malformed");
    assert.match(publicMessage, /^Malformed multipart body: something stands behind the closing boundary \(part 2, byte \d+\)$/);
  });

  for (const [lines, message] of [
    ["x-uuencode", /unknown Content-Transfer-Encoding "x-uuencode"/],
    ["base64, base64", /unknown Content-Transfer-Encoding "base64, base64"/],
    ["base64; x=y", /unknown/],
    ["", /unknown Content-Transfer-Encoding ""/],
    ["base64\r\nContent-transfer-encoding: base64", /content-transfer-encoding more than once/],
    ["7bit\r\nContent-transfer-encoding: base64", /content-transfer-encoding more than once/],
  ] as const) {
    test(`refuses the transfer coding ${JSON.stringify(lines)}`, async () => {
      const whole = `${part("a", "x")}${part("b", "x", `Content-Transfer-Encoding: ${lines}\r\n`)}--bnd--`;
      const parts = readParts(new Source(whole), "bnd");
      assert.equal((await parts.next()).value?.fileName, "a");
      const { code, publicMessage } = await failure(parts.next());
      assert.equal(code, "malformed");
      assert.match(publicMessage, message);
    });
  }

  test("reads the source to its end, behind the closing boundary too", async () => {
    const source = new Source(`${two}\r\n\r\n`, 5);
    for await (const { body } of readParts(source, "bnd")) await text(body);
    assert.equal(source.pulled, Math.ceil(`${two}\r\n\r\n`.length / 5) + 1);
  });

  test("holds all parts together to a length of headers, for whoever keeps their names", async () => {
    // A name and a value count, and the blanks around them do not.
    const length = "Content-Disposition".length + `form-data; name="f"; filename="a.txt"`.length;
    const body = `${part("a.txt", "one")}${part("a.txt", "two")}--bnd--\r\n`;
    const countOf = async (maxHeaderLength: number) => {
      let count = 0;
      for await (const { body: one } of readParts(new Source(body), "bnd", { maxHeaderLength })) {
        await text(one);
        count += 1;
      }
      return count;
    };
    assert.equal(await countOf(2 * length + 1), 2);
    assert.equal(await countOf(2 * length), 2);
    const { code, publicMessage } = await failure(countOf(2 * length - 1));
    assert.equal(code, "malformed");
    assert.match(publicMessage, /headers are longer than \d+ characters in all/);
  });

  test("refuses a boundary that cannot be one, and what passes a limit", async () => {
    assert.equal((await failure(readParts(new Source(two), "b\0").next())).code, "malformed");
    const parts = readParts(new Source(two), "bnd", { maxParts: 1 });
    await parts.next();
    assert.match((await failure(parts.next())).publicMessage, /^Malformed multipart body: .*more than 1 parts/);
  });
});
