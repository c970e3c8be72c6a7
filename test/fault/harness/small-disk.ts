/** A disk that is soon full, for one gateway alone: a tmpfs that only its process and its children see. */

import { spawnSync } from "node:child_process";
import { rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { GatewayProcess } from "../../e2e/gateway-process.ts";

export interface SmallDisk {
  /** For `startGatewayProcess`; what it mounts ends with the process. */
  readonly launcher: readonly string[];
}

/** In the first way that this user may; null where none is allowed. */
export function smallDisk(directory: string, { megabytes }: { readonly megabytes: number }): SmallDisk | null {
  const mount = `mount -t tmpfs -o size=${megabytes}m,mode=700 none '${directory}' && exec "$@"`;
  for (const flags of [["--mount"], ["--user", "--map-root-user", "--mount"]]) {
    const launcher = ["unshare", ...flags, "sh", "-c", mount, "sh"];
    const [command = "", ...args] = launcher;
    if (spawnSync(command, [...args, "true"]).status === 0) return { launcher };
  }
  return null;
}

/** Leaves so many bytes, rounded down to whole blocks; 0 fills it up. */
export async function fillDisk({ pid, state }: GatewayProcess, freeBytes: number): Promise<void> {
  const inside = `/proc/${pid}/root${state}`;
  const path = join(inside, "filling");
  await rm(path, { force: true });
  const { bavail, bsize } = await statfs(inside);
  await writeFile(path, Buffer.alloc(Math.max(0, (bavail - Math.floor(freeBytes / bsize)) * bsize)));
}

export async function freeDisk({ pid, state }: GatewayProcess): Promise<void> {
  await rm(`/proc/${pid}/root${state}/filling`, { force: true });
}
