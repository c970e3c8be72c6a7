/** The scanner: one object that has bodies scanned by a gateway or by a clamd, and ends each in a report or a ScanError. */

import type { SecureContextOptions } from "node:tls";
import { ScanError, toScanError } from "./errors.ts";
import type { FilePath, WalkOptions } from "./files.ts";
import { gatewayTarget } from "./gateway.ts";
import { inOrder } from "./in-order.ts";
import type { Report, Status, UnscannableReason } from "./report.ts";
import { type Body, type Source, sourceOf } from "./source.ts";
import type { Target, TargetScan } from "./target.ts";
import { type ScannedThrough, scanThrough, type ThroughOptions } from "./through.ts";

/** All of them can be left out. */
export interface ScannerOptions {
  /** Sent to a gateway as a bearer token; a function is asked before each request. */
  readonly apiKey?: string | (() => Promise<string>);
  /** Every call ends within this time, tries included. Milliseconds; 120,000. */
  readonly timeoutMs?: number;
  /** A call during which nothing moves for so long ends: longer than a scan takes. Milliseconds; the same as `timeoutMs`. */
  readonly idleTimeoutMs?: number;
  /** Larger bodies are `too-large`, before or while they are sent. Without a limit of its own the target's counts. */
  readonly maxBytes?: number;
  /** Scans at once of scanMany, scanDirectory and scanForm; 8. */
  readonly concurrency?: number;
  /** Further tries after `connection`, `unavailable` and `rate-limited`, of bodies that can be read again; 2. */
  readonly retries?: number;
  /**
   * Whether bodies that could not be looked into may pass. `block`: none. A list: these reasons, and no others. Unset: as the gateway
   * decides; a clamd has none pass.
   */
  readonly onUnscannable?: "block" | readonly UnscannableReason[];
  /** In place of the platform's. */
  readonly fetch?: typeof fetch;
  /** Of `tls:` addresses: certificates, keys, authorities. */
  readonly tls?: SecureContextOptions;
}

/** Of one scan. */
export interface ScanOptions {
  /** The body's name, for logs and reports. */
  readonly name?: string;
  readonly signal?: AbortSignal;
}

/** Of one file of many: its report, or why there is none. */
export type FileReport = { readonly path: string } & (
  | { readonly report: Report }
  | { readonly error: { readonly code: ScanError["code"]; readonly message: string } }
);

/** Of one file of a form. */
export type FieldReport = { readonly field: string; readonly name: string } & (
  | { readonly report: Report }
  | { readonly error: ScanError }
);

/** Each call ends in a report or a ScanError within `timeoutMs`. A blocked body is a report, not an error. */
export interface Scanner extends AsyncDisposable {
  /** Bytes in memory, a blob, or a stream, which is read once. */
  scan(body: Body, options?: ScanOptions): Promise<Report>;
  /**
   * A regular file.
   * @param path its bytes, where the name is no UTF-8.
   * @throws ScanError `not-found` or `input` where there is no such regular file, or it changes meanwhile.
   */
  scanFile(path: string | Uint8Array, options?: ScanOptions): Promise<Report>;
  /** In the order of the paths, a few at once. What goes wrong with one file is told in its place; the others go on. */
  scanMany(
    paths: Iterable<string> | AsyncIterable<string>,
    options?: { readonly signal?: AbortSignal },
  ): AsyncIterable<FileReport>;
  /** All regular files below `root`; links are not followed. */
  scanDirectory(root: string, options?: WalkOptions & { readonly signal?: AbortSignal }): AsyncIterable<FileReport>;
  /** The files of a form, in their order. */
  scanForm(form: FormData, options?: { readonly signal?: AbortSignal }): Promise<readonly FieldReport[]>;
  /** A Node stream that lets its bytes pass once they are allowed, and is destroyed with a BlockedError where they are not. */
  through(options?: ThroughOptions): ScannedThrough;
  /** The report on a body with this SHA-256 that was scanned before, of a gateway; null where none is known, which is not "clean". */
  lookup(sha256: string, options?: { readonly signal?: AbortSignal }): Promise<Report | null>;
  /** Engine, signatures, and what an operator should look at. */
  status(options?: { readonly signal?: AbortSignal }): Promise<Status>;
}

const longestRetryMs = 30_000;
const firstPauseMs = 250;

