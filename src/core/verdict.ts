/** What an engine can say about a body, and nothing else: an error is never a verdict. */

/**
 * How the gateway has a body looked at. Raise it whenever a body can get another verdict by a change of ours: what an older gateway
 * remembered, in a file or in Redis, is not asked for any more then.
 */
export const coverage = 4;

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
  | Unscannable;

export interface Unscannable {
  readonly kind: "unscannable";
  readonly reason: UnscannableReason;
  /** The engine's own name for it, as `Heuristics.Encrypted.Zip`; null where the gateway's name for the reason will do. */
  readonly heuristic: string | null;
}

/** What the verdict is called where the engine gave it no name: like a heuristic of ClamAV's, but ours. */
const gatewayHeuristics = {
  "limit-size": "Heuristics.Clamgate.LimitSize",
  "limit-files": "Heuristics.Clamgate.LimitFiles",
  "limit-recursion": "Heuristics.Clamgate.LimitRecursion",
  "limit-time": "Heuristics.Clamgate.LimitTime",
  encrypted: "Heuristics.Clamgate.Encrypted",
  unsupported: "Heuristics.Clamgate.Unsupported",
  "too-large": "Heuristics.Clamgate.TooLarge",
  poison: "Heuristics.Clamgate.Poison",
} as const satisfies Record<UnscannableReason, string>;

/** Of a body in a content coding that nobody here can undo. */
export const unknownCoding: Unscannable = {
  kind: "unscannable",
  reason: "unsupported",
  heuristic: "Heuristics.Clamgate.Coding",
};

/** Of a body that decodes to more than may be scanned. */
export const decodesTooLarge: Unscannable = { kind: "unscannable", reason: "limit-size", heuristic: null };

/**
 * What is said of a body that cannot be looked into for two reasons. Where they differ it is unsupported: an operator may let one of them
 * pass. Two limits are one reason: it is too much. Null where there is none.
 */
export function together(one: Unscannable | null, other: Unscannable | null): Unscannable | null {
  if (one === null || other === null) return one ?? other;
  if (one.reason === other.reason || one.reason === "unsupported" || (isLimit(one) && isLimit(other))) return one;
  if (other.reason === "unsupported") return other;
  return { kind: "unscannable", reason: "unsupported", heuristic: null };
}

function isLimit({ reason }: Unscannable): boolean {
  return reason.startsWith("limit-");
}

/** Most telling first; none of a clean body. */
export function namesOf(verdict: Verdict): readonly string[] {
  switch (verdict.kind) {
    case "clean":
      return [];
    case "infected":
      return verdict.signatures.length === 0 ? ["(unnamed)"] : verdict.signatures;
    case "unscannable":
      return [verdict.heuristic ?? gatewayHeuristics[verdict.reason]];
  }
}

/** Names beyond this are left out of a header: headers have limits, and a body may have a signature per member. */
const maxNames = 20;

/** As the value of a header. */
export function visible(names: readonly string[]): string {
  return names.slice(0, maxNames).map(visibleName).join(", ");
}

/** A name comes from a signature file; one that no header may carry must not turn an infected body into a fault of ours. */
function visibleName(name: string): string {
  return name.slice(0, 200).replace(/[^\x20-\x7e]/g, "?");
}

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
  /** True when the verdict, or that of a layer, comes from memory: it is as old as that. */
  readonly isRemembered: boolean;
  readonly elapsedMs: number;
}
