/** Who may connect to the clamd door: `CLAMD_ALLOW_FROM` (clamd-front.md D36). */

import { addressClass, type IpAddress, type IpRange, isInRange, parseIpAddress, parseIpRange } from "../ip-address.ts";

export type PeerRule =
  | { readonly kind: "any" }
  /** Addresses of private networks. */
  | { readonly kind: "private" }
  | { readonly kind: "range"; readonly range: IpRange };

/** `any`, `private`, an address or a CIDR range; null when it is none of these. */
export function parsePeerRule(text: string): PeerRule | null {
  if (text === "any" || text === "private") return { kind: text };
  const range = parseIpRange(text);
  return range === null ? null : { kind: "range", range };
}

/** @param text the peer's address, as the system has it; this machine itself always may. */
export function mayConnect(text: string, rules: readonly PeerRule[]): boolean {
  const [withoutZone = ""] = text.split("%", 1);
  const address = parseIpAddress(withoutZone);
  if (address === null) return false;
  return addressClass(address) === "loopback" || rules.some((rule) => isOf(address, rule));
}

function isOf(address: IpAddress, rule: PeerRule): boolean {
  switch (rule.kind) {
    case "any":
      return true;
    case "private":
      return addressClass(address) === "private";
    case "range":
      return isInRange(address, rule.range);
  }
}
