/** Which clamd servers a pool is made of, as one string that no other pool has: verdicts of clamds whose signatures nobody can see are shared within it alone. */

import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { describeAddress } from "../../clamd/connection.ts";
import { addressClass, parseIpAddress } from "../../codec/ip-address.ts";
import type { Config } from "../../config/settings.ts";

type Addresses = NonNullable<Config["CLAMD_PORT"]>;

/**
 * A socket, a loopback address, and a name without a dot (a container's) mean another clamd on each machine and in each container. All
 * others mean the same one to all who share a Redis.
 * @param here what no two of these places have in common.
 */
export function poolName(addresses: Addresses, here = thisPlace()): string {
  const names = addresses.map((address) => describeAddress(address).toLowerCase()).toSorted();
  return JSON.stringify(addresses.some(isLocal) ? [...names, here] : names);
}

function isLocal(address: Addresses[number]): boolean {
  if (address.kind === "unix") return true;
  const ip = parseIpAddress(address.host);
  if (ip !== null) return addressClass(ip) === "loopback";
  return !address.host.replace(/\.$/, "").includes(".") || /\.localhost\.?$/i.test(address.host);
}

/** This start of this machine, and the container in it. */
function thisPlace(): string {
  const parts = [
    () => readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim(),
    () => readlinkSync("/proc/self/ns/net"),
    () => readlinkSync("/proc/self/ns/mnt"),
  ];
  return [hostname(), ...parts.map(orNothing)].join(" ");
}

/** Linux alone has these. */
function orNothing(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}
