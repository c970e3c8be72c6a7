/** The one way to an origin, and where SSRF is stopped: rules for the name, one look-up, a check of every address (download-proxy.md S1-S11, S16, S21, S25). */

import { type AddressClass, addressClass, type IpAddress, isInRange, parseIpAddress } from "../codec/ip-address.ts";
import { defaultPorts, type OriginHost, type OriginRule, type PrivateRule } from "../codec/origin-rule.ts";
import type { NameLookup } from "./name-lookup.ts";
import { refused } from "./refusal.ts";
import { isInside, type Target } from "./target.ts";

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
 * The addresses that may be dialled for this target, all checked, at least one: at once where they are known, after a look-up otherwise.
 * Throws or rejects with `forbidden`, and rejects with `upstream-failed`, `upstream-timeout`, `queue-full`, or the signal's reason.
 */
export type OriginGate = (passage: Passage) => readonly string[] | Promise<readonly string[]>;

export function createOriginGate({ rules, lookup, addresses }: OriginGateOptions): OriginGate {
  return function pass({ target, kind, client, signal }) {
    const permit = rules.check(target, kind);
    const check = (found: readonly string[]) => addresses.check(target, found, permit);
    // An address is no name to look up, and is checked like the answer to one (undici#2019).
    const found = parseIpAddress(target.host) === null ? lookup(target.host, client, signal) : [target.host];
    return found instanceof Promise ? found.then(check) : check(found);
  };
}

export interface OriginRulesOptions {
  /** `DOWNLOAD_ORIGINS`; empty allows nothing. */
  readonly origins: readonly OriginRule[];
  /** `DOWNLOAD_REDIRECT_ORIGINS`: where redirects may lead besides `origins`. */
  readonly redirectOrigins: readonly OriginRule[];
  /** `DOWNLOAD_ALLOW_PRIVATE`: a host that is named here may have any name, and its port is listed. */
  readonly allowPrivate: readonly PrivateRule[];
  /** The gateway's own listeners and names, its cache and its engines: never a target, whatever is listed. */
  readonly ownEndpoints: readonly Endpoint[];
}

export interface Endpoint {
  /** A name or an address; IPv6 without brackets. `0.0.0.0` and `::` are every address of this machine. */
  readonly host: string;
  /** Null: every port. */
  readonly port: number | null;
}

export interface Permit {
  /** False when only a range of `DOWNLOAD_ALLOW_PRIVATE` lists the port: then the address gate has the last word. */
  readonly isPortOpen: boolean;
}

export interface OriginRules {
  /** @throws ClamgateError `forbidden` */
  check(target: Target, kind: "request" | "redirect"): Permit;
}

export function createOriginRules(options: OriginRulesOptions): OriginRules {
  const redirectRules = [...options.origins, ...options.redirectOrigins];
  return {
    check(target, kind) {
      const rules = kind === "request" ? options.origins : redirectRules;
      if (options.ownEndpoints.some((own) => isEndpoint(own, target.host, target.port)))
        throw refused("one of our own endpoints");
      const matching = rules.filter((rule) => covers(rule, target));
      if (matching.length === 0) throw refused(`${target.host} is not in the list of origins`);
      const isNamed = matching.some((rule) => rule.kind === "origin") || isListedHost(options.allowPrivate, target);
      if (!isNamed && isInternalName(target.host)) throw refused(`${target.host} is an internal name`);
      const isPortOpen = isNamed || target.port === defaultPorts[target.scheme];
      if (!isPortOpen && !isListedForRange(options.allowPrivate, target)) throw refused(`port ${target.port} is not listed`);
      return { isPortOpen };
    },
  };
}

/** Without regard to how a name may resolve. */
function isEndpoint(own: Endpoint, host: string, port: number): boolean {
  return own.host.toLowerCase() === host && (own.port === null || own.port === port);
}

/** Names that mean something only inside: a machine, a cluster, a cloud (S8). An address is none. */
function isInternalName(host: string): boolean {
  if (host.includes(":") || /^\d+(\.\d+){3}$/.test(host)) return false;
  return !host.includes(".") || internalSuffixes.some((suffix) => host.endsWith(suffix));
}

/** `metadata.google.internal` and `*.svc.cluster.local` are among them. Special-use: RFC 6761, 6762, 8375, 9476; the rest by custom. */
const internalSuffixes = [
  ".localhost",
  ".local",
  ".internal",
  ".home.arpa",
  ".localdomain",
  ".lan",
  ".home",
  ".corp",
  ".intranet",
];

function covers(rule: OriginRule, target: Target): boolean {
  switch (rule.kind) {
    case "any":
      return true;
    case "origin":
      return (
        rule.schemes.includes(target.scheme) &&
        isHost(rule.host, target.host) &&
        (rule.port ?? defaultPorts[target.scheme]) === target.port &&
        isBelow(target.path, rule.prefix)
      );
  }
}

function isHost(host: OriginHost, name: string): boolean {
  switch (host.kind) {
    case "exact":
      return name === host.name;
    case "subdomains":
      return name.endsWith(`.${host.domain}`);
  }
}

function isBelow(pathAndQuery: string, prefix: string): boolean {
  const [path = "/"] = pathAndQuery.split("?", 1);
  const directory = prefix.endsWith("/") ? prefix : `${prefix}/`;
  return path === prefix || isInside(path, directory);
}

function isListedHost(rules: readonly PrivateRule[], { host, port }: Target): boolean {
  return rules.some((rule) => rule.kind === "host" && rule.host === host && (rule.port === "any" || rule.port === port));
}

function isListedForRange(rules: readonly PrivateRule[], { port }: Target): boolean {
  return rules.some((rule) => rule.kind === "range" && (rule.port === "any" || rule.port === port));
}

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
