/** What a load must show, beside what it has shown. */

import { table } from "./table.ts";

export const loadNames = ["L1", "L2", "L3", "L4", "L5", "L6", "L7", "L8", "L9", "L10"] as const;
export type LoadName = (typeof loadNames)[number];

/**
 * met, missed: of a goal, which is a rate or a ratio and depends on the machine; kept, BROKEN: of an invariant, which does not.
 * not measured: something that the load needs is not there; the figure says what.
 */
export type Outcome = "met" | "missed" | "kept" | "BROKEN" | "not measured";

export interface Line {
  readonly load: LoadName;
  readonly what: string;
  readonly wanted: string;
  readonly measured: string;
  readonly outcome: Outcome;
}

/** The lines of one load. */
export class Findings {
  readonly lines: Line[] = [];
  readonly #load: LoadName;

  constructor(load: LoadName) {
    this.#load = load;
  }

  goal(what: string, wanted: string, measured: string, isMet: boolean): void {
    this.#add(what, wanted, measured, isMet ? "met" : "missed");
  }

  invariant(what: string, wanted: string, measured: string, holds: boolean): void {
    this.#add(what, wanted, measured, holds ? "kept" : "BROKEN");
  }

  /** @param faults each in words; the first ones are shown. */
  none(what: string, faults: readonly string[]): void {
    const shown = faults.length === 0 ? "0" : `${faults.length}: ${faults.slice(0, 3).join("; ")}`;
    this.invariant(what, "0", shown, faults.length === 0);
  }

  missing(what: string, reason: string): void {
    this.#add(what, "", reason, "not measured");
  }

  #add(what: string, wanted: string, measured: string, outcome: Outcome): void {
    this.lines.push({ load: this.#load, what, wanted, measured, outcome });
  }
}

export function lineTable(lines: readonly Line[]): string {
  const rows = lines.map(({ load, what, wanted, measured, outcome }) => [load, what, wanted, measured, outcome]);
  return table(["Load", "What", "Wanted", "Measured", "Outcome"], rows);
}
