/** Bodies to send: generated from a seed, and each made different from all others by a stamp at its end. */

import { crc32, deflateRawSync } from "node:zlib";
import { SeededBytes } from "../database/seeded-bytes.ts";

export const bodyKinds = ["random", "text", "html", "zip", "pdf"] as const;
export type BodyKind = (typeof bodyKinds)[number];

export interface BodyPlan {
  readonly kind: BodyKind;
  readonly bytes: number;
  /** False: the same body again and again. */
  readonly isUnique: boolean;
}

/** Makes bodies of one plan. Their pieces share memory: only the last one, the stamp, is each body's own. */
export interface BodyMaker {
  /** Of each body, to the byte: archives and documents come out a little smaller than planned. */
  readonly bytes: number;
  /** The pieces of the next body, in order. */
  next(): readonly Buffer[];
}

const stampBytes = 16;
/** Above that a body repeats one piece. */
const largestPiece = 32 * 1024 * 1024;
const repeatedPiece = 1024 * 1024;

/** @param run tells the bodies of this maker from those of any other: 8 characters. */
export function makeBodies({ kind, bytes, isUnique }: BodyPlan, run: string): BodyMaker {
  const closing = closings[kind];
  const pieces = contentOf(kind, bytes - stampBytes - closing.length);
  const size = pieces.reduce((sum, piece) => sum + piece.length, 0) + stampBytes + closing.length;
  const stamp = (start: string, count: number) => {
    return Buffer.from(start + count.toString(16).padStart(stampBytes - start.length, "0") + closing, "latin1");
  };
  if (!isUnique) {
    const same = [...pieces, stamp("repeated", 0)];
    return { bytes: size, next: () => same };
  }
  let count = 0;
  return {
    bytes: size,
    next() {
      count += 1;
      return [...pieces, stamp(run, count)];
    },
  };
}

/** What follows the stamp. */
const closings: Readonly<Record<BodyKind, string>> = { random: "", text: "\n", html: " -->\n", zip: "", pdf: "\n" };

function contentOf(kind: BodyKind, bytes: number): Buffer[] {
  const seeded = new SeededBytes(`clamgate bench ${kind}`);
  switch (kind) {
    case "random":
      return randomPieces(seeded, bytes);
    case "text":
      return [prose(seeded, bytes)];
    case "html":
      return [html(seeded, bytes)];
    case "zip":
      return [zip(seeded, bytes)];
    case "pdf":
      return [pdf(seeded, bytes)];
  }
}

function randomPieces(seeded: SeededBytes, bytes: number): Buffer[] {
  const size = bytes > largestPiece ? repeatedPiece : bytes;
  const piece = random(seeded, size);
  const pieces = Array.from({ length: Math.floor(bytes / size) }, () => piece);
  const rest = bytes % size;
  return rest === 0 ? pieces : [...pieces, piece.subarray(0, rest)];
}

function random(seeded: SeededBytes, bytes: number): Buffer {
  const made = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += 65_536) made.set(seeded.take(Math.min(65_536, bytes - at)), at);
  return made;
}

const words = "the scan of a file that moves through this gateway takes as long as its engine needs and no longer".split(" ");

function prose(seeded: SeededBytes, bytes: number): Buffer {
  const made = Buffer.alloc(bytes, " ");
  for (let at = 0; at < bytes; ) {
    const word = `${words[seeded.below(words.length)] ?? ""} ${seeded.below(20) === 0 ? `${seeded.hex(3)}\n` : ""}`;
    at += made.write(word, at, "latin1");
  }
  return made;
}

/** Ends within a comment, where the stamp is out of the way. */
function html(seeded: SeededBytes, bytes: number): Buffer {
  const head = "<!DOCTYPE html>\n<html><head><title>Report</title></head><body>\n";
  const tail = "</body></html>\n<!-- ";
  const made = Buffer.alloc(bytes, " ");
  let at = made.write(head, "latin1");
  const end = bytes - tail.length;
  for (;;) {
    const paragraph = `<p class="c${seeded.below(9)}"><a href="/${seeded.hex(4)}">${prose(seeded, 60 + seeded.below(200)).toString("latin1")}</a></p>\n`;
    if (at + paragraph.length > end) break;
    at += made.write(paragraph, at, "latin1");
  }
  made.write(tail, end, "latin1");
  return made;
}

/** Half of it prose, deflated, half of it random and stored, as in office documents; the archive's comment is the stamp. */
function zip(seeded: SeededBytes, bytes: number): Buffer {
  const overhead = 220;
  const locals: Buffer[] = [];
  const centrals: Buffer[] = [];
  let offset = 0;
  const add = (name: string, content: Buffer, isDeflated: boolean) => {
    const data = isDeflated ? deflateRawSync(content) : content;
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(isDeflated ? 8 : 0, 4);
    common.writeUInt32LE(0x5a210000, 6);
    common.writeUInt32LE(crc32(content), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(content.length, 18);
    common.writeUInt16LE(name.length, 22);
    const position = Buffer.alloc(14);
    position.writeUInt32LE(offset, 10);
    locals.push(Buffer.from("PK\x03\x04"), common, Buffer.from(name), data);
    centrals.push(Buffer.from("PK\x01\x02\x14\x00"), common, position, Buffer.from(name));
    offset += 30 + name.length + data.length;
  };
  add("document.txt", prose(seeded, Math.max(16, Math.floor(bytes / 2))), true);
  add("picture.bin", random(seeded, Math.max(0, bytes - offset - overhead)), false);
  const central = Buffer.concat(centrals);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(2, 4);
  end.writeUInt16LE(2, 6);
  end.writeUInt32LE(central.length, 8);
  end.writeUInt32LE(offset, 12);
  end.writeUInt16LE(stampBytes, 16);
  return Buffer.concat([...locals, central, Buffer.from("PK\x05\x06"), end]);
}

/** One page with one deflated stream of text, then a comment that ends in the stamp. */
function pdf(seeded: SeededBytes, bytes: number): Buffer {
  const objects: Buffer[] = [Buffer.from("%PDF-1.4\n1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj\n")];
  objects.push(Buffer.from("2 0 obj <</Type/Pages/Kids[3 0 R]/Count 1>> endobj\n"));
  objects.push(Buffer.from("3 0 obj <</Type/Page/Parent 2 0 R/Contents 4 0 R>> endobj\n"));
  const image = random(seeded, Math.max(16, bytes - 400));
  objects.push(Buffer.from(`4 0 obj <</Length ${image.length}>> stream\n`), image, Buffer.from("\nendstream endobj\n"));
  objects.push(Buffer.from("trailer <</Root 1 0 R/Size 5>>\n%%EOF\n%"));
  return Buffer.concat(objects);
}
