/** A file of the system's that is read again when it has changed. */

import { readFile, stat } from "node:fs/promises";

/** What the file says. One that is not there, or cannot be read, says nothing. */
export function keptFile<T>(path: string, parse: (text: string) => T): () => Promise<T> {
  let kept: { readonly version: string; readonly value: T } | null = null;
  return async () => {
    const version = await versionOf(path);
    if (kept?.version === version) return kept.value;
    const value = parse(await readFile(path, "utf8").catch(() => ""));
    kept = { version, value };
    return value;
  };
}

async function versionOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs } = await stat(path, { bigint: true });
    return `${ino} ${size} ${mtimeNs}`;
  } catch {
    return "none"; // as in a container that has no such file
  }
}
