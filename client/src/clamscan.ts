/**
 * The calls of npm's clamscan 2.4 over this library: the same names, options, callback orders and result keys. What cannot be scanned
 * rejects here; there it resolves with `isInfected: null`.
 */

import { readFile, stat } from "node:fs/promises";
import type { Duplex, Readable } from "node:stream";
import { ScanError, toScanError } from "./errors.ts";
import { type Report, reasonOf } from "./report.ts";
import { createScanner, type Scanner } from "./scanner.ts";

export interface ClamscanOptions {
  /** A newline-delimited list of paths, for `scanFiles()` without paths. */
  readonly fileList?: string | null;
  /** Whether `scanDir` goes into directories; true. */
  readonly scanRecursively?: boolean;
  readonly debugMode?: boolean;
  /** Resolves with `isInfected: null` in place of rejecting, as clamscan does; false. */
  readonly nullOnError?: boolean;
  readonly clamdscan?: {
    /** A gateway: `http://localhost:9000`. In place of socket and host. */
    readonly url?: string;
    readonly socket?: string | false | null;
    readonly host?: string | false | null;
    readonly port?: number | string | false | null;
    /** Milliseconds; 60,000. */
    readonly timeout?: number;
    readonly tls?: boolean;
    readonly bypassTest?: boolean;
    readonly [ignored: string]: unknown;
  };
  /** Refused where they are set: a socket cannot honour them. */
  readonly removeInfected?: boolean;
  readonly quarantineInfected?: boolean | string;
  readonly scanLog?: string | null;
  /** Ignored: there are no local binaries here. */
  readonly clamscan?: unknown;
  readonly preference?: unknown;
}

export interface FileResult {
  readonly file: string | null;
  /** Null only under `nullOnError`. */
  readonly isInfected: boolean | null;
  readonly viruses: readonly string[];
}

export interface FilesResult {
  readonly goodFiles: readonly string[];
  readonly badFiles: readonly string[];
  readonly errors: Readonly<Record<string, Error>>;
  readonly viruses: readonly string[];
}

export interface DirectoryResult extends FilesResult {
  readonly path: string;
  readonly isInfected: boolean | null;
  readonly numGoodFiles: number;
}

export type FileCallback = (error: Error | null, file?: string, isInfected?: boolean | null, viruses?: readonly string[]) => void;
export type FilesCallback = (
  error: Error | null,
  goodFiles?: readonly string[],
  badFiles?: readonly string[],
  viruses?: readonly string[],
  errors?: Readonly<Record<string, Error>>,
) => void;
export type DirectoryCallback = (
  error: Error | null,
  goodFiles?: readonly string[],
  badFiles?: readonly string[],
  viruses?: readonly string[],
  numGoodFiles?: number,
) => void;
export type StreamCallback = (error: Error | null, result?: FileResult) => void;

class NodeClam {
  /** Null before `init` has resolved. */
  #scanner: Scanner | null = null;
  #options: ClamscanOptions = {};

  /** Rejects, by its name, an option that cannot be honoured, and a scanner that does not answer (unless `bypassTest`). */
  init(options?: ClamscanOptions): Promise<NodeClam>;
  init(options: ClamscanOptions | undefined, callback: (error: Error | null, clam?: NodeClam) => void): void;
  init(options: ClamscanOptions = {}, callback?: (error: Error | null, clam?: NodeClam) => void): Promise<NodeClam> | undefined {
    return either(this.#init(options), callback, (callback, clam) => callback(null, clam));
  }

  async #init(options: ClamscanOptions): Promise<NodeClam> {
    for (const name of ["removeInfected", "quarantineInfected", "scanLog"] as const) {
      if (options[name]) throw new ScanError("input", `${name} cannot be honoured over a socket: leave it out`);
    }
    const { timeout = 60_000, bypassTest = false } = options.clamdscan ?? {};
    const scanner = createScanner(targetOf(options), { timeoutMs: timeout });
    if (!bypassTest) await scanner.status();
    this.#options = options;
    this.#scanner = scanner;
    return this;
  }

