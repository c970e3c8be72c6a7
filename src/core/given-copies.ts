/** Which copies of an address were given to clients: the interface of that store. */

import type { CacheHealth } from "./verdict-cache.ts";

export interface Copy {
  /** Lower-case hexadecimal SHA-256; null for bytes that went out before their scan, and had none in the end. */
  readonly sha256: string | null;
  /** What clients may know it by: a strong `ETag`, a `Last-Modified`. Whoever stores them keeps a digest only. */
  readonly validators: readonly string[];
}

export const givenAgainSeconds = 3_600;

export const givenSeconds = 86_400 + givenAgainSeconds;

export interface GivenCopies {
  /**
   * Adds the copy to those of the address, atomically for all gateways that share the store, and answers them all. Asked before the first
   * byte is given; of a trickle, whose first bytes have no digest yet, before the rest. When it answers, no crash of the process loses the
   * copy. Null where it cannot be told: too many copies, too many addresses, or a store that is away. Never throws or rejects.
   * @param address lower-case hexadecimal SHA-256.
   * @param isWhole nothing but the whole copy can be given, so the others do not matter: then the answer may be null at any time.
   */
  give(address: string, copy: Copy, isWhole?: boolean): KnownCopies | null | Promise<KnownCopies | null>;
  /** As `VerdictCache.health`. */
  health(): CacheHealth;
  close(): Promise<void>;
}

export interface KnownCopies {
  /** Whether there is none but this one. */
  isSole(copy: Copy): boolean;
  /** Whether all that came with this validator are this one. */
  isSoleWith(validator: string, copy: Copy): boolean;
}
