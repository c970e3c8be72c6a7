/** The installed Caddy and HAProxy, each as an ordinary user's process. */

import { type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { scratchDirectory } from "../scratch-directory.ts";

/**
 * @param conf a Caddyfile that listens at 127.0.0.1 only.
 * @param url what is answered with any status once it listens.
 */
export function startCaddy(conf: string, url: string): Promise<AsyncDisposable> {
  const args = (path: string) => ["run", "--config", path, "--adapter", "caddyfile"];
  return startBalancer("caddy", args, conf, "ignore", async () => (await fetch(url).catch(() => null)) !== null);
}

/**
 * @param conf the whole of its configuration, which listens at 127.0.0.1 only.
 * @param url what is answered with 200 once it has found its servers up.
 */
export function startHaproxy(conf: string, url: string): Promise<AsyncDisposable> {
  const args = (path: string) => ["-db", "-f", path];
  const stdio = ["ignore", "ignore", "inherit"] as const;
  return startBalancer("haproxy", args, conf, [...stdio], async () => (await fetch(url).catch(() => null))?.status === 200);
}

async function startBalancer(
  command: string,
  args: (path: string) => string[],
  conf: string,
  stdio: SpawnOptions["stdio"],
  isUp: () => Promise<boolean>,
): Promise<AsyncDisposable> {
  const directory = await scratchDirectory({ conf });
  // Debian keeps HAProxy where an ordinary user's PATH does not look.
  const env = { PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin`, HOME: directory.path };
  const child = spawn(command, args(directory.at("conf")), { stdio, env });
  const ended = once(child, "exit");
  while (!(await isUp())) {
    if (child.exitCode !== null) throw new Error(`${command} ended with ${child.exitCode}`);
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
