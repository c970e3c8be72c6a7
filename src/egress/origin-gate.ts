/** The one way to an origin: rules for the name, one lookup, a check of every address (download-proxy.md S3, S4, S9, S16, S25). */

import { parseIpAddress } from "../codec/ip-address.ts";
import type { AddressGate } from "./address-gate.ts";
import type { NameLookup } from "./name-lookup.ts";
import type { OriginRules } from "./origin-rules.ts";
import type { Target } from "./target.ts";

export interface OriginGateOptions {
  readonly rules: OriginRules;
  readonly lookup: NameLookup;
  readonly addresses: AddressGate;
}

export interface Passage {
  readonly target: Target;
  readonly kind: "request" | "redirect";
  /** See `NameLookup`. */
  readonly client: string;
  readonly signal: AbortSignal;
}

/**
 * Returns the addresses that may be dialled for this target, all checked, at least one.
 * Rejects with `forbidden`, `upstream-failed`, `upstream-timeout`, `queue-full`, or the signal's reason.
 */
export type OriginGate = (passage: Passage) => Promise<readonly string[]>;

export function createOriginGate({ rules, lookup, addresses }: OriginGateOptions): OriginGate {
  return async function pass({ target, kind, client, signal }) {
    const permit = rules.check(target, kind);
    // An address is no name to look up, and is checked like the answer to one (undici#2019).
    const found = parseIpAddress(target.host) === null ? await lookup(target.host, client, signal) : [target.host];
    return addresses.check(target, found, permit);
  };
}
