/** What earlier gateways write to a store and read from it, as they did: frozen here, so that a change of today's shows. */

import { createHash } from "node:crypto";

export interface OlderRelease {
  readonly name: string;
  /** What stands under the key for a value. */
  write(id: string, value: unknown): string;
  /** The kind of the verdict that it reads; null for a miss. Of a record by address that of the verdict in it. */
  read(id: string, text: string): string | null;
  tag(parts: {
    readonly engine: string;
    readonly database: number;
    readonly databaseDate: string;
    readonly limits: string;
  }): string;
}

/** Commit 653251b: the value alone, and a tag without a number. */
const bare: OlderRelease = {
  name: "653251b",
  write: (_id, value) => JSON.stringify(value),
  read: (_id, text) => kindOf(JSON.parse(text)),
  tag: ({ engine, database, databaseDate, limits }) => hash([engine, [database, databaseDate], limits]),
};

/** Between that and the first number of `logic`: in an envelope of format 1. */
const enveloped: OlderRelease = {
  name: "format 1",
  write: (id, value) => JSON.stringify({ format: 1, key: id, value }),
  read(id, text) {
    const { format, key, value } = fieldsOf(JSON.parse(text));
    return format === 1 && key === id ? kindOf(value) : null;
  },
  tag: ({ engine, database, databaseDate, limits }) => hash([2, engine, [database, databaseDate], limits]),
};

export const olderReleases: readonly OlderRelease[] = [bare, enveloped];

/** Both had no eye for fields that they did not know. */
function kindOf(value: unknown): string | null {
  const fields = fieldsOf(value);
  if ("known" in fields) return kindOf(fieldsOf(fields.known).verdict);
  return ["clean", "infected", "unscannable"].find((kind) => fields.kind === kind) ?? null;
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function hash(parts: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}