/**
 * Makes a scanner, which connects when it is first asked.
 *
 * @param target `https://gateway:9000`, `tcp://clamd:3310`, `tls://clamd:3310` or `unix:///run/clamav/clamd.ctl`; without it CLAMGATE_URL
 * of the environment, or `http://localhost:9000`.
 * @throws ScanError `input` for an address of another kind, or an option that is none.
 */
export function createScanner(target?: string | URL, options: ScannerOptions = {}): Scanner {
  const { timeoutMs = 120_000, idleTimeoutMs = timeoutMs, concurrency = 8, retries = 2 } = options;
  const maxBytes = options.maxBytes ?? Number.MAX_SAFE_INTEGER;
  for (const [name, value, least] of [
    ["timeoutMs", timeoutMs, 1],
    ["idleTimeoutMs", idleTimeoutMs, 1],
    ["concurrency", concurrency, 1],
    ["retries", retries, 0],
    ["maxBytes", maxBytes, 0],
  ] as const) {
    if (!Number.isFinite(value) || value < least) throw new ScanError("input", `${name} is not a number of ${least} or more`);
  }
  const opened = openTarget(addressOf(target), options);
  const closed = new AbortController();

  /** Runs `work` with a signal that ends it: by the caller, by time, or because nothing moved. */
  async function timed<T>(
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal, moved: () => void) => Promise<T>,
  ): Promise<T> {
    const ended = new AbortController();
    const end = (error: ScanError) => ended.abort(error);
    const cut = new Promise<never>((_, reject) => {
      ended.signal.addEventListener("abort", () => reject(ended.signal.reason), { once: true });
    });
    cut.catch(() => {}); // it is raced below
    const onAbort = () =>
      end(new ScanError("aborted", "the scan was aborted", { cause: signal?.reason ?? closed.signal.reason }));
    const late = setTimeout(() => end(new ScanError("timeout", `no verdict within ${timeoutMs} ms`)), timeoutMs);
    let idle = setTimeout(onIdle, idleTimeoutMs);
    function onIdle(): void {
      end(new ScanError("timeout", `nothing moved for ${idleTimeoutMs} ms`));
    }
    for (const each of [signal, closed.signal]) each?.addEventListener("abort", onAbort, { once: true });
    try {
      if (signal?.aborted || closed.signal.aborted) onAbort();
      ended.signal.throwIfAborted();
      const moved = () => {
        if (ended.signal.aborted) return; // what has lost its race may still move: it would begin another timer
        clearTimeout(idle);
        idle = setTimeout(onIdle, idleTimeoutMs);
      };
      return await Promise.race([work(ended.signal, moved), cut]);
    } catch (error) {
      throw toScanError(error);
    } finally {
      clearTimeout(late);
      clearTimeout(idle);
      for (const each of [signal, closed.signal]) each?.removeEventListener("abort", onAbort);
      // What is still under way has lost its race: it is not left behind.
      ended.abort(new ScanError("aborted", "the scan has ended"));
    }
  }

  /** Again after what may pass by itself, as long as the body can be read again. */
  async function scanSource(source: Source, scan: Omit<TargetScan, "maxBytes">): Promise<Report> {
    const target = await opened();
    for (let attempt = 0; ; attempt += 1) {
      try {
        return decided(await target.scan(source, { ...scan, maxBytes }), options.onUnscannable);
      } catch (error) {
        const fault = toScanError(error);
        const pauseMs = Math.min(fault.retryAfterMs ?? firstPauseMs * 2 ** attempt, longestRetryMs + 1);
        if (attempt >= retries || !source.isRepeatable || !isPassing(fault) || pauseMs > longestRetryMs) throw fault;
        scan.signal.throwIfAborted();
        await pause(pauseMs, scan.signal, scan.moved);
      }
    }
  }

  function scanOne(source: Source, { name, signal }: ScanOptions): Promise<Report> {
    return timed(signal, (signal, moved) => scanSource(source, { name: name ?? null, signal, moved }));
  }

  async function scanPath(path: FilePath, { name = baseName(path), signal }: ScanOptions): Promise<Report> {
    const { fileSource } = await files();
    return scanOne(await fileSource(path), { name, ...(signal === undefined ? {} : { signal }) });
  }

  async function fileReport(path: FilePath, options: { readonly signal?: AbortSignal }): Promise<FileReport> {
    try {
      return { path: String(path), report: await scanPath(path, options) };
    } catch (error) {
      const { code, message } = toScanError(error, "input");
      return { path: String(path), error: { code, message } };
    }
  }

  return {
    scan: async (body, options = {}) => scanOne(sourceOf(body), options),
    scanFile: (path, options = {}) => scanPath(typeof path === "string" ? path : Buffer.from(path), options),
    scanMany: (paths, options = {}) => inOrder(paths, concurrency, (path) => fileReport(path, options)),
    async *scanDirectory(root, options = {}) {
      const { walk } = await files();
      yield* inOrder(walk(root, options), concurrency, async ({ path, error }): Promise<FileReport> => {
        return error === null
          ? fileReport(path, options)
          : { path: String(path), error: { code: error.code, message: error.message } };
      });
    },
    async scanForm(form, options = {}) {
      const entries = [...form].flatMap(([field, value]) => (typeof value === "string" ? [] : [{ field, file: value }]));
      const reports: FieldReport[] = [];
      const scanned = inOrder(entries, concurrency, async ({ field, file }): Promise<FieldReport> => {
        try {
          return { field, name: file.name, report: await scanOne(sourceOf(file), { name: file.name, ...options }) };
        } catch (error) {
          return { field, name: file.name, error: toScanError(error) };
        }
      });
      for await (const report of scanned) reports.push(report);
      return reports;
    },
    through: (options = {}) => scanThrough({ timed, scan: scanSource, maxBytes }, options),
    async lookup(sha256, { signal } = {}) {
      if (!/^[0-9a-fA-F]{64}$/.test(sha256)) throw new ScanError("input", "a SHA-256 has 64 hexadecimal digits");
      return timed(signal, async (signal) => {
        const report = await (await opened()).lookup(sha256.toLowerCase(), signal);
        return report === null ? null : decided(report, options.onUnscannable);
      });
    },
    status: ({ signal } = {}) => timed(signal, async (signal) => (await opened()).status(signal)),
    async [Symbol.asyncDispose]() {
      closed.abort(new ScanError("aborted", "the scanner was closed"));
    },
  };
}

