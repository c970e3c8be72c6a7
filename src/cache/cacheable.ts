/** What any cache may remember, and as which text: decided here and nowhere else in this module. */

import { coverage, type UnscannableReason, unscannableReasons, type Verdict } from "../core/verdict.ts";
import type { UrlVerdict, VerdictKey } from "../core/verdict-cache.ts";

/** Reads a value from where anything may stand; null for what is none, and for what must not be remembered. The value is frozen. */
export type Parse<Value> = (value: unknown) => Value | null;

export interface Cacheable<Value> {
  /** The key as one string. */
  readonly id: string;
  /** A frozen copy: what the caller does to its own afterwards changes no later answer. */
  readonly value: Value;
  /** As `storedText`. */
  readonly text: string;
  /** At least 1. */
  readonly ttlMs: number;
}

const sha256Pattern = /^[0-9a-f]{64}$/;
const maxTagLength = 256;
/** About 31 years: far enough, and never beyond what a date or an SQL integer can hold. */
const maxTtlMs = 1e12;

/** Null where the value, the key or the time is not to be stored; that is no fault. */
export function cacheable<Value>(
  key: VerdictKey,
  value: Value,
  ttlSeconds: number,
  parse: Parse<Value>,
): Cacheable<Value> | null {
  const id = keyId(key);
  const copy = parse(value);
  const ttlMs = Math.min(Math.floor(ttlSeconds * 1000), maxTtlMs);
  if (id === null || copy === null || !(ttlMs >= 1)) return null;
  const text = storedText(id, copy);
  return text === null ? null : { id, value: copy, text, ttlMs };
}

/**
 * Null for a key that is not a whole digest and a tag: parsed as hexadecimal, "zz" and "" would be the same empty digest,
 * and two bodies would share a verdict.
 */
export function keyId({ sha256, tag }: VerdictKey): string | null {
  const isTag = tag.length > 0 && tag.length <= maxTagLength && tag.isWellFormed();
  return isTag && sha256Pattern.test(sha256) ? sha256 + tag : null;
}

/** Whether the value has these fields and no other: one that is not known may limit what the others say. */
function hasOnly<Name extends string>(value: unknown, names: readonly Name[]): value is Record<Name, unknown> {
  if (typeof value !== "object" || value === null) return false;
  return Object.keys(value).length === names.length && names.every((name) => Object.hasOwn(value, name));
}

/** A verdict from where anything may stand; null for what is no verdict, and for one that must not be remembered. */
export function parseVerdict(value: unknown): Verdict | null {
  if (hasOnly(value, ["kind"]) && value.kind === "clean") return Object.freeze({ kind: "clean" });
  if (hasOnly(value, ["kind", "signatures"]) && value.kind === "infected" && isSignatures(value.signatures)) {
    return Object.freeze({ kind: "infected", signatures: Object.freeze([...value.signatures]) });
  }
  if (hasOnly(value, ["kind", "reason", "heuristic"]) && value.kind === "unscannable") {
    const { reason, heuristic } = value;
    if (!isLasting(reason) || !(heuristic === null || typeof heuristic === "string")) return null;
    return Object.freeze({ kind: "unscannable", reason, heuristic });
  }
  return null;
}

/** Null stands for what was forgotten: it is written over, so that gateways that share the store forget it too. */
export interface UrlRecord {
  readonly known: UrlVerdict | null;
}

/** A record from where anything may stand; null for what is none. */
export function parseUrlRecord(value: unknown): UrlRecord | null {
  if (!hasOnly(value, ["known"])) return null;
  const { known } = value;
  if (known === null) return Object.freeze({ known });
  if (!hasOnly(known, ["verdict", "sha256", "size"])) return null;
  const verdict = parseVerdict(known.verdict);
  const { sha256, size } = known;
  if (verdict === null || typeof sha256 !== "string" || !sha256Pattern.test(sha256)) return null;
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) return null;
  return Object.freeze({ known: Object.freeze({ verdict, sha256, size }) });
}

/** Of the text that a store keeps; another form of it has another number. 1 had no `logic`. */
const storedFormat = 2;

/** A longer one is neither stored nor read: no verdict comes near it. UTF-16 units, or bytes where a store counts them. */
export const maxStoredLength = 65_536;

/**
 * What a store keeps of a value: with its format, the logic by which it was come to, and its key, for stores are copied, mended by hand,
 * shared with gateways of other releases, and answered by others.
 */
export function storedText(id: string, value: unknown): string | null {
  const text = JSON.stringify({ format: storedFormat, logic: coverage, key: id, value });
  return text.length <= maxStoredLength ? text : null;
}

/** The value of that text; null where it is none, is that of another key, or has a format, a logic or a field that is not known. */
export function parseStored<Value>(text: unknown, id: string, parse: Parse<Value>): Value | null {
  if (typeof text !== "string" || text.length > maxStoredLength) return null;
  try {
    const stored: unknown = JSON.parse(text);
    if (!hasOnly(stored, ["format", "logic", "key", "value"])) return null;
    const isOurs = stored.format === storedFormat && stored.logic === coverage && stored.key === id;
    return isOurs ? parse(stored.value) : null;
  } catch {
    // Not JSON is not a value either.
    return null;
  }
}

/** A time limit depends on the load, and poison on a crash that may be mended: neither is a property of the bytes. */
function isLasting(value: unknown): value is UnscannableReason {
  return unscannableReasons.some((reason) => reason === value) && value !== "limit-time" && value !== "poison";
}

function isSignatures(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length > 0 && value.every((name) => typeof name === "string" && name !== "");
}
