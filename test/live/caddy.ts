/** The installed Caddy as an ordinary user's process. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { scratchDirectory } from "../scratch-directory.ts";

/**
 * @param conf a Caddyfile that listens at 127.0.0.1 only.
 * @param url what is answered with any status once it listens.
 */
export async function startCaddy(conf: string, url: string): Promise<AsyncDisposable> {
  const directory = await scratchDirectory();
  const path = join(directory.path, "Caddyfile");
  await writeFile(path, conf);
  const env = { PATH: process.env.PATH, HOME: directory.path };
  const child = spawn("caddy", ["run", "--config", path, "--adapter", "caddyfile"], { stdio: "ignore", env });
  const ended = once(child, "exit");
  while ((await fetch(url).catch(() => null)) === null) {
    if (child.exitCode !== null) throw new Error(`caddy ended with ${child.exitCode}`);
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
