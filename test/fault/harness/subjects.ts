/** Bodies whose truth the test knows before any engine has seen them. No two are equal unless they are asked for twice. */

import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { eicar, eicarName, marker, markerName } from "../../live/clamd.ts";
import { zip } from "../../live/zip.ts";
import { tar } from "../tar.ts";
import type { Random } from "./random.ts";

/** What every right engine with `testSignatures` says; `unscannable` bodies hide what is in them. */
export type Truth = "clean" | "infected" | "unscannable";

export interface Subject {
  readonly name: string;
  readonly bytes: Buffer;
  readonly truth: Truth;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  /** What is found in other bodies and not in this one. */
  readonly isNotNamed?: string;
}

export interface SubjectSource {
  clean(size?: number): Subject;
  infected(size?: number): Subject;
  /** An encrypted archive. */
  unscannable(): Subject;
}

type Wrap = (name: string, bytes: Buffer) => Buffer;

/** Wrappings that clamd opens and that cost their maker nothing. */
const copying: readonly Wrap[] = [
  (_name, bytes) => bytes,
  (_name, bytes) => bytes,
  (name, bytes) => zip([{ name, bytes, isStored: true }]),
  tar,
];
const wrappings: readonly Wrap[] = [
  ...copying,
  (name, bytes) => zip([{ name, bytes }]),
  (name, bytes) => zip([{ name: "inner.zip", bytes: zip([{ name, bytes }]) }]),
  (_name, bytes) => gzipSync(bytes, { level: 1 }),
];
/** Larger bodies are not compressed: the test's own time is not what is measured. */
const mostCompressed = 1_000_000;

const poolBytes = 4 * 1024 * 1024;

export interface SubjectSourceOptions {
  /** For a scripted engine, which opens no archives: the bytes as they are. */
  readonly isPlain?: boolean;
}

export function subjectSource(random: Random, { isPlain = false }: SubjectSourceOptions = {}): SubjectSource {
  const pool = random.bytes(poolBytes);
  let made = 0;

  /** Begins as no format that an engine would take apart or pass over. */
  function filling(size: number): Buffer {
    made += 1;
    const head = Buffer.from(`clamgate subject ${made} ${random.bytes(8).toString("hex")}\n`);
    const start = random.below(poolBytes - 1);
    const pieces: Buffer[] = [head];
    for (let left = size - head.length, at = start; left > 0; at = 0) {
      const piece = pool.subarray(at, at + left);
      pieces.push(piece);
      left -= piece.length;
    }
    return Buffer.concat(pieces);
  }

  function wrapped(name: string, bytes: Buffer, truth: Truth): Subject {
    if (isPlain) return subject(name, bytes, truth);
    const wrap = random.pick(bytes.length > mostCompressed ? copying : wrappings);
    return subject(name, wrap(name, bytes), truth);
  }

  return {
    clean(size = random.size(100, 500_000)) {
      const name = `clean-${made}.bin`;
      return wrapped(name, filling(size), "clean");
    },
    infected(size = random.size(100, 200_000)) {
      const name = `infected-${made}.bin`;
      const bytes = filling(size);
      const at = random.below(bytes.length);
      const isMarker = random.below(2) === 0;
      const evil = isMarker ? Buffer.from(marker) : eicar;
      const whole = Buffer.concat([bytes.subarray(0, at), evil, bytes.subarray(at)]);
      return { ...wrapped(name, whole, "infected"), isNotNamed: isMarker ? eicarName : markerName };
    },
    unscannable() {
      const name = `encrypted-${made}.zip`;
      return subject(name, zip([{ name: "secret", bytes: filling(300), isEncrypted: true }]), "unscannable");
    },
  };
}

export function subject(name: string, bytes: Buffer, truth: Truth): Subject {
  return { name, bytes, truth, sha256: createHash("sha256").update(bytes).digest("hex") };
}
