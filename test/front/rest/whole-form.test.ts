import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { brotliCompressSync, deflateRawSync, gzipSync } from "node:zlib";
import { readCodings } from "../../../src/core/content-coding.ts";
import { scanWholeForm } from "../../../src/front/rest/whole-form.ts";
import { hidings } from "../../fuzz/forms/hidden-forms.ts";
import { createFakeScan } from "./fake-scan.ts";
import { boundary, form, formType } from "./form.ts";
import { exchange, request, startRest } from "./rest-server.ts";

const one = form({ name: "a", content: "fine ".repeat(20) });
const hidden = Buffer.concat([Buffer.from("\r\n"), form({ name: "evil", content: "Hidden" })]);
const paths = ["/v2/scan", "/scan", "/scanHandlerBody"];

async function post(path: string, coding: string, body: Buffer) {
  await using server = await startRest();
  const answer = await exchange(
    server.port,
    request(`POST ${path}`, { "content-type": formType, "content-encoding": coding }, body),
  );
  assert.equal(server.fake.held(), 0);
  return answer;
}

describe("a coded form with another one beside it", () => {
  for (const [place, { coding, layers }] of Object.entries(hidings)) {
    test(`in ${place} is 400 and says where`, async () => {
      const [body = Buffer.alloc(0)] = layers(one, hidden);
      const where = coding === "gzip, br" ? /with only 1 of its 2 codings undone/ : /in the coded form as it came/;
      for (const path of paths) {
        const answer = await post(path, coding, body);
        assert.equal(answer.status, 400, path);
        assert.match(answer.body, /"Status":"ERROR","Description":"Malformed multipart body: the boundary also stands in/);
        assert.match(answer.body, where);
      }
    });

    test(`in ${place} is clean where the other has another boundary`, async () => {
      const [body = Buffer.alloc(0)] = layers(one, Buffer.from("\r\n--frontiex\r\n\r\nx\r\n--frontie"));
      for (const path of paths) assert.equal((await post(path, coding, body)).status, 200, path);
    });
  }

  test("in the outermost of two codings is 400", async () => {
    const [body = Buffer.alloc(0)] = hidings["the extra field of gzip"].layers(brotliCompressSync(one), hidden);
    const answer = await post("/v2/scan", "br, gzip", body);
    assert.equal(answer.status, 400);
    assert.match(answer.body, /in the coded form as it came/);
  });

  test("is 400 where the coding only stores the form, and cuts it", async () => {
    assert.equal((await post("/v2/scan", "deflate", deflateRawSync(one, { level: 0 }))).status, 400);
  });

  test("is never hidden by it where it is infected", async () => {
    const [body = Buffer.alloc(0)] = hidings["the comment of gzip"].layers(form({ name: "a", content: "fine" }), hidden);
    await using server = await startRest({
      scan: { answer: ({ bytes }) => (bytes.equals(body) ? { kind: "infected", signatures: ["Raw"] } : { kind: "clean" }) },
    });
    const sent = request("POST /v2/scan", { "content-type": formType, "content-encoding": "gzip" }, body);
    assert.equal((await exchange(server.port, sent)).status, 406);
  });

  test("is seen however the bytes are cut", async () => {
    const [body = Buffer.alloc(0)] = hidings["the file name of gzip"].layers(one, Buffer.from(`--${boundary}`));
    const at = body.indexOf(`--${boundary}`);
    const cuts = Array.from({ length: boundary.length + 4 }, (_, index) => [at - 1 + index]);
    for (const [label, chunks] of [
      ["1 byte", piecesOf(body, 1)],
      ["3 bytes", piecesOf(body, 3)],
      ["with empty ones", piecesOf(body, 4).flatMap((piece) => [piece, Buffer.alloc(0)])],
      ...cuts.map(([cut = 0]) => [`at ${cut}`, [body.subarray(0, cut), body.subarray(cut)]] as const),
    ] as const) {
      const { whole, parts } = await scanCoded(chunks, boundary);
      assert.ok(whole.kind === "failed" && /also stands/.test(whole.error.publicMessage), label);
      assert.deepEqual(parts, []);
    }
  });

  test("is refused for its boundary where that is too long", async () => {
    const long = "b".repeat(60_000);
    const [outcome] = (await scanCoded(piecesOf(gzipSync(one), 1), long)).parts;
    assert.ok(outcome?.kind === "file" && outcome.scanResult.kind === "failed");
    assert.match(outcome.scanResult.error.publicMessage, /more than 70 characters/);
  });
});

function piecesOf(bytes: Buffer, size: number): readonly Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) => bytes.subarray(index * size, (index + 1) * size));
}

/** Each chunk's memory is overwritten when the next is asked for. */
async function* once(chunks: readonly Buffer[]): AsyncGenerator<Uint8Array, void, undefined> {
  for (const chunk of chunks) {
    const copy = Uint8Array.from(chunk);
    yield copy;
    copy.fill(0);
  }
}

function scanCoded(chunks: readonly Buffer[], mark: string) {
  return scanWholeForm(once(chunks), {
    scan: createFakeScan({ maxBytes: 1_000_000 }).scan,
    requestId: "r",
    client: "a client",
    signal: new AbortController().signal,
    declaredBytes: null,
    maxUnfinished: 1,
    drain: { maxBytes: 0, maxMs: 0 },
    boundary: mark,
    codings: readCodings(["gzip"]),
    maxParts: 10,
    isEveryPartScanned: false,
  });
}
