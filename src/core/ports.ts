/** The interfaces between the rooms. Adapters live on floor 1; only the composition root knows which is which. */

import type { ErrorCode } from "./errors.ts";
import type { EngineVersion, Verdict } from "./verdict.ts";

export type FrontName = "rest" | "proxy";

export interface BodyRange {
  readonly start?: number;
  readonly end?: number;
  readonly pieceBytes?: number;
}

/**
 * A whole body, hashed as it arrived. It is held in memory or in one private file, never both.
 * Whoever holds it disposes it; the bytes go when the last holder has.
 */
export interface SpooledBody extends AsyncDisposable {
  /** Bytes. */
  readonly size: number;
  /** Lower-case hexadecimal SHA-256. */
  readonly sha256: string;
  /** The bytes when they are in memory, else null. */
  readonly bytes: Uint8Array | null;
  /** Absolute, link-free path of the private file, else null. */
  readonly path: string | null;
  /**
   * Streams the bytes from `start` (inclusive, default 0) to `end` (exclusive, default size), at most `pieceBytes` (default 64 KiB) at a
   * time. Where `bytes` is null the reader has them for itself.
   */
  read(range?: BodyRange): AsyncIterable<Uint8Array>;
  /** A second hold on the same bytes, to be disposed on its own. */
  hold(): SpooledBody;
}

export interface SpoolOptions {
  /** A body of more bytes than this is refused with `too-large`. */
  readonly maxBytes: number;
  /** What the sender declared, if it did: larger than the memory share goes to a file at once. Never trusted as a length. */
  readonly expectedBytes?: number;
  readonly signal: AbortSignal;
}

export interface Spool {
  /**
   * Reads `body` to its end. Rejects with `too-large`, `spool-full`, the signal's reason, or the error that `body` threw;
   * nothing is left behind then, and `body` has not been read further. Each chunk is copied before the next one is asked for:
   * from then on its memory may be used anew, or be gone.
   */
  take(body: AsyncIterable<Uint8Array>, options: SpoolOptions): Promise<SpooledBody>;
  /** What is held right now. */
  usage(): { readonly bodies: number; readonly memoryBytes: number; readonly fileBytes: number };
  /** Removes everything, held or not. */
  close(): Promise<void>;
}

export interface EngineScan {
  readonly verdict: Verdict;
  /** The version that made the verdict. */
  readonly version: EngineVersion;
  /** False when the signatures may have changed during the scan: such a verdict answers its request and is not remembered. */
  readonly isCacheable: boolean;
  /** A short name of the backend, for the log. */
  readonly backend: string;
  readonly queueMs: number;
  readonly scanMs: number;
}

/** Rejects with `engine-unavailable`, `backend-lost`, `engine-killed`, `engine-error`, `scan-timeout`, `queue-full`, `queue-timeout`, or the signal's reason. */
export interface Engine {
  /** The newest version among the backends that have proved themselves; null while there is none. */
  version(): EngineVersion | null;
  /**
   * Waits for a slot and has the body scanned. The caller keeps the body until the promise settles; an engine that needs the
   * bytes longer holds them itself.
   * @param signal leaves the queue; a scan that has begun goes on to its answer.
   * @param client in whose turn it waits.
   */
  scan(body: SpooledBody, signal: AbortSignal, client: string): Promise<EngineScan>;
}

export interface VerdictKey {
  readonly sha256: string;
  /** `EngineVersion.tag`. */
  readonly tag: string;
}

/**
 * Remembers values under a digest. It never fails a scan: `get` answers null and `set` resolves when the store is broken or slow,
 * and each fault is observed as `cache-failed`.
 */
export interface Cache<Value> {
  get(key: VerdictKey): Promise<Value | null>;
  /** What memory holds of it. Asks nobody; null does not say that `get` finds nothing. */
  peek?(key: VerdictKey): Value | null;
  set(key: VerdictKey, value: Value, ttlSeconds: number): Promise<void>;
  /** Whether verdicts are found and remembered just now; without it they always are. Asks nobody. */
  health?(): CacheHealth;
  close(): Promise<void>;
}

