/** The lines of a synthetic signature database, kind by kind (ClamAV's manual, "Signatures"). */

import type { SeededBytes } from "./seeded-bytes.ts";

export interface SignatureCounts {
  /** MD5 and size of whole files. */
  readonly hdb: number;
  /** SHA-256 and size of whole files. */
  readonly hsb: number;
  /** MD5 and size of sections of programs. */
  readonly mdb: number;
  /** Patterns of bytes. */
  readonly ndb: number;
  /** Logical combinations of two to eight patterns. */
  readonly ldb: number;
  /** So many of those, evenly spread, end in a regular expression. */
  readonly pcre: number;
}

const smallestFile = 1024;
const largestFile = 5 * 1024 * 1024;
/** Beginnings that real patterns share, runs of blanks and zeros among them: random ones alone make the trie too easy. */
const sharedBeginnings = ["4d5a9000", "558bec83", "68747470", "20202020", "00000000", "3c736372", "6a006800", "50726f67"];
const sharedPercent = 20;
/** Targets of clamd's in percent: any file 5, programs 60, HTML 10, and the rest. */
const targets = [
  [0, 5],
  [1, 60],
  [3, 10],
  [2, 8],
  [4, 4],
  [6, 5],
  [7, 5],
  [10, 3],
] as const;

export function* signatureLines(kind: keyof Omit<SignatureCounts, "pcre">, counts: SignatureCounts, bytes: SeededBytes) {
  const regularExpressionEvery = counts.pcre === 0 ? Number.POSITIVE_INFINITY : Math.ceil(counts.ldb / counts.pcre);
  for (let index = 0; index < counts[kind]; index += 1) {
    const name = `Synthetic.${kind}-${index}`;
    switch (kind) {
      case "hdb":
        yield `${bytes.hex(16)}:${bytes.logUniform(smallestFile, largestFile)}:${name}\n`;
        break;
      case "hsb":
        yield `${bytes.hex(32)}:${bytes.logUniform(smallestFile, largestFile)}:${name}\n`;
        break;
      case "mdb":
        yield `${bytes.logUniform(smallestFile, largestFile)}:${bytes.hex(16)}:${name}\n`;
        break;
      case "ndb":
        yield `${name}:${target(bytes)}:*:${pattern(bytes, 16, 60)}\n`;
        break;
      case "ldb":
        yield logical(name, bytes, index % regularExpressionEvery === 0);
        break;
    }
  }
}

function logical(name: string, bytes: SeededBytes, hasExpression: boolean): string {
  const patterns = Array.from({ length: 2 + bytes.below(7) }, () => pattern(bytes, 8, 30));
  const all = patterns.map((_, index) => index).join("&");
  const expression = hasExpression ? `;0/${bytes.hex(4)}[0-9a-f]{2,8}${bytes.hex(2)}/` : "";
  return `${name};Engine:81-255,Target:${target(bytes)};${all}${hasExpression ? `&${patterns.length}` : ""};${patterns.join(";")}${expression}\n`;
}

/** @param least bytes. @param most bytes. */
function pattern(bytes: SeededBytes, least: number, most: number): string {
  const length = least + bytes.below(most - least + 1);
  const isShared = bytes.below(100) < sharedPercent;
  const beginning = isShared ? (sharedBeginnings[bytes.below(sharedBeginnings.length)] ?? "") : "";
  return beginning + bytes.hex(length - beginning.length / 2);
}

function target(bytes: SeededBytes): number {
  let left = bytes.below(100);
  for (const [number, percent] of targets) {
    left -= percent;
    if (left < 0) return number;
  }
  return 0;
}
