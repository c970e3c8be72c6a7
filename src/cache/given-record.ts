/** The copies that were given of one address, as one text: a line for each, the last given at the end. The same in every store. */

import { hash } from "node:crypto";
import { type Copy, givenAgainSeconds, givenSeconds, type KnownCopies } from "../core/given-copies.ts";

/** More than a file changes within a day. What changes all the time, a clock or a list, is given as a whole. */
export const maxCopies = 16;

/** Begins every record, so that nothing else is taken for one. */
export const recordHead = "given\n";

/** In the place of copies that there was no room for. */
export const lost = "*";
const unscanned = "-";
const recordPattern = /^given\n(\d{1,12} (\*|(-|[0-9a-f]{64})( [0-9a-f]{16})*)\n)*$/;

/** One line of a record without its time. */
export function lineOf({ sha256, validators }: Copy): string {
  return [sha256 ?? unscanned, ...validators.map(shortOf).toSorted()].join(" ");
}

export function isRecord(text: unknown): text is string {
  return typeof text === "string" && recordPattern.test(text);
}

/**
 * The record with one more copy. `givenScript` in redis/copies.ts does the same.
 * @param now in whole seconds, of the clock that all of them are of.
 */
export function added(record: string | null, line: string, now: number): string {
  if (record === null) return `${recordHead}${now} ${line}\n`;
  const kept = linesOf(record).filter((one) => one.line !== line && now - one.at < givenSeconds);
  const known = kept.filter((one) => one.line !== lost);
  const over = known.splice(0, Math.max(0, known.length + 1 - maxCopies)).concat(kept.filter((one) => one.line === lost));
  const head = over.length === 0 ? [] : [{ at: Math.max(...over.map(({ at }) => at)), line: lost }];
  return recordHead + [...head, ...known, { at: now, line }].map((one) => `${one.at} ${one.line}\n`).join("");
}

/** Of an address that a store may have forgotten: something was given of it, and nobody knows what. */
export function forgottenRecord(at: number): string {
  return `${recordHead}${at} ${lost}\n`;
}

/** Whether the line was added so lately that it need not be added again. */
export function isFresh(record: string, line: string, now: number): boolean {
  return linesOf(record).some((one) => one.line === line && now - one.at < givenAgainSeconds);
}

/**
 * Null where not all copies are in it.
 * @param now not needed of a record that was added to just now.
 */
export function knownCopies(record: string, now = Number.NEGATIVE_INFINITY): KnownCopies | null {
  const lines = linesOf(record).filter(({ at }) => now - at < givenSeconds);
  if (lines.some(({ line }) => line === lost)) return null;
  const copies = () => lines.map(({ line }) => line.split(" "));
  return {
    isSole: ({ sha256 }) => sha256 !== null && copies().every(([digest]) => digest === sha256),
    isSoleWith(validator, { sha256 }) {
      const short = shortOf(validator);
      const same = copies().filter(([, ...validators]) => validators.includes(short));
      return sha256 !== null && same.length > 0 && same.every(([digest]) => digest === sha256);
    },
  };
}

/** Of two stores: what either of them knows. */
export function bothKnown(one: KnownCopies, other: KnownCopies): KnownCopies {
  return {
    isSole: (copy) => one.isSole(copy) && other.isSole(copy),
    isSoleWith: (validator, copy) => one.isSoleWith(validator, copy) && other.isSoleWith(validator, copy),
  };
}

function linesOf(record: string): { readonly at: number; readonly line: string }[] {
  const lines = record.slice(recordHead.length).split("\n").slice(0, -1);
  return lines.map((text) => {
    const space = text.indexOf(" ");
    return { at: Number(text.slice(0, space)), line: text.slice(space + 1) };
  });
}

/** Two that meet by chance look like one validator of two copies, which costs a whole file and no more. */
function shortOf(validator: string): string {
  return hash("sha256", validator, "hex").slice(0, 16);
}
