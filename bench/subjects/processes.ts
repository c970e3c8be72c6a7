/** What the kernel tells of processes (proc(5)): processor time and memory. Linux only; elsewhere null. */

import { readdir, readFile } from "node:fs/promises";

/** USER_HZ: 100 on every Linux there is. */
const ticksPerSecond = 100;

/** Seconds of processor that the process has used. */
export async function processorSeconds(pid: number): Promise<number | null> {
  const fields = await statOf(pid);
  return fields === null ? null : (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** Bytes. */
export async function residentBytes(pid: number): Promise<number | null> {
  const kibibytes = /VmRSS:\s+(\d+) kB/.exec((await contentOf(`/proc/${pid}/status`)) ?? "")?.[1];
  return kibibytes === undefined ? null : Number(kibibytes) * 1024;
}

/** The child of that program's name; null when there is none. */
export async function childOf(parent: number, name: string): Promise<number | null> {
  for (const entry of await readdir("/proc").catch(() => [])) {
    const pid = Number(entry);
    if (Number.isNaN(pid) || Number((await statOf(pid))?.[1]) !== parent) continue;
    if ((await contentOf(`/proc/${pid}/comm`))?.trim() === name) return pid;
  }
  return null;
}

/** The fields behind the name, which may hold blanks: state first, then the parent. */
async function statOf(pid: number): Promise<readonly string[] | null> {
  const text = await contentOf(`/proc/${pid}/stat`);
  return text === null ? null : text.slice(text.lastIndexOf(")") + 2).split(" ");
}

async function contentOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return null; // the process is gone, or this is no Linux
  }
}