/** Verdicts, perhaps of several gateways. */
export interface VerdictCache extends Cache<Verdict> {
  /**
   * As `get`, where gateways share the store: of those that ask for what none of them knows, one gets the lease to find it out, and the
   * others wait for its verdict. They scan as well once it takes too long, ends without one, or the store is away. Rejects with the
   * signal's reason alone.
   */
  lookUp?(key: VerdictKey, signal: AbortSignal): Promise<Lookup<Verdict>>;
}

export type Lookup<Value> =
  | {
      readonly kind: "known";
      readonly value: Value;
      /** Another gateway found it while this one waited. */
      readonly isAwaited: boolean;
    }
  /** With a lease the others wait until it is ended, and no longer than that. */
  | { readonly kind: "unknown"; readonly lease: Lease | null };

/** Renewed by itself until its end. Where nobody ends it, as in a process that is killed, it lapses within seconds. */
export interface Lease {
  /** @param isKnown the value is set: whoever waits finds it. Else they are told not to wait. */
  end(isKnown: boolean): void;
}

/**
 * How a wait for another gateway's verdict ended: with it; `released`, its holder had none to share; `lapsed`, its holder is gone;
 * `overdue`, it took too long; `failed`, the store could not be asked. All but the first one scan.
 */
export type WaitOutcome = "verdict" | "released" | "lapsed" | "overdue" | "failed";

export type CacheHealth = "ok" | "degraded";

/** What is known of the answer that an address gave when it was last downloaded and scanned. */
export interface UrlVerdict {
  readonly verdict: Verdict;
  /** Of the body, lower-case hexadecimal. */
  readonly sha256: string;
  /** Of the body. */
  readonly size: number;
}

export interface UrlVerdictKey {
  /** Lower-case hexadecimal SHA-256 of the canonical URL and of whatever else selects the answer. */
  readonly address: string;
  /** `EngineVersion.tag`. */
  readonly tag: string;
}

/** Remembers verdicts by address. As safe as VerdictCache: no call fails, and a fault is a miss. */
export interface UrlVerdictCache {
  get(key: UrlVerdictKey): Promise<UrlVerdict | null>;
  set(key: UrlVerdictKey, value: UrlVerdict, ttlSeconds: number): Promise<void>;
  delete(key: UrlVerdictKey): Promise<void>;
  close(): Promise<void>;
}

/** One copy of what an address names, as it was scanned. */
export interface Copy {
  /** Lower-case hexadecimal SHA-256; null for bytes that went out before their scan, and had none in the end. */
  readonly sha256: string | null;
  /** What clients may know it by: a strong `ETag`, a `Last-Modified`. Whoever stores them keeps a digest only. */
  readonly validators: readonly string[];
}

/** For so long a store need not be told again that a whole of the same copy was given. */
export const givenAgainSeconds = 3_600;

/** For how long a copy is known after it was last told of: a client may come back for the rest of what it was given within a day. */
export const givenSeconds = 86_400 + givenAgainSeconds;

/**
 * Knows which copies of an address clients may hold parts of: every copy of which anything was given within `givenSeconds`. A client that
 * puts a file together from parts of two copies has a file that nobody has scanned.
 */
export interface GivenCopies {
  /**
   * Adds the copy to those of the address, atomically for all gateways that share the store, and answers them all. Asked before the first
   * byte is given; of a drip, whose first bytes have no digest yet, before the rest. Null where it cannot be told: too many copies, too many addresses, or a store that is away. Never rejects.
   * @param address lower-case hexadecimal SHA-256.
   * @param isWhole nothing but the whole copy can be given, so the others do not matter: then the answer may be null at any time.
   */
  give(address: string, copy: Copy, isWhole?: boolean): Promise<KnownCopies | null>;
  /** As `Cache.health`. */
  health?(): CacheHealth;
  close(): Promise<void>;
}

/** The copies that clients may hold parts of, the one just added included. */
export interface KnownCopies {
  /** Whether there is none but this one. */
  isSole(copy: Copy): boolean;
  /** Whether all that came with this validator are this one. */
  isSoleWith(validator: string, copy: Copy): boolean;
}

