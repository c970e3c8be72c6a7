/** Which addresses may be dialled: all that a name resolved to, or none (download-proxy.md S3, S5-S7, S10, S11, S21). */

import { type AddressClass, addressClass, type IpAddress, isInRange, parseIpAddress } from "../codec/ip-address.ts";
import type { PrivateRule } from "../codec/origin-rule.ts";
import type { Endpoint, Permit } from "./origin-rules.ts";
import { refused } from "./refusal.ts";
import type { Target } from "./target.ts";

export interface AddressGateOptions {
  /** `DOWNLOAD_ALLOW_PRIVATE`, or a route's own. */
  readonly allowPrivate: readonly PrivateRule[];
  /** See `OriginRulesOptions`. */
  readonly ownEndpoints: readonly Endpoint[];
  /** The addresses of this machine, which a listener on `0.0.0.0` or `::` answers at; asked each time, as they change. */
  readonly localAddresses: () => readonly string[];
}

export interface AddressGate {
  /**
   * Returns the addresses in their one spelling, each once, in the order given.
   * @param addresses what the target's host resolved to, or the host itself where it is an address.
   * @throws ClamgateError `forbidden` when a single one of them is not allowed.
   */
  check(target: Target, addresses: readonly string[], permit: Permit): readonly string[];
}

/** Everything but a global unicast address, and everything that is no address. */
export function isForbiddenAddress(text: string): boolean {
  const address = parseIpAddress(text);
  return address === null || addressClass(address) !== "global";
}

export function createAddressGate({ allowPrivate, ownEndpoints, localAddresses }: AddressGateOptions): AddressGate {
  return {
    check(target, addresses, { isPortOpen }) {
      const checked = new Set<string>();
      for (const text of addresses) {
        const address = parseIpAddress(text);
        if (address === null) throw refused("an answer that is no address");
        const kind = addressClass(address);
        if (isOwn(address, kind, target.port)) throw refused("an address of one of our own endpoints");
        const isListed = allowPrivate.some((rule) => allows(rule, address, kind, target, isPortOpen));
        if (!isListed && kind !== "global") throw refused(`a ${kind} address`);
        if (!isListed && !isPortOpen) throw refused(`port ${target.port} is not listed`);
        checked.add(address.text);
      }
      return [...checked];
    },
  };

  function isOwn(address: IpAddress, kind: AddressClass, port: number): boolean {
    return ownEndpoints.some((own) => {
      const host = parseIpAddress(own.host);
      if (host === null || (own.port !== null && own.port !== port)) return false;
      if (addressClass(host) !== "unspecified") return host.text === address.text;
      return kind === "loopback" || kind === "unspecified" || isLocal(address);
    });
  }

  function isLocal(address: IpAddress): boolean {
    return localAddresses().some((local) => parseIpAddress(local)?.text === address.text);
  }
}

function allows(rule: PrivateRule, address: IpAddress, kind: AddressClass, target: Target, isPortOpen: boolean): boolean {
  if (rule.port !== "any" && rule.port !== target.port && !(rule.port === "default" && isPortOpen)) return false;
  switch (rule.kind) {
    case "host":
      if (rule.host !== target.host) return false;
      // A name is trusted to lead inside, not to this machine or to a cloud's credentials: who controls the name is not who wrote the rule.
      return kind === "private" || (kind === "loopback" && isLoopbackName(target.host));
    case "range":
      return isInRange(address, rule.range) && isMeant(rule, kind);
  }
}

/** What is dangerous beyond being private must be named for itself, never swept up by a wider range (S10). */
function isMeant({ range }: PrivateRule & { readonly kind: "range" }, kind: AddressClass): boolean {
  switch (kind) {
    case "global":
    case "private":
    case "link-local":
    case "reserved":
      return true;
    case "loopback":
      return addressClass(range.network) === "loopback" && range.bits >= (range.network.family === 4 ? 8 : 128);
    case "metadata":
      return range.bits === (range.network.family === 4 ? 32 : 128);
    case "unspecified":
    case "multicast":
      return false;
  }
}

/** RFC 6761 §6.3: it can mean nothing else. */
function isLoopbackName(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost");
}
