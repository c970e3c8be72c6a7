/** The signatures of one directory, named by what is in them: the same content has the same id across restarts and machines. */

import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { type CvdHeader, parseCvdHeader } from "../codec/cvd-header.ts";
import { ClamgateError } from "../core/errors.ts";
import { identityOf, isMissing, type ListedFile, listSignatureFiles } from "./signature-files.ts";
import { isTestFile } from "./test-set.ts";

export interface SignatureFile extends ListedFile {
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  /** Of a .cvd, .cld or .cud; null for other files and for a header that makes no sense. */
  readonly header: CvdHeader | null;
}

export interface SignatureSet {
  /** 16 hexadecimal digits over the names and contents of `files`. */
  readonly id: string;
  readonly files: readonly SignatureFile[];
  /** Detached `.sign` files: linked along, no part of the id. */
  readonly companions: readonly SignatureFile[];
  readonly daily: { readonly version: number; readonly builtAt: Date } | null;
  readonly newestBuiltAt: Date | null;
  readonly isEmpty: boolean;
  /** True when there is nothing but the built-in test signatures. */
  readonly isTestOnly: boolean;
}

/** A file that was replaced while it was read is read again, with all the others, this many times. */
const maxReads = 3;

/**
 * Hashes every signature file of `directory`. Rejects with `internal`, naming the file, when the directory is missing, a file
 * cannot be read, or the files keep changing.
 */
export async function readSignatureSet(directory: string): Promise<SignatureSet> {
  for (let read = 1; ; read++) {
    try {
      const files: SignatureFile[] = [];
      for (const listed of await listSignatureFiles(directory)) files.push(await readSignatureFile(listed));
      return describe(files);
    } catch (error) {
      const isRacing = error instanceof ChangedWhileRead;
      if (isRacing && read < maxReads) continue;
      const detail = isRacing ? `${error.path} keeps changing` : error instanceof Error ? error.message : String(error);
      throw new ClamgateError("internal", "The signatures cannot be read", { detail, cause: error });
    }
  }
}

class ChangedWhileRead extends Error {
  readonly path: string;
  constructor(path: string) {
    super(`${path} changed while it was read`);
    this.path = path;
  }
}

async function readSignatureFile(listed: ListedFile): Promise<SignatureFile> {
  const file = await openRegular(listed.path);
  try {
    const hash = createHash("sha256");
    const chunk = Buffer.allocUnsafe(1 << 20);
    let header: CvdHeader | null = null;
    for (let size = 0; ; ) {
      const { bytesRead } = await file.read(chunk, 0, chunk.length, size);
      if (bytesRead === 0) break;
      const bytes = chunk.subarray(0, bytesRead);
      if (size === 0 && /\.(cvd|cld|cud)$/i.test(listed.name)) header = parseCvdHeader(bytes);
      hash.update(bytes);
      size += bytesRead;
    }
    const stats = await file.stat({ bigint: true });
    if (identityOf(stats) !== listed.identity) throw new ChangedWhileRead(listed.path);
    return { ...listed, sha256: hash.digest("hex"), header };
  } finally {
    await file.close();
  }
}

/** Without O_NONBLOCK, a FIFO put in the file's place after the listing would hold us for ever. */
async function openRegular(path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (isMissing(error)) throw new ChangedWhileRead(path);
    throw error;
  }
}

function describe(all: readonly SignatureFile[]): SignatureSet {
  const files = all.filter((file) => file.isSignatures);
  const hash = createHash("sha256");
  for (const file of files) hash.update(`${file.name}\0${file.sha256}\n`);
  const headers = files.flatMap(({ name, header }) => (header === null ? [] : [{ name, ...header }]));
  const dailies = headers.filter(({ name }) => name.startsWith("daily.")).sort((a, b) => b.version - a.version);
  const newest = headers.toSorted((a, b) => b.builtAt.getTime() - a.builtAt.getTime())[0];
  const daily = dailies[0];
  return {
    id: hash.digest("hex").slice(0, 16),
    files,
    companions: all.filter((file) => !file.isSignatures),
    daily: daily === undefined ? null : { version: daily.version, builtAt: daily.builtAt },
    newestBuiltAt: newest?.builtAt ?? null,
    isEmpty: files.length === 0,
    isTestOnly: files.length > 0 && files.every(({ name }) => isTestFile(name)),
  };
}
