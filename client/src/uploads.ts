/** What the frameworks' adapters share: which answer a set of scanned files gets. */

import { ScanError, toScanError } from "./errors.ts";
import { type Report, reasonOf } from "./report.ts";
import type { Scanner } from "./scanner.ts";

/** One file of a request, as it was scanned. */
export type UploadReport = { readonly field: string; readonly name: string } & (
  | { readonly report: Report }
  | { readonly error: ScanError }
);

/** An answer that keeps the files from the handler. */
export interface Refusal {
  /** 422 where a file is blocked, 413 where one is too large, 503 where there is no verdict. */
  readonly status: 413 | 422 | 503;
  /** Seconds until another try makes sense; null where none does. */
  readonly retryAfterSeconds: number | null;
  /** For the client; it names files and what was found in them. */
  readonly body: {
    readonly error: "blocked" | "too-large" | "not-scanned";
    readonly files: readonly { readonly field: string; readonly name: string; readonly reason: string }[];
  };
}

const defaultRetrySeconds = 5;

/** Null where every file is allowed. A blocked file counts for more than one without a verdict: it must not be sent again. */
export function refusalOf(uploads: readonly UploadReport[]): Refusal | null {
  const blocked = uploads.flatMap((upload) =>
    "report" in upload && !upload.report.allowed
      ? [{ field: upload.field, name: upload.name, reason: reasonOf(upload.report) }]
      : [],
  );
  if (blocked.length > 0) return { status: 422, retryAfterSeconds: null, body: { error: "blocked", files: blocked } };
  const failed = uploads.flatMap((upload) => ("error" in upload ? [upload] : []));
  const [first] = failed;
  if (first === undefined) return null;
  const files = failed.map(({ field, name, error }) => ({ field, name, reason: error.code }));
  if (failed.every(({ error }) => error.code === "too-large")) {
    return { status: 413, retryAfterSeconds: null, body: { error: "too-large", files } };
  }
  const asked = failed.flatMap(({ error }) => (error.retryAfterMs === null ? [] : [Math.ceil(error.retryAfterMs / 1000)]));
  return { status: 503, retryAfterSeconds: Math.max(defaultRetrySeconds, ...asked), body: { error: "not-scanned", files } };
}

/** As fetch's Response has it. */
export function refusalResponse({ status, retryAfterSeconds, body }: Refusal): Response {
  const headers: Record<string, string> = retryAfterSeconds === null ? {} : { "retry-after": String(retryAfterSeconds) };
  return Response.json(body, { status, headers });
}

/** A file of a request as multer leaves it: in memory or on the disk. */
export interface UploadedFile {
  readonly fieldname: string;
  readonly originalname: string;
  readonly buffer?: Uint8Array;
  readonly path?: string;
}

/** Never rejects. */
export async function scanStored(
  scanner: Scanner,
  { fieldname, originalname, buffer, path }: UploadedFile,
): Promise<UploadReport> {
  const upload = { field: fieldname, name: originalname };
  try {
    if (buffer !== undefined) return { ...upload, report: await scanner.scan(buffer, { name: originalname }) };
    if (path !== undefined) return { ...upload, report: await scanner.scanFile(path, { name: originalname }) };
    throw new ScanError("input", "the storage keeps neither a buffer nor a path: scan before it stores");
  } catch (error) {
    return { ...upload, error: toScanError(error, "input") };
  }
}

/** From the disk, where it is there. */
export async function removeStored({ path }: UploadedFile): Promise<void> {
  if (path === undefined) return;
  const { rm } = await import("node:fs/promises");
  await rm(path, { force: true });
}
