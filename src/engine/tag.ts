/** One short id for everything that decides a verdict: engine, signatures, limits. */

import { createHash } from "node:crypto";

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
  return createHash("sha256")
    .update(JSON.stringify([engine, signatures, limits]))
    .digest("hex")
    .slice(0, 16);
}
