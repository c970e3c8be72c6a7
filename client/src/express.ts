/** Express with multer: uploads that are not allowed never reach the handler. */

import { ScanError, toScanError } from "./errors.ts";
import { BlockedError } from "./report.ts";
import type { Scanner } from "./scanner.ts";
import { type Refusal, refusalOf, removeStored, scanStored, type UploadedFile, type UploadReport } from "./uploads.ts";

declare global {
  namespace Express {
    interface Request {
      /** The reports on the request's files, in their order: set by `blockUploads`. */
      scans?: readonly UploadReport[];
    }
  }
}

export interface UploadRequest {
  readonly headers: object;
  file?: UploadedFile | undefined;
  files?: readonly UploadedFile[] | { readonly [field: string]: readonly UploadedFile[] } | undefined;
  scans?: readonly UploadReport[];
}

export interface UploadResponse {
  status(code: number): this;
  setHeader(name: string, value: string): unknown;
  json(body: unknown): unknown;
}

export type Next = (error?: unknown) => void;

export interface BlockUploadsOptions<Request, Response> {
  /** Answers in place of the 422, 413 or 503; the files of a disk storage are gone by then. */
  readonly onBlocked?: (refusal: Refusal, request: Request, response: Response, next: Next) => void;
}

/** Middleware behind multer's: scans what multer has stored, and removes from the disk what may not stay there. */
export function blockUploads<Request extends UploadRequest, Response extends UploadResponse>(
  scanner: Scanner,
  options: BlockUploadsOptions<Request, Response> = {},
): (request: Request, response: Response, next: Next) => void {
  return (request, response, next) => {
    void check(request, response).then((isAllowed) => {
      if (isAllowed) next();
    }, next);

    async function check(request: Request, response: Response): Promise<boolean> {
      const files = filesOf(request);
      const scans = await Promise.all(files.map((file) => scanStored(scanner, file)));
      request.scans = scans;
      const refusal = refusalOf(scans);
      if (refusal === null) return true;
      await Promise.all(files.map(removeStored));
      if (options.onBlocked !== undefined) {
        options.onBlocked(refusal, request, response, next);
        return false;
      }
      if (refusal.retryAfterSeconds !== null) response.setHeader("retry-after", String(refusal.retryAfterSeconds));
      response.status(refusal.status).json(refusal.body);
      return false;
    }
  };
}

function filesOf({ file, files }: UploadRequest): readonly UploadedFile[] {
  const many = files === undefined ? [] : isList(files) ? files : Object.values(files).flat();
  return file === undefined ? many : [file, ...many];
}

function isList(files: NonNullable<UploadRequest["files"]>): files is readonly UploadedFile[] {
  return Array.isArray(files);
}

/** A file that multer is about to store. */
export interface IncomingFile {
  readonly fieldname: string;
  readonly originalname: string;
  readonly stream: NodeJS.ReadableStream;
}

/** One of multer's storages; what it is called with, and calls back with, is passed on. */
export interface Storage<Request, File extends IncomingFile, Info> {
  _handleFile(request: Request, file: File, callback: (error?: unknown, info?: Info) => void): void;
  _removeFile(request: Request, file: File, callback: (error: Error | null) => void): void;
}

/**
 * A multer storage that hands a file to another one only once it is allowed. A file that is not ends the upload with a BlockedError
 * (`status` 422), one without a verdict with a ScanError (`status` 503 or 413, and Retry-After in `headers`).
 */
export function scannedStorage<Request, File extends IncomingFile, Info>(
  scanner: Scanner,
  inner: Storage<Request, File, Info>,
): Storage<Request, File, Info> {
  return {
    _handleFile(request, file, callback) {
      const scanned = scanner.through({ name: file.originalname });
      const fail = (error: unknown) => {
        file.stream.resume(); // the rest of the form is read past
        const told = error instanceof BlockedError ? error : toScanError(error);
        callback(Object.assign(told, answerOf({ field: file.fieldname, name: file.originalname }, told)));
      };
      // multer ends a file that breaks off by an error of its stream.
      file.stream.once("error", (error) => scanned.destroy(new ScanError("input", String(error), { cause: error })));
      scanned.on("error", () => {}); // the report tells it
      file.stream.pipe(scanned);
      scanned.report.then((report) => {
        if (!report.allowed) return fail(new BlockedError(report));
        inner._handleFile(request, { ...file, stream: scanned }, callback);
      }, fail);
    },
    _removeFile: (request, file, callback) => inner._removeFile(request, file, callback),
  };
}

/** What Express answers an error by. */
function answerOf(
  upload: { readonly field: string; readonly name: string },
  error: BlockedError | ScanError,
): { readonly status: number; readonly headers: Readonly<Record<string, string>> } {
  const refusal = refusalOf([error instanceof BlockedError ? { ...upload, report: error.report } : { ...upload, error }]);
  const seconds = refusal?.retryAfterSeconds ?? null;
  return { status: refusal?.status ?? 503, headers: seconds === null ? {} : { "retry-after": String(seconds) } };
}
