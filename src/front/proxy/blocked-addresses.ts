/** Addresses whose drip ended in a broken transfer: the next try is served strictly, and gets its real status (download-proxy.md 2.3). */

import type { Clock } from "../../core/ports.ts";

export interface BlockedAddresses {
  add(address: string): void;
  has(address: string): boolean;
}

export interface BlockedAddressesOptions {
  readonly ttlMs: number;
  readonly maxEntries: number;
  readonly clock: Clock;
}

export function createBlockedAddresses({ ttlMs, maxEntries, clock }: BlockedAddressesOptions): BlockedAddresses {
  const expiries = new Map<string, number>();
  return {
    add(address) {
      expiries.delete(address);
      expiries.set(address, clock() + ttlMs);
      for (const oldest of expiries.keys()) {
        if (expiries.size <= maxEntries) break;
        expiries.delete(oldest);
      }
    },
    has(address) {
      const expiresAt = expiries.get(address);
      if (expiresAt === undefined) return false;
      if (clock() < expiresAt) return true;
      expiries.delete(address);
      return false;
    },
  };
}
