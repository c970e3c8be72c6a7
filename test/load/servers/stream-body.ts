/** The files of the download load: both the origin and the clients know each of them by its number. */

import { seededRandom } from "../../fault/harness/random.ts";
import { marker } from "../../live/clamd.ts";

export const streamBytes = 10 * 1024 * 1024;
const pieceBytes = 256 * 1024;
const infectedEvery = 20;

export function isInfected(number: number): boolean {
  return number % infectedEvery === infectedEvery - 1;
}

/** Yields the file in order. No two numbers have the same file. */
export function streamBodies(): (number: number) => Generator<Buffer> {
  const piece = seededRandom(7).bytes(pieceBytes);
  return function* (number) {
    const pieces = streamBytes / pieceBytes;
    const random = seededRandom(number);
    const evilPiece = random.below(pieces);
    for (let index = 0; index < pieces; index += 1) {
      const stamp = Buffer.from(`file ${number}, piece ${index}\n`);
      const own = Buffer.from(piece);
      own.set(stamp);
      if (isInfected(number) && index === evilPiece) own.write(marker, stamp.length + random.below(pieceBytes - 200));
      yield own;
    }
  };
}
