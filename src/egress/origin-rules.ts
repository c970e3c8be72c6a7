/** Which origins may be asked at all, judged by name, port and path before anything is resolved (download-proxy.md S1, S2, S8, S11). */

import { defaultPorts, type OriginHost, type OriginRule, type PrivateRule } from "../codec/origin-rule.ts";
import { isInside } from "./contained-path.ts";
import { refused } from "./refusal.ts";
import type { Target } from "./target.ts";

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
