/** What is to be scanned: the paths that are named, those of a list, and all files below them. */

import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { basename, isAbsolute } from "node:path";
import { addAbortSignal, type Readable } from "node:stream";
import { type FilePath, isExcluded, ScanError, walk } from "./library.ts";

export type Input =
  | { readonly kind: "file"; readonly path: FilePath }
  | { readonly kind: "stdin" }
  /** Nothing can be scanned there. */
  | { readonly kind: "fault"; readonly path: FilePath; readonly error: ScanError };

export interface InputsOptions {
  readonly paths: readonly FilePath[];
  /** A path, `-` for standard input, or null. */
  readonly fileList: string | null;
  /** Whether its paths end with a null byte each, in place of a line feed. */
  readonly isNullSeparated: boolean;
  readonly exclude: readonly string[];
  readonly stdin: Readable;
  /** A name that is passed over: that of our own output, while it is written. */
  readonly ownName: string | null;
  /** Ends the reading of a list. */
  readonly signal: AbortSignal;
}

/** Linux takes no longer ones. */
const longestPath = 4_096;

/** Rejects with an Error where the list of files cannot be read. */
export async function* inputs({
  paths,
  fileList,
  isNullSeparated,
  exclude,
  stdin,
  ownName,
  signal,
}: InputsOptions): AsyncGenerator<Input, void, undefined> {
  for (const path of paths) {
    if (String(path) === "-") yield { kind: "stdin" };
    else yield* below(path, { ofFile: [basename(String(path))], ofDirectory: [] });
  }
  if (fileList === null) return;
  const list = addAbortSignal(signal, fileList === "-" ? stdin : createReadStream(fileList));
  for await (const path of pathsIn(list, isNullSeparated ? 0 : lineFeed)) {
    const names = isAbsolute(String(path)) ? [basename(String(path))] : ancestorsOf(String(path));
    yield* below(path, { ofFile: names, ofDirectory: names });
  }

  /** @param names of the path itself that a glob may fit: a directory that is an argument is wanted, whatever its name. */
  async function* below(
    path: FilePath,
    names: { readonly ofFile: readonly string[]; readonly ofDirectory: readonly string[] },
  ): AsyncGenerator<Input, void, undefined> {
    try {
      const isDirectory = (await stat(path)).isDirectory();
      if (names[isDirectory ? "ofDirectory" : "ofFile"].some((name) => isExcluded(name, exclude))) return;
      if (!isDirectory) {
        // What is no regular file is told when it is opened.
        yield { kind: "file", path };
        return;
      }
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      yield {
        kind: "fault",
        path,
        error: new ScanError(code === "ENOENT" || code === "ENOTDIR" ? "not-found" : "input", message),
      };
      return;
    }
    for await (const { path: inside, error } of walk(path, { exclude })) {
      if (error !== null) yield { kind: "fault", path: inside, error };
      else if (ownName === null || !String(inside).endsWith(ownName)) yield { kind: "file", path: inside };
    }
  }
}

const lineFeed = 0x0a;

/** `a/b/c` is `a`, `a/b` and `a/b/c`. */
function ancestorsOf(path: string): readonly string[] {
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  return names.map((_, index) => names.slice(0, index + 1).join("/"));
}

/** As bytes: a name need not be UTF-8. Empty ones are passed over. */
async function* pathsIn(chunks: AsyncIterable<Buffer>, separator: number): AsyncGenerator<Buffer, void, undefined> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let from = 0;
    for (let end = bytes.indexOf(separator, from); end >= 0; end = bytes.indexOf(separator, from)) {
      if (end > from) yield whole(bytes.subarray(from, end));
      from = end + 1;
    }
    rest = whole(bytes.subarray(from));
  }
  if (rest.length > 0) yield rest;
}

function whole(path: Buffer): Buffer {
  if (path.length > longestPath)
    throw new Error(`the file list has a path of more than ${longestPath} bytes: is --null missing, or one too many?`);
  if (path.includes(0)) throw new Error("the file list has null bytes: it needs --null");
  return path;
}

/**
 * Arguments as the system passed them: Node makes text of them, in which a byte that is no UTF-8 cannot be told from another.
 * Only Linux shows them.
 */
export async function asBytes(paths: readonly string[]): Promise<readonly FilePath[]> {
  if (!paths.some((path) => path.includes("\ufffd"))) return paths;
  const all = await readFile("/proc/self/cmdline").catch(() => null);
  if (all === null) return paths;
  const raw: Buffer[] = [];
  for (let from = 0, end = all.indexOf(0); end >= 0; from = end + 1, end = all.indexOf(0, from))
    raw.push(all.subarray(from, end));
  return paths.map((path) => raw.find((bytes) => bytes.toString() === path) ?? path);
}