  /** As `ClamAV 1.4.6/27800/2026-11-27T09:00:00.000Z`. */
  getVersion(): Promise<string>;
  getVersion(callback: (error: Error | null, version?: string) => void): void;
  getVersion(callback?: (error: Error | null, version?: string) => void): Promise<string> | undefined {
    return either(this.#version(), callback, (callback, version) => callback(null, version));
  }

  isInfected(file: string): Promise<FileResult>;
  isInfected(file: string, callback: FileCallback): void;
  isInfected(file: string, callback?: FileCallback): Promise<FileResult> | undefined {
    return either(this.#scanFile(file), callback, (callback, { isInfected, viruses }) =>
      callback(null, file, isInfected, viruses),
    );
  }

  scanFile(file: string): Promise<FileResult>;
  scanFile(file: string, callback: FileCallback): void;
  scanFile(file: string, callback?: FileCallback): Promise<FileResult> | undefined {
    return callback === undefined ? this.isInfected(file) : (this.isInfected(file, callback) as undefined);
  }

  scanDir(path: string): Promise<DirectoryResult>;
  scanDir(path: string, callback?: DirectoryCallback | null, fileCallback?: FileCallback): void;
  scanDir(path: string, callback?: DirectoryCallback | null, fileCallback?: FileCallback): Promise<DirectoryResult> | undefined {
    return either(this.#scanDir(path, fileCallback), callback, (callback, { goodFiles, badFiles, viruses, numGoodFiles }) =>
      callback(null, goodFiles, badFiles, viruses, numGoodFiles),
    );
  }

  /** Every file is in one of the lists: good, bad, or among the errors, with a file callback as without. */
  scanFiles(files?: readonly string[] | null): Promise<FilesResult>;
  scanFiles(files?: readonly string[] | null, callback?: FilesCallback | null, fileCallback?: FileCallback): void;
  scanFiles(
    files: readonly string[] | null = null,
    callback?: FilesCallback | null,
    fileCallback?: FileCallback,
  ): Promise<FilesResult> | undefined {
    return either(this.#scanFiles(files, fileCallback), callback, (callback, { goodFiles, badFiles, viruses, errors }) =>
      callback(null, goodFiles, badFiles, viruses, errors),
    );
  }

  scanStream(stream: Readable): Promise<FileResult>;
  scanStream(stream: Readable, callback: StreamCallback): void;
  scanStream(stream: Readable, callback?: StreamCallback): Promise<FileResult> | undefined {
    return either(this.#scanStream(stream), callback, (callback, result) => callback(null, result));
  }

  /**
   * Lets a stream pass and emits `scan-complete` with its result. Unlike clamscan's, it keeps the last byte until then, and is destroyed
   * with a BlockedError where something was found.
   */
  passthrough(): Duplex {
    const stream = this.#ready().through({ release: "tail" });
    stream.report.then(
      (report) => stream.emit("scan-complete", resultOf(null, report)),
      () => {}, // the stream is destroyed with it
    );
    return stream;
  }

  /** Resolves with an object whose `end` does nothing: every scan has a connection of its own. */
  ping(): Promise<{ end(): void }>;
  ping(callback: (error: Error | null, client?: { end(): void }) => void): void;
  ping(callback?: (error: Error | null, client?: { end(): void }) => void): Promise<{ end(): void }> | undefined {
    const asked = this.#ready().status();
    return either(
      asked.then(() => ({ end() {} })),
      callback,
      (callback, client) => callback(null, client),
    );
  }

  #ready(): Scanner {
    if (this.#scanner === null) throw new ScanError("input", "init() has not resolved yet: await it first");
    return this.#scanner;
  }

  async #version(): Promise<string> {
    const { engine } = await this.#ready().status();
    if (engine === null) throw new ScanError("unavailable", "there is no engine that tells a version");
    return [`ClamAV ${engine.engine}`, engine.database, engine.databaseTime]
      .filter((part) => part !== null && part !== 0)
      .join("/");
  }

  async #scanFile(file: string): Promise<FileResult> {
    return this.#orNull(file, () => this.#ready().scanFile(file));
  }