/** What happened, for logs and metrics. A closed union: each observer decides what it makes of every kind. */
export type Fact =
  | {
      readonly kind: "scanned";
      readonly via: FrontName;
      readonly requestId: string;
      /** The sender's name for the body, unsanitised. */
      readonly name: string;
      readonly sha256: string;
      readonly size: number;
      readonly verdict: Verdict;
      readonly isAllowed: boolean;
      /** How the verdict was come by. */
      readonly source: "engine" | "cache" | "shared" | "blocklist";
      readonly backend: string | null;
      readonly queueSeconds: number;
      readonly scanSeconds: number;
      readonly seconds: number;
    }
  | {
      readonly kind: "scan-failed";
      readonly via: FrontName;
      readonly requestId: string;
      readonly name: string;
      readonly code: ErrorCode;
      readonly detail: string;
      readonly seconds: number;
    }
  | { readonly kind: "backend-up"; readonly backend: string; readonly version: EngineVersion }
  | { readonly kind: "backend-down"; readonly backend: string; readonly reason: string }
  | { readonly kind: "child-started"; readonly child: string; readonly pid: number }
  | { readonly kind: "child-line"; readonly child: string; readonly line: string }
  | { readonly kind: "child-exited"; readonly child: string; readonly reason: string; readonly restartInMs: number | null }
  | {
      readonly kind: "signatures-loaded";
      readonly set: string;
      readonly files: number;
      readonly isTestOnly: boolean;
      readonly seconds: number;
    }
  | { readonly kind: "signatures-rejected"; readonly set: string; readonly reason: string }
  /** One file that does not load, or not whole, and what is said of it. */
  | { readonly kind: "signature-file-kept-out"; readonly file: string; readonly reason: string }
  | { readonly kind: "signatures-checked"; readonly outcome: UpdateOutcome; readonly detail: string; readonly seconds: number }
  | {
      readonly kind: "cache-failed";
      readonly operation: "open" | "get" | "set" | "close";
      readonly detail: string;
      /** One more of what was told a short while ago: to be counted, not read. */
      readonly isRepeated?: true;
    }
  /** A scan that another gateway had begun was waited for. */
  | { readonly kind: "scan-awaited"; readonly outcome: WaitOutcome; readonly seconds: number }
  /** One request to the download proxy, when its answer has ended. */
  | {
      readonly kind: "download";
      readonly requestId: string;
      readonly method: string;
      /** Without credentials, query and fragment; null where none could be made out. */
      readonly url: string | null;
      /** What the client was told; 0 where it was told nothing. */
      readonly status: number;
      readonly outcome: DownloadOutcome;
      /** Of `failed` and `cut`, where an error was the reason. */
      readonly code: ErrorCode | null;
      /** For the log only. */
      readonly detail: string | null;
      readonly mode: DownloadMode;
      /** Whether the verdict of the address was known; `off` where it may not be remembered. */
      readonly cache: "hit" | "miss" | "off";
      /** The answer was that of a download which another request had begun. */
      readonly isCollapsed: boolean;
      /** Bytes of the origin's body; 0 where there was none or it did not end. */
      readonly size: number;
      /** Bytes of the object that were sent before its verdict was known. */
      readonly releasedBytes: number;
      readonly downloadSeconds: number;
      /** From the last byte of the download to the verdict. */
      readonly scanSeconds: number;
      readonly seconds: number;
    }
  /** Somebody asked for an origin that is not allowed. */
  | {
      readonly kind: "download-denied";
      readonly requestId: string;
      readonly peer: string;
      readonly host: string;
      readonly detail: string;
    }
  /** Somebody still posts to `/scan`, whatever came of the request (rest.md 34). */
  | { readonly kind: "deprecated-endpoint" }
  | { readonly kind: "notice"; readonly level: "info" | "warn" | "error"; readonly message: string };

/** `strict` releases nothing before the verdict; the others: download-proxy.md 2.3. */
export type DownloadMode = "strict" | "drip" | "verified-stream";

/**
 * delivered: after its verdict; bodiless: there was nothing to scan; blocked: by its verdict; cut: the connection was reset after bytes had
 * been sent; gone: the client went first; failed: an error was answered.
 */
export type DownloadOutcome = "delivered" | "bodiless" | "blocked" | "cut" | "gone" | "failed";

/** How one freshclam run ended: its exit code alone does not tell (clamd.md 8.1). */
export type UpdateOutcome = "updated" | "up-to-date" | "rate-limited" | "blocked" | "failed";

export type Observe = (fact: Fact) => void;

/** Milliseconds of a clock that only goes forward; the start is arbitrary. */
export type Clock = () => number;
