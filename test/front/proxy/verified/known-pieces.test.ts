import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import {
  createKnownPieces,
  hasPieces,
  PieceRecorder,
  type Pieces,
  pieceBytes,
  smallestPieceBytes,
  tagBytes,
  tagKeyBytes,
} from "../../../../src/front/proxy/verified/known-pieces.ts";
import { streamVerified } from "../../../../src/front/proxy/verified/verified-stream.ts";

const known = createKnownPieces(randomBytes(tagKeyBytes));

function piecesOf(body: Buffer, chunkBytes = body.length): Pieces {
  const recorder = new PieceRecorder(known, body.length);
  for (const chunk of chunked(body, chunkBytes)) recorder.update(chunk);
  return recorder.finish();
}

function chunked(body: Buffer, chunkBytes: number): readonly Buffer[] {
  return Array.from({ length: Math.ceil(body.length / chunkBytes) }, (_, index) =>
    body.subarray(index * chunkBytes, (index + 1) * chunkBytes),
  );
}

async function* iterated(chunks: readonly Buffer[]): AsyncGenerator<Buffer, void, undefined> {
  yield* chunks;
}

/** Of the object's pieces in their order. */
function lengthsOf(objectBytes: number): readonly number[] {
  const lengths: number[] = [];
  for (let left = objectBytes; left > 0; left -= lengths.at(-1) ?? 0)
    lengths.push(Math.min(left, pieceBytes(objectBytes, lengths.length)));
  return lengths;
}

describe("pieceBytes", () => {
  test("makes small pieces first, and not many of anything", () => {
    const kibibytes = (objectBytes: number) => lengthsOf(objectBytes).map((bytes) => bytes / 1024);
    assert.deepEqual(kibibytes(150 * 1024), [64, 64, 22]);
    assert.deepEqual(kibibytes(32 * 256 * 1024).slice(0, 5), [64, 128, 256, 256, 256]);
    for (const bytes of [1, 2 ** 20, 20_000_000, 2 ** 30, 2 ** 36]) assert.ok(lengthsOf(bytes).length <= 48);
  });
});

describe("PieceTagger", () => {
  /** Of all pieces, as hexadecimal. */
  function tagsOf(chunks: readonly Uint8Array[], tagger = known.tagger(1000)): readonly string[] {
    const tags = chunks.flatMap((chunk) => [...tagger.take(chunk)].map(({ tag }) => tag));
    return [...tags, tagger.end()].flatMap((tag) => (tag === null ? [] : [tag.toString("hex")]));
  }

  test("gives equal pieces equal tags, and others none of them", () => {
    const piece = randomBytes(1000);
    const [tag = ""] = tagsOf([piece]);
    assert.equal(tag.length, 2 * tagBytes);
    assert.deepEqual(tagsOf([piece.subarray(0, 1), piece.subarray(1)]), [tag]);
    const longer = Buffer.concat([piece, Buffer.alloc(1)]);
    const others = [piece.subarray(1), piece.subarray(0, 999), longer, Buffer.alloc(1000)].flatMap((bytes) => tagsOf([bytes]));
    assert.equal(new Set([tag, ...others]).size, 5);
  });

  test("gives the same piece another tag at another place, and under another key", () => {
    const piece = Buffer.alloc(smallestPieceBytes);
    const [first, second] = tagsOf([piece, piece]);
    const [foreign] = tagsOf([piece], createKnownPieces(randomBytes(tagKeyBytes)).tagger(1000));
    assert.equal(new Set([first, second, foreign]).size, 3);
  });

  test("hands on every byte once, cut where pieces end", () => {
    const chunk = randomBytes(3 * smallestPieceBytes + 7);
    const parts = [...known.tagger(1000).take(chunk)];
    assert.ok(Buffer.concat(parts.map(({ part }) => part)).equals(chunk));
    assert.deepEqual(
      parts.map(({ tag }) => tag !== null),
      [true, true, true, false],
    );
    assert.equal(known.tagger(1000).end(), null);
  });
});

describe("PieceRecorder", () => {
  for (const size of [1, smallestPieceBytes - 1, smallestPieceBytes, smallestPieceBytes + 1, 3 * smallestPieceBytes]) {
    test(`takes the tags of ${size} bytes alike, however they come`, () => {
      const body = randomBytes(size);
      const expected = piecesOf(body);
      assert.equal(expected.tags.length, tagBytes * lengthsOf(size).length);
      assert.equal(expected.tags.buffer.byteLength, expected.tags.length, "and no more memory");
      for (const chunkBytes of [1000, smallestPieceBytes]) assert.deepEqual(piecesOf(body, chunkBytes), expected);
    });
  }

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
    const isProved = await streamVerified(
      iterated(chunked(other, chunkBytes)),
      pieces.tags,
      known.tagger(size),
      async (parts) => {
        sent.push(...parts);
      },
    );
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
    const known = createKnownPieces(randomBytes(tagKeyBytes), 2);
    known.set("a", piecesOf(Buffer.from("a")));
    known.set("b", piecesOf(Buffer.from("b")));
    assert.deepEqual(known.get("a"), piecesOf(Buffer.from("a")));
    known.set("c", piecesOf(Buffer.from("c")));
    assert.deepEqual([known.get("a") === null, known.get("b"), known.get("c") === null], [false, null, false]);
  });
});
