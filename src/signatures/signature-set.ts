/** The signatures of one directory, named by what is in them: the same content has the same id across restarts and machines. */

import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { type CvdHeader, parseCvdHeader } from "../codec/cvd-header.ts";
import { ClamgateError, messageOf, systemCodeOf } from "../core/errors.ts";
import { identityOf, isMissing, type ListedFile, listSignatureFiles } from "./signature-files.ts";
import { isTestFile } from "./test-set.ts";

export interface SignatureFile extends ListedFile {
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  /** Of a .cvd, .cld or .cud; null for other files and for a header that makes no sense. */
  readonly header: CvdHeader | null;
}

/** Why a file, or a part of it, is not in use. */
export interface FileFault {
  readonly file: string;
  /** For people. */
  readonly reason: string;
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
  /** Signature files that were there and are in none of the lists above: unreadable or too large. */
  readonly unusable: readonly FileFault[];
}

/**
 * clamd reads some 40 MB of a file's text a second, and until it has done so nothing else is loaded. The largest database there
 * is takes a third of this.
 */
export const maxFileBytes = 1024 ** 3;

/** A file that was replaced while it was read is read again, with all the others, this many times. */
const maxReads = 3;

/**
 * Hashes every signature file of `directory`. Rejects with `internal` when the directory cannot be read, or, naming one, when
 * the files keep changing.
 */
export async function readSignatureSet(directory: string): Promise<SignatureSet> {
  for (let read = 1; ; read++) {
    try {
      const files: SignatureFile[] = [];
      const unusable: FileFault[] = [];
      for (const listed of await listSignatureFiles(directory)) {
        const file = await readSignatureFile(listed);
        if ("reason" in file) unusable.push(file);
        else files.push(file);
      }
      return describe(
        files.filter(({ isSignatures }) => isSignatures),
        files.filter(({ isSignatures }) => !isSignatures),
        unusable,
      );
    } catch (error) {
      const isRacing = error instanceof ChangedWhileRead;
      if (isRacing && read < maxReads) continue;
      const detail = isRacing ? `${error.path} keeps changing` : messageOf(error);
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

async function readSignatureFile(listed: ListedFile): Promise<SignatureFile | FileFault> {
  if (listed.size > maxFileBytes) return { file: listed.name, reason: `it has ${listed.size} bytes, more than ${maxFileBytes}` };
  try {
    return await hashed(listed);
  } catch (error) {
    if (error instanceof ChangedWhileRead || isShortage(error)) throw error;
    return { file: listed.name, reason: messageOf(error) };
  }
}

/** No fault of the file's, and soon over. */
function isShortage(error: unknown): boolean {
  return ["EMFILE", "ENFILE", "ENOMEM"].includes(systemCodeOf(error) ?? "");
}

async function hashed(listed: ListedFile): Promise<SignatureFile> {
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

/** The set of these files, with what else is known of `set`. */
export function withFiles(
  { unusable }: SignatureSet,
  files: readonly SignatureFile[],
  companions: readonly SignatureFile[],
): SignatureSet {
  const inOrder = files.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return describe(inOrder, companions, unusable);
}

/** @param files in order of their names. */
function describe(
  files: readonly SignatureFile[],
  companions: readonly SignatureFile[],
  unusable: readonly FileFault[],
): SignatureSet {
  const hash = createHash("sha256");
  for (const file of files) hash.update(`${file.name}\0${file.sha256}\n`);
  const headers = files.flatMap(({ name, header }) => (header === null ? [] : [{ name, ...header }]));
  const dailies = headers.filter(({ name }) => name.startsWith("daily.")).sort((a, b) => b.version - a.version);
  const newest = headers.toSorted((a, b) => b.builtAt.getTime() - a.builtAt.getTime())[0];
  const daily = dailies[0];
  return {
    id: hash.digest("hex").slice(0, 16),
    files,
    companions,
    daily: daily === undefined ? null : { version: daily.version, builtAt: daily.builtAt },
    newestBuiltAt: newest?.builtAt ?? null,
    isEmpty: files.length === 0,
    isTestOnly: files.length > 0 && files.every(({ name }) => isTestFile(name)),
    unusable,
  };
}
