/** What a gateway holds right now, seen from outside: descriptors, children, spool files, slots. */

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { GatewayProcess } from "../../e2e/gateway-process.ts";

/** What can be seen as often as one likes, without asking the gateway. */
export interface Seen {
  readonly descriptors: number;
  /** Command names of its children. */
  readonly children: readonly string[];
  /** Children that have ended and were not waited for. */
  readonly zombies: number;
  readonly spoolFiles: number;
  readonly residentBytes: number;
}

export interface Residue extends Seen {
  readonly spoolBodies: number;
  readonly slotsInUse: number;
  readonly queueLength: number;
}

export async function residueOf(gateway: GatewayProcess): Promise<Residue> {
  const [spoolBodies = 0, slotsInUse = 0, queueLength = 0] = await gateway.metrics(
    "clamgate_spool_bodies",
    "clamgate_slots_in_use",
    "clamgate_queue_length",
  );
  return { ...(await seenOf(gateway)), spoolBodies, slotsInUse, queueLength };
}

export async function seenOf(gateway: GatewayProcess): Promise<Seen> {
  const children = await childrenOf(gateway.pid);
  return {
    descriptors: (await readdir(`/proc/${gateway.pid}/fd`)).length,
    children: children.filter(({ state }) => state !== "Z").map(({ name }) => name),
    zombies: children.filter(({ state }) => state === "Z").length,
    // Through its own view of the disk: a test may have mounted one for it alone.
    spoolFiles: (await readdir(join(`/proc/${gateway.pid}/root`, gateway.state, "spool", "bodies"))).length,
    residentBytes: await gateway.residentBytes(),
  };
}

export interface ChildProcessEntry {
  readonly pid: number;
  readonly name: string;
  /** As proc(5) has it: `R`, `S`, `T`, `Z` … */
  readonly state: string;
}

/** The processes whose parent is `pid`, those that have ended and were not waited for included. */
export async function childrenOf(pid: number): Promise<readonly ChildProcessEntry[]> {
  const children: ChildProcessEntry[] = [];
  for (const entry of await readdir("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = await readFile(`/proc/${entry}/stat`, "utf8").catch(() => ""); // it has ended meanwhile
    const fields = /^\d+ \((.*)\) (\S) (\d+) /s.exec(stat);
    if (Number(fields?.[3]) === pid) children.push({ pid: Number(entry), name: fields?.[1] ?? "", state: fields?.[2] ?? "" });
  }
  return children;
}

/** The clamd that a gateway runs itself; null while there is none. */
export async function clamdOf(gateway: GatewayProcess): Promise<number | null> {
  const clamd = (await childrenOf(gateway.pid)).find(({ name, state }) => name === "clamd" && state !== "Z");
  return clamd?.pid ?? null;
}
