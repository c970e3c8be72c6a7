/** The rule of the differential campaigns: a file that a reader takes out, and that holds a marker, was scanned exactly as the reader has it. */

import assert from "node:assert/strict";
import { countedMarkers, type Markers } from "../harness/marked-text.ts";
import type { WitnessEngine } from "../harness/witness-engine.ts";
import type { ReadingKind, Readings } from "./reader-process.ts";
import type { KnownReader } from "./readers.ts";

export interface Judge {
  readonly markers: Markers;
  /** Each input has the engine to itself. */
  begin(): void;
  /**
   * Rejects where a reader has a file that nobody has scanned.
   * @param describe a command that sends the input again
   * @returns how many files with a marker there were
   */
  compare(readings: Readings, describe: () => string): number;
  /** By reader: files with a marker that it has taken out, each of them scanned. */
  readonly files: ReadonlyMap<string, number>;
}

/** @param onBegin is called before each input, to forget what else the last one has left */
export function openJudge(engine: WitnessEngine, onBegin: () => void): Judge {
  const markers = countedMarkers();
  const files = new Map<string, number>();
  return {
    markers,
    files,
    begin() {
      engine.forget();
      onBegin();
    },
    compare(readings, describe) {
      let count = 0;
      for (const [reader, taken] of readings)
        for (const file of taken.filter((bytes) => markers.areIn(bytes))) {
          assert.ok(engine.hasScanned(file), `${reader} has a file that nobody has scanned, ${shown(file)}\n${describe()}`);
          files.set(reader, (files.get(reader) ?? 0) + 1);
          count += 1;
        }
      return count;
    },
  };
}

/** Of readers that take nothing out of anything nobody would ever hear: each that is here has to have just this file out of a right input. */
export function assertEachHas(file: Buffer, readings: Readings, known: readonly KnownReader[], kind: ReadingKind): void {
  for (const { name } of known.filter((one) => one.kind === kind && one.version !== null))
    assert.ok(
      readings.get(name)?.some((bytes) => bytes.equals(file)),
      `${name} does not read a right ${kind}`,
    );
}

function shown(bytes: Buffer): string {
  const text = JSON.stringify(bytes.toString("latin1"));
  return text.length <= 300 ? text : `${text.slice(0, 300)}… (${bytes.length} bytes)`;
}