  async #scanStream(stream: Readable): Promise<FileResult> {
    return this.#orNull(null, () => this.#ready().scan(stream));
  }

  async #orNull(file: string | null, scan: () => Promise<Report>): Promise<FileResult> {
    try {
      return resultOf(file, await scan());
    } catch (error) {
      if (this.#options.nullOnError !== true) throw error;
      this.#debug(`${file}: ${toScanError(error).message}`);
      return { file, isInfected: null, viruses: [] };
    }
  }

  async #scanFiles(given: readonly string[] | null, fileCallback?: FileCallback): Promise<FilesResult> {
    const files = given === null || given.length === 0 ? await this.#listed() : given;
    const paths: string[] = [];
    for (const path of files) {
      if ((await stat(path).catch(() => null))?.isDirectory() === true)
        for await (const { path: inside } of this.#below(path)) paths.push(inside);
      else paths.push(path);
    }
    return this.#collect(this.#ready().scanMany(paths), fileCallback);
  }

  async #scanDir(path: string, fileCallback?: FileCallback): Promise<DirectoryResult> {
    if (!(await stat(path)).isDirectory()) throw new ScanError("input", `${path} is not a directory`);
    const paths: string[] = [];
    for await (const { path: inside } of this.#below(path)) paths.push(inside);
    const { goodFiles, badFiles, errors, viruses } = await this.#collect(this.#ready().scanMany(paths), fileCallback);
    const [failed] = Object.values(errors);
    if (failed !== undefined && badFiles.length === 0 && this.#options.nullOnError !== true) throw failed;
    const isInfected = badFiles.length > 0 ? true : failed === undefined ? false : null;
    return { path, isInfected, goodFiles, badFiles, errors, viruses, numGoodFiles: goodFiles.length };
  }

  async *#below(root: string): AsyncGenerator<{ readonly path: string }> {
    const { walk } = await import("./files.ts");
    const isFlat = this.#options.scanRecursively === false;
    for await (const { path, error } of walk(root, isFlat ? { exclude: ["/*/**"] } : {})) {
      if (error !== null) throw error;
      yield { path: String(path) };
    }
  }

  async #collect(reports: ReturnType<Scanner["scanMany"]>, fileCallback?: FileCallback): Promise<FilesResult> {
    const goodFiles: string[] = [];
    const badFiles: string[] = [];
    const viruses = new Set<string>();
    const errors: Record<string, Error> = Object.create(null);
    for await (const result of reports) {
      const { path } = result;
      if ("error" in result) {
        const error = new ScanError(result.error.code, result.error.message);
        errors[path] = error;
        fileCallback?.(error, path, null, []);
        continue;
      }
      const { isInfected, viruses: names } = resultOf(path, result.report);
      (isInfected === false ? goodFiles : badFiles).push(path);
      for (const name of names) viruses.add(name);
      fileCallback?.(null, path, isInfected, names);
    }
    return { goodFiles, badFiles, errors, viruses: [...viruses] };
  }

  async #listed(): Promise<readonly string[]> {
    const { fileList = null } = this.#options;
    if (fileList === null) throw new ScanError("input", "there are no files to scan, and there is no fileList");
    return (await readFile(fileList, "utf8")).split("\n").filter((line) => line.trim() !== "");
  }

  #debug(line: string): void {
    if (this.#options.debugMode === true) console.log(`node-clam: ${line}`);
  }
}

// As `import NodeClam from` and as `require()` give it there.
export { NodeClam, NodeClam as default, NodeClam as "module.exports" };

function targetOf({ clamdscan = {} }: ClamscanOptions): string | undefined {
  const { url, socket, host, port, tls = false } = clamdscan;
  if (url !== undefined) return url;
  if (socket) return `unix://${socket.split("/").map(encodeURIComponent).join("/")}`;
  if (!host && !port) return undefined;
  return `${tls ? "tls" : "tcp"}://${host || "localhost"}:${port || 3310}`;
}

/** What could not be looked into and is blocked counts as infected, by its heuristic's name, as with clamd's alerts. */
function resultOf(file: string | null, report: Report): FileResult {
  if (report.allowed) return { file, isInfected: false, viruses: [] };
  const { verdict } = report;
  return { file, isInfected: true, viruses: verdict.kind === "infected" ? verdict.signatures : [reasonOf(report)] };
}

/** The promise; or the callback, called once and outside of the promise: what it throws is nobody's rejection. */
function either<T, Callback extends (error: Error | null) => void>(
  promise: Promise<T>,
  callback: Callback | null | undefined,
  tell: (callback: Callback, value: T) => void,
): Promise<T> | undefined {
  if (callback === undefined || callback === null) return promise;
  promise.then(
    (value) => queueMicrotask(() => tell(callback, value)),
    (error: unknown) => queueMicrotask(() => callback(toScanError(error))),
  );
  return undefined;
}
