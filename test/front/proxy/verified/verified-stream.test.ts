import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { brotliCompressSync } from "node:zlib";
import { smallestPieceBytes } from "../../../../src/front/proxy/verified/known-pieces.ts";
import { head, keep, type OriginAct, ok, stall } from "../../../fake/origin.ts";
import { eventually } from "../../../process/stage.ts";
import { maxBytes, openProxy, type ProxyStage, virusMark } from "../proxy-stage.ts";
import { type RawAnswer, RawClient } from "../raw-client.ts";

const on = ["Cache-Scan: true"];
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

function sample(size: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: size }, (_, at) => (at * 31 + (at >> 8)) & 0xff));
}

/** `answers` one after the other, the last for ever. */
async function openVerified(...answers: readonly OriginAct[]): Promise<ProxyStage> {
  let asked = 0;
  return await openProxy(
    () => {
      const answer = answers[Math.min(asked, answers.length - 1)];
      asked += 1;
      assert.ok(answer !== undefined);
      return answer;
    },
    { mode: "verified-stream" },
  );
}

describe("verified-stream", () => {
  for (const size of [0, 1, 68, 65_535, 65_536, 65_537, 131_072, 1_048_577, maxBytes]) {
    test(`delivers ${size} bytes as they are, the first time and every time (H8)`, async () => {
      const body = sample(size);
      await using proxy = await openVerified(ok(body, "Content-Type: a/b"));
      const streamed: RawAnswer[] = [];
      for (let round = 0; round < 3; round += 1) {
        const answer = await proxy.get("/x", on);
        if (answer.header("x-clamgate-verdict") === undefined) streamed.push(answer);
        assert.deepEqual([answer.status, answer.isWhole, sha256(answer.body)], [200, true, sha256(body)]);
        assert.equal(answer.header("content-length"), String(size));
        assert.equal(answer.header("content-type"), "a/b");
      }
      await eventually("all are told of", () => proxy.downloads().length === 3);
      assert.equal(proxy.engine.scans.length, 1);
      const [first, ...others] = proxy.downloads();
      assert.equal(first?.cache, "miss");
      for (const { releasedBytes, cache, outcome } of others)
        assert.deepEqual([releasedBytes, cache, outcome], [0, "hit", "delivered"], "H1");
      assert.equal(streamed.length, size > smallestPieceBytes ? 2 : 0);
    });
  }

  test("streams before the end has come, and holds back the piece that is not whole yet (H1)", async () => {
    const size = 1_000_000;
    const body = sample(size);
    await using proxy = await openVerified(ok(body), stall(head(200, `Content-Length: ${size}`), body.subarray(0, size - 1)));
    await proxy.get("/x", on);
    using client = new RawClient(proxy.port);
    client.send(proxy.text("/x", on));
    await client.until((received) => received.length > size / 2);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.ok(client.received.length <= size - (size % smallestPieceBytes) + 2000);
    assert.equal(proxy.spool.usage().bodies, 0, "nothing is spooled");
    assert.equal(client.received.toString("latin1").includes("X-Clamgate-Verdict"), false);
  });

  for (const [name, change] of [
    ["behind its first piece", (body: Buffer) => body.fill(0xff, smallestPieceBytes, smallestPieceBytes + 1)],
    ["in its last byte", (body: Buffer) => body.fill(0xff, body.length - 1)],
    ["by a virus across two pieces", (body: Buffer) => body.write(virusMark, 2 * smallestPieceBytes - 5)],
    ["by a virus in its last bytes", (body: Buffer) => body.write(virusMark, body.length - virusMark.length)],
  ] as const) {
    test(`resets when the file has changed ${name}, forgets it, and scans it the next time (H2, H3, P62)`, async () => {
      const size = 1_000_000;
      const other = sample(size);
      change(other);
      await using proxy = await openVerified(ok(sample(size)), ok(other));
      await proxy.get("/x", on);
      using client = new RawClient(proxy.port);
      client.send(proxy.text("/x", on));
      assert.equal(await client.closed(), "reset");
      const cut = await client.answer();
      assert.equal(cut.isWhole, false);
      assert.ok(cut.body.equals(sample(size).subarray(0, cut.body.length)), "nothing but what was scanned");
      await eventually("it is told of", () => proxy.downloads().length === 2);
      assert.equal(proxy.downloads()[1]?.outcome, "cut");
      assert.equal(proxy.urls.deleted.length, 1);
      const again = await proxy.get("/x", on);
      assert.equal(again.status, name.includes("virus") ? 409 : 200);
    });
  }

  for (const [name, change, status] of [
    ["in its first byte", (body: Buffer) => body.fill(0xff, 0, 1), 200],
    ["by a virus at its beginning", (body: Buffer) => body.write(virusMark, 0), 409],
  ] as const) {
    test(`answers at once as if it knew nothing when the file has changed ${name}`, async () => {
      const size = 1_000_000;
      const other = sample(size);
      change(other);
      await using proxy = await openVerified(ok(sample(size)), ok(other));
      await proxy.get("/x", on);
      const answer = await proxy.get("/x", on);
      assert.deepEqual([answer.status, answer.isWhole], [status, true]);
      if (status === 200) assert.ok(answer.body.equals(other));
      assert.equal(proxy.engine.scans.length, 2);
    });
  }

  test("scans what has another length, no length, another status or a coding", async () => {
    const size = 200_000;
    const body = sample(size);
    const virus = Buffer.concat([sample(size - virusMark.length), Buffer.from(virusMark)]);
    for (const [act, status] of [
      [ok(Buffer.concat([body, Buffer.from(virusMark)])), 409],
      [keep(head(200, "Transfer-Encoding: chunked"), `${size.toString(16)}\r\n`, virus, "\r\n0\r\n\r\n"), 409],
      [keep(head(404, `Content-Length: ${size}`), virus), 409],
      [keep(head(404, "Content-Length: 4"), "gone"), 404],
      [keep(head(304)), 304],
    ] as const) {
      await using proxy = await openVerified(ok(body), act);
      await proxy.get("/x", on);
      const answer = await proxy.get("/x", on);
      assert.equal(answer.status, status);
      assert.ok(answer.isWhole);
    }
  });

  test("does not stream the same bytes under a coding that makes a virus of them", async () => {
    const inside = randomBytes(smallestPieceBytes + 20_000);
    const coded = brotliCompressSync(inside);
    assert.ok(coded.length > smallestPieceBytes);
    await using proxy = await openVerified(ok(coded), ok(coded, "Content-Encoding: br"));
    proxy.engine.answerAll(({ bytes }) =>
      bytes !== null && inside.equals(bytes) ? { kind: "infected", signatures: ["Inside"] } : { kind: "clean" },
    );
    assert.equal((await proxy.get("/x", on)).status, 200);
    assert.equal((await proxy.get("/x", on)).status, 409);
  });

  test("cuts a part from a scanned copy, never from a stream", async () => {
    const body = sample(200_000);
    await using proxy = await openVerified(ok(body));
    await proxy.get("/x", on);
    const answer = await proxy.get("/x", [...on, "Range: bytes=100-199"]);
    assert.deepEqual([answer.status, answer.body.equals(body.subarray(100, 200))], [206, true]);
    assert.equal(proxy.downloads().at(-1)?.releasedBytes ?? 0, 0);
  });

  test("is strict without Cache-Scan, without a record, and while no engine is there", async () => {
    const body = sample(200_000);
    await using proxy = await openVerified(ok(body));
    await proxy.get("/x", on);
    await proxy.get("/x");
    await proxy.get("/y", on);
    await eventually("all are told of", () => proxy.downloads().length === 3);
    for (const { releasedBytes } of proxy.downloads()) assert.equal(releasedBytes, 0);
  });

  test("gives every byte to a client that takes them slowly, from a stream and from a file", async () => {
    const body = randomBytes(maxBytes);
    await using proxy = await openProxy(() => ok(body), { mode: "verified-stream", memoryBytesPerBody: 1000 });
    for (const expected of ["miss", "hit"]) {
      using client = new RawClient(proxy.port);
      client.socket.on("data", () => {
        client.socket.pause();
        setImmediate(() => client.socket.resume());
      });
      client.send(proxy.text("/x", on));
      const answer = await client.answer();
      assert.deepEqual([answer.isWhole, sha256(answer.body)], [true, sha256(body)]);
      await eventually("it is told of", () => proxy.downloads().at(-1)?.cache === expected);
    }
  });

  test("leaves with the client, and frees what it had taken", async () => {
    const body = sample(1_000_000);
    await using proxy = await openVerified(
      ok(body),
      stall(head(200, `Content-Length: ${body.length}`), body.subarray(0, 500_000)),
    );
    await proxy.get("/x", on);
    const client = new RawClient(proxy.port);
    client.send(proxy.text("/x", on));
    await client.until((received) => received.length > 1000);
    client[Symbol.dispose]();
    await eventually("it is over", () => proxy.downloads().at(-1)?.outcome === "gone");
    await proxy.origin.idle();
  });

  for (const limit of ["total", "perOrigin"] as const) {
    test(`takes half of the places at most (${limit}): the next client gets a scanned copy`, async () => {
      const body = sample(200_000);
      const head200 = head(200, `Content-Length: ${body.length}`);
      const rest = Promise.withResolvers<Uint8Array>();
      const acts: OriginAct[] = [
        ok(body),
        { kind: "send", pieces: [head200, body.subarray(0, 100_000), rest.promise], after: "keep" },
      ];
      await using proxy = await openProxy(() => acts.shift() ?? ok(body), {
        mode: "verified-stream",
        front: { slots: { total: 0, perOrigin: 0, perClient: 0, [limit]: 3 } },
      });
      const isStreamed = async () => {
        const answer = await proxy.get("/x", on);
        assert.deepEqual([answer.status, answer.isWhole, answer.body.equals(body)], [200, true, true]);
        return answer.header("x-clamgate-verdict") === undefined;
      };
      assert.equal(await isStreamed(), false);
      using first = new RawClient(proxy.port);
      first.send(proxy.text("/x", on));
      await first.until((received) => received.length > smallestPieceBytes);
      assert.equal(await isStreamed(), false);
      rest.resolve(body.subarray(100_000));
      assert.ok((await first.answer()).isWhole);
      await eventually("it is told of", () => proxy.downloads().length === 3);
      assert.equal(await isStreamed(), true);
    });
  }

  test("is cut where the origin breaks off, and the record stays", async () => {
    const body = sample(1_000_000);
    await using proxy = await openVerified(
      ok(body),
      stall(head(200, `Content-Length: ${body.length}`), body.subarray(0, 500_000)),
    );
    await proxy.get("/x", on);
    using client = new RawClient(proxy.port);
    client.send(proxy.text("/x", on));
    await client.until((received) => received.length > 1000);
    await proxy.origin[Symbol.asyncDispose]();
    assert.equal(await client.closed(), "reset");
    assert.equal(proxy.urls.entries.size, 1);
  });
});
