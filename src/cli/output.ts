/** Where results go: standard output, or a file that is there whole or not at all. */

import { randomUUID } from "node:crypto";
import { type FileHandle, open, realpath, rename, stat, unlink } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";

export interface Output {
  /** Resolves when there is room for more. Rejects where nothing can be written any more. */
  write(text: string): Promise<void>;
  /** All has been written. */
  finish(): Promise<void>;
  /** Nothing of it is left, as far as it can be taken back. */
  discard(): Promise<void>;
  /** The name of the file that is being written; null where there is none. It is nothing to scan. */
  readonly temporaryName: string | null;
}

/** The reader of standard output has gone: nobody is to be told of it. */
export class ReaderGone extends Error {}

/** @param onFault called once, when standard output takes nothing any more. */
export function standardOutput(stream: NodeJS.WritableStream, onFault: (error: Error) => void): Output {
  let fault: Error | null = null;
  let wake: () => void = () => {};
  stream.on("error", (error: NodeJS.ErrnoException) => {
    const first = fault === null;
    fault ??= error.code === "EPIPE" ? new ReaderGone() : new Error(`standard output cannot be written: ${error.message}`);
    if (first) onFault(fault);
    wake();
  });
  stream.on("drain", () => wake());
  return {
    temporaryName: null,
    async write(text) {
      if (fault !== null) throw fault;
      if (stream.write(text)) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      if (fault !== null) throw fault;
    },
    async finish() {
      await new Promise<void>((resolve) => stream.write("", () => resolve()));
      if (fault !== null) throw fault;
    },
    async discard() {},
  };
}

/** Rejects with an Error for the user where the file cannot be written there. */
export async function fileOutput(path: string): Promise<Output> {
  const target = await targetOf(path);
  const temporaryName = `.${basename(target)}.${randomUUID()}`;
  const temporary = join(dirname(target), temporaryName);
  const file: FileHandle = await open(temporary, "wx").catch((error: Error) => {
    throw new Error(`--output ${path} cannot be written: ${error.message}`, { cause: error });
  });
  async function discard(): Promise<void> {
    await file.close().catch(() => {}); // it may be closed already
    await unlink(temporary).catch(() => {}); // it may have its name already
  }
  return {
    temporaryName,
    async write(text) {
      await file.appendFile(text);
    },
    async finish() {
      try {
        await file.sync();
        await file.close();
        await rename(temporary, target);
      } catch (error) {
        await discard();
        throw error;
      }
    },
    discard,
  };
}

/** A link stays one: what it leads to is replaced. */
async function targetOf(path: string): Promise<string> {
  const found = await stat(path).catch(() => null);
  if (found === null) return resolve(path);
  if (!found.isFile()) throw new Error(`--output ${path} is not a regular file`);
  return await realpath(path);
}

/** Writes nothing. */
export const noOutput: Output = {
  temporaryName: null,
  async write() {},
  async finish() {},
  async discard() {},
};
