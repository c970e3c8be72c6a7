/** The signature files that clamd has refused. Each stays out of every set until it changes. */

import { type FileFault, type SignatureFile, type SignatureSet, withFiles } from "./signature-set.ts";

export interface RefusedFiles {
  /** To be told of what the directory holds now: files that are gone or have changed are not refused any more. */
  review(found: SignatureSet): void;
  /** False when `name` is no file of `found`: then it is an earlier one that stands in for a refused one. */
  add(found: SignatureSet, fault: FileFault): boolean;
  faults(): readonly FileFault[];
}

export function refusedFiles(): RefusedFiles {
  const refused = new Map<string, FileFault & { readonly content: string }>();
  return {
    review(found) {
      for (const [name, { content }] of refused) if (contentOf(found, name) !== content) refused.delete(name);
    },
    add(found, fault) {
      const content = contentOf(found, fault.file);
      if (content === null || refused.has(fault.file)) return false;
      refused.set(fault.file, { ...fault, content });
      return true;
    },
    faults: () => [...refused.values()].map(({ file, reason }) => ({ file, reason })),
  };
}

/**
 * `found` without the files of these names. In the place of each comes what `earlier` has of the same database, so that one bad
 * update does not take away what was found before it.
 */
export function setWithout(found: SignatureSet, names: ReadonlySet<string>, earlier: SignatureSet | null): SignatureSet {
  const kept = found.files.filter(({ name }) => !names.has(name));
  const present = new Set(kept.map(({ name }) => databaseOf(name)));
  const missing = new Set([...names].map(databaseOf).filter((database) => !present.has(database)));
  const standIns = earlier?.files.filter(({ name }) => missing.has(databaseOf(name))) ?? [];
  // A detached signature belongs to one version of its database, and is named for it.
  return withFiles(
    found,
    [...kept, ...standIns],
    [...found.companions, ...(standIns.length === 0 ? [] : unknown(found, earlier))],
  );
}

/** Which of the official databases among `names` has nothing in its place in `usable`: without it most of what is known is not found. */
export function lostDatabase(names: ReadonlySet<string>, usable: SignatureSet): string | null {
  const present = new Set(usable.files.map(({ name }) => databaseOf(name)));
  return [...names].find((name) => /^(?:main|daily)\.cvd$/i.test(databaseOf(name)) && !present.has(databaseOf(name))) ?? null;
}

function unknown(found: SignatureSet, earlier: SignatureSet | null): readonly SignatureFile[] {
  const names = new Set(found.companions.map(({ name }) => name));
  return earlier?.companions.filter(({ name }) => !names.has(name)) ?? [];
}

/** freshclam replaces daily.cvd by daily.cld: one database under either name. */
function databaseOf(name: string): string {
  return name.replace(/\.(?:cvd|cld|cud)$/i, ".cvd");
}

/** A `.sign` file that comes late may well be what a refused file was missing. Null when there is no such file. */
function contentOf({ files, companions }: SignatureSet, name: string): string | null {
  const file = files.find((one) => one.name === name);
  return file === undefined ? null : [file, ...companions].map((one) => `${one.name}:${one.sha256}`).join(" ");
}
