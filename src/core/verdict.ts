/** What an engine can say about a body, and nothing else: an error is never a verdict. */

/** Why an engine could not look at all of a body. A closed set: it labels metrics and is named in `ON_UNSCANNABLE`. */
export const unscannableReasons = [
  "limit-size",
  "limit-files",
  "limit-recursion",
  "limit-time",
  "encrypted",
  "unsupported",
  "too-large",
  "poison",
] as const;

export type UnscannableReason = (typeof unscannableReasons)[number];

export type Verdict =
  | { readonly kind: "clean" }
  | { readonly kind: "infected"; readonly signatures: readonly string[] }
  | {
      readonly kind: "unscannable";
      readonly reason: UnscannableReason;
      /** The engine's own name for it, as `Heuristics.Encrypted.Zip`; null where the gateway decided. */
      readonly heuristic: string | null;
    };

/** Which signatures and limits a verdict was made with. */
export interface EngineVersion {
  /** The engine's release, as `1.4.6`. */
  readonly engine: string;
  /** Number of the daily database; 0 when none is loaded. */
  readonly database: number;
  /** When the daily database was built; null when none is loaded. */
  readonly databaseTime: Date | null;
  /** The date as the engine wrote it (local time, no zone); empty when none is loaded. */
  readonly databaseDate: string;
  /** One short id of engine, signatures and limits: the namespace of cached verdicts. */
  readonly tag: string;
}

export interface ScanReport {
  readonly verdict: Verdict;
  /** Lower-case hexadecimal SHA-256 of the body. */
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
  /** The version whose verdict this is. */
  readonly engine: EngineVersion;
  /** True when no engine was asked for this request's verdict. */
  readonly isCached: boolean;
  readonly elapsedMs: number;
}
