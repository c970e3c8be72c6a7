/** One short id for everything that decides a verdict: engine, signatures, limits, and how the gateway asks. */

import { createHash } from "node:crypto";
import { coverage } from "../core/verdict.ts";

export interface TagParts {
  readonly engine: string;
  readonly database: number;
  readonly databaseDate: string;
  /** Of our own signature set; empty for a clamd whose set we cannot know. */
  readonly epoch: string;
  readonly limits: string;
}

/** 16 hexadecimal digits. */
export function engineTag({ engine, database, databaseDate, epoch, limits }: TagParts): string {
  // The epoch names every file by its content; the date beside it is clamd's local time and would differ between time zones.
  const signatures = epoch === "" ? [database, databaseDate] : [epoch];
  return shortHash([coverage, engine, signatures, limits]);
}

/** The tag of the same engine where its clamd.conf lacks these lines: it calls clean what another one would tell. */
export function laxTag(tag: string, lacking: readonly string[]): string {
  return lacking.length === 0 ? tag : shortHash([tag, lacking]);
}

function shortHash(parts: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}
