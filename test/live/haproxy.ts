/** The installed HAProxy as an ordinary user's process. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { scratchDirectory } from "../scratch-directory.ts";

/**
 * @param conf the whole of its configuration, which listens at 127.0.0.1 only.
 * @param url what is answered with 200 once it has found its servers up.
 */
export async function startHaproxy(conf: string, url: string): Promise<AsyncDisposable> {
  const directory = await scratchDirectory();
  const path = join(directory.path, "haproxy.cfg");
  await writeFile(path, conf);
  // Debian keeps it where an ordinary user's PATH does not look.
  const env = { PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` };
  const child = spawn("haproxy", ["-db", "-f", path], { stdio: ["ignore", "ignore", "inherit"], env });
  const ended = once(child, "exit");
  while ((await fetch(url).catch(() => null))?.status !== 200) {
    if (child.exitCode !== null) throw new Error(`haproxy ended with ${child.exitCode}`);
    await delay(50);
  }
  return {
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await ended;
      await directory[Symbol.asyncDispose]();
    },
  };
}
