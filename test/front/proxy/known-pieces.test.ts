import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import {
  createKnownPieces,
  hasPieces,
  PieceHasher,
  type Pieces,
  smallestPieceBytes,
} from "../../../src/front/proxy/known-pieces.ts";
import { streamVerified } from "../../../src/front/proxy/verified-stream.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();

function piecesOf(body: Buffer, chunkBytes = body.length): Pieces {
  const hasher = new PieceHasher(body.length);
  for (const chunk of chunked(body, chunkBytes)) hasher.update(chunk);
  return hasher.finish();
}

function chunked(body: Buffer, chunkBytes: number): readonly Buffer[] {
  return Array.from({ length: Math.ceil(body.length / chunkBytes) }, (_, index) =>
    body.subarray(index * chunkBytes, (index + 1) * chunkBytes),
  );
}

async function* iterated(chunks: readonly Buffer[]): AsyncGenerator<Buffer, void, undefined> {
  yield* chunks;
}

describe("PieceHasher", () => {
  for (const size of [1, smallestPieceBytes - 1, smallestPieceBytes, smallestPieceBytes + 1, 3 * smallestPieceBytes]) {
    test(`takes the digests of ${size} bytes alike, however they come`, () => {
      const body = randomBytes(size);
      const expected = chunked(body, smallestPieceBytes).map(sha256);
      for (const chunkBytes of [1000, smallestPieceBytes, size]) {
        assert.deepEqual(piecesOf(body, chunkBytes), { pieceBytes: smallestPieceBytes, digests: expected });
      }
    });
  }

  test("makes no more than 32 pieces of anything", () => {
    const size = 40 * smallestPieceBytes + 1;
    const { pieceBytes, digests } = piecesOf(Buffer.alloc(size));
    assert.deepEqual([digests.length, pieceBytes], [32, Math.ceil(size / 32)]);
    assert.equal(piecesOf(Buffer.alloc(32 * smallestPieceBytes)).digests.length, 32);
  });

  test("is worth its while beyond one piece", () => {
    assert.deepEqual([0, smallestPieceBytes, smallestPieceBytes + 1].map(hasPieces), [false, false, true]);
  });
});

describe("streamVerified", () => {
  const size = 3 * smallestPieceBytes + 10;
  const body = randomBytes(size);
  const pieces = piecesOf(body);

  async function stream(other: Buffer, chunkBytes: number): Promise<{ isProved: boolean; sent: Buffer }> {
    const sent: Uint8Array[] = [];
    const isProved = await streamVerified(iterated(chunked(other, chunkBytes)), pieces, async (chunk) => {
      sent.push(chunk);
    });
    return { isProved, sent: Buffer.concat(sent) };
  }

  test("passes the same bytes, however they come", async () => {
    for (const chunkBytes of [7, 1000, smallestPieceBytes - 1, smallestPieceBytes, smallestPieceBytes + 1, size]) {
      const { isProved, sent } = await stream(body, chunkBytes);
      assert.equal(isProved, true);
      assert.ok(sent.equals(body));
    }
  });

  test("sends nothing of a piece in which a byte is another", async () => {
    for (const at of [0, smallestPieceBytes - 1, smallestPieceBytes, 2 * smallestPieceBytes + 5, size - 1]) {
      const other = Buffer.from(body);
      other.writeUInt8((body.readUInt8(at) + 1) & 0xff, at);
      for (const chunkBytes of [1000, smallestPieceBytes + 1, size]) {
        const { isProved, sent } = await stream(other, chunkBytes);
        assert.equal(isProved, false);
        assert.ok(sent.equals(body.subarray(0, at - (at % smallestPieceBytes))), `${at}`);
      }
    }
  });

  test("takes neither a beginning nor a longer object for the whole", async () => {
    for (const end of [0, 1, smallestPieceBytes, 3 * smallestPieceBytes, size - 1]) {
      assert.equal((await stream(body.subarray(0, end), 1000)).isProved, false, `${end}`);
    }
    const longer = Buffer.concat([body, Buffer.alloc(smallestPieceBytes)]);
    const { isProved, sent } = await stream(longer, 1000);
    assert.equal(isProved, false);
    assert.ok(sent.equals(body.subarray(0, 3 * smallestPieceBytes)));
  });
});

describe("createKnownPieces", () => {
  test("forgets what has not been asked for the longest", () => {
    const known = createKnownPieces(2);
    known.set("a", piecesOf(Buffer.from("a")));
    known.set("b", piecesOf(Buffer.from("b")));
    assert.deepEqual(known.get("a"), piecesOf(Buffer.from("a")));
    known.set("c", piecesOf(Buffer.from("c")));
    assert.deepEqual([known.get("a") === null, known.get("b"), known.get("c") === null], [false, null, false]);
  });
});