function addressOf(target: string | URL | undefined): URL {
  const { CLAMGATE_URL } = globalThis.process?.env ?? {};
  const text = String(target ?? CLAMGATE_URL ?? "http://localhost:9000");
  try {
    return new URL(text);
  } catch (error) {
    throw new ScanError("input", `${text} is not an address such as http://localhost:9000 or tcp://localhost:3310`, {
      cause: error,
    });
  }
}

/** What needs sockets is loaded when it is first asked. */
function openTarget(url: URL, options: ScannerOptions): () => Promise<Target> {
  switch (url.protocol) {
    case "http:":
    case "https:": {
      const base = new URL(url.href.endsWith("/") ? url.href : `${url.href}/`);
      const { apiKey } = options;
      const given = options.fetch ?? globalThis.fetch;
      const target = gatewayTarget(base, { fetch: given.bind(globalThis), ...(apiKey === undefined ? {} : { apiKey }) });
      return async () => target;
    }
    case "tcp:":
    case "tls:":
    case "unix:": {
      let target: Promise<Target> | null = null;
      return () => {
        target ??= import("./clamd.ts").then(
          ({ clamdTarget }) => clamdTarget(url, options.tls === undefined ? {} : { tls: options.tls }),
          unsupported,
        );
        return target;
      };
    }
    default:
      throw new ScanError("input", `${url.protocol} is none of http:, https:, tcp:, tls: and unix:`);
  }
}

function files(): Promise<typeof import("./files.ts")> {
  return import("./files.ts").catch(unsupported);
}

function unsupported(cause: unknown): never {
  throw new ScanError("unsupported", "this platform has no files and sockets of its own", { cause });
}

/** What the caller's own policy makes of an unscannable body. */
function decided(report: Report, policy: ScannerOptions["onUnscannable"]): Report {
  const { verdict } = report;
  if (policy === undefined || verdict.kind !== "unscannable") return report;
  const allowed = policy !== "block" && policy.includes(verdict.reason);
  return { ...report, allowed, allowedBy: allowed ? "policy" : null };
}

function isPassing({ code }: ScanError): boolean {
  return code === "connection" || code === "unavailable" || code === "rate-limited";
}

function pause(ms: number, signal: AbortSignal, moved: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      moved();
      resolve();
    }, ms);
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

function baseName(path: FilePath): string {
  return String(path)
    .replace(/[\\/]+$/, "")
    .replace(/^.*[\\/]/s, "");
}
