/** "S-real": a signature database that weighs on clamd as a full one does, made from a seed and kept in a cache. */

import { createWriteStream } from "node:fs";
import { access, mkdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { SeededBytes } from "./seeded-bytes.ts";
import { type SignatureCounts, signatureLines } from "./signature-lines.ts";

const seed = "clamgate S-real 1";

/**
 * Calibrated with clamd 1.4.6: resident 0.9-1.2 GB, loaded in 5-20 s on two cores. Each run of the benchmark measures
 * both again. The counts are not those of the official database, whose kinds weigh differently.
 */
const realCounts: SignatureCounts = { hdb: 800_000, hsb: 400_000, mdb: 800_000, ndb: 250_000, ldb: 100_000, pcre: 2_000 };

const kinds = ["hdb", "hsb", "mdb", "ndb", "ldb"] as const;
const linesPerWrite = 1000;

/** The directory of the finished database; takes a minute the first time. */
export async function syntheticDatabase(say: (line: string) => void, environment = process.env): Promise<string> {
  const directory = join(environment.XDG_CACHE_HOME || join(homedir(), ".cache"), "clamgate-bench", nameOf(realCounts));
  if (await isThere(directory)) return directory;
  say("making the synthetic signatures (once; they are kept in the cache)");
  const half = `${directory}.${process.pid}`;
  await rm(half, { recursive: true, force: true });
  await writeSignatures(half, realCounts);
  await mkdir(dirname(directory), { recursive: true });
  await rename(half, directory);
  return directory;
}

/** Writes one file for each kind of signature. The same counts make the same files. */
export async function writeSignatures(directory: string, counts: SignatureCounts): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const kind of kinds) {
    const lines = signatureLines(kind, counts, new SeededBytes(`${seed} ${kind}`));
    await pipeline(Readable.from(joined(lines)), createWriteStream(join(directory, `synthetic.${kind}`)));
  }
}

function* joined(lines: Iterable<string>): Generator<string> {
  let some: string[] = [];
  for (const line of lines) {
    some.push(line);
    if (some.length < linesPerWrite) continue;
    yield some.join("");
    some = [];
  }
  if (some.length > 0) yield some.join("");
}

/** Another calibration is another directory. */
function nameOf(counts: SignatureCounts): string {
  return `s-real-${Object.values(counts).join("-")}`;
}

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false; // to be made
  }
}
