/** The installed nginx as an ordinary user's process: a directory of its own, ports of 127.0.0.1 only. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type ScratchDirectory, scratchDirectory } from "../scratch-directory.ts";
import { accepts } from "./accepts.ts";

export interface LiveNginx extends AsyncDisposable {
  /** What it has written to its error log. */
  errors(): Promise<string>;
}

/**
 * @param http what stands in the `http` block.
 * @param ports that `http` listens on, each at 127.0.0.1; resolves when all of them answer.
 */
export async function startNginx(http: string, ports: readonly number[]): Promise<LiveNginx> {
  const directory = await scratchDirectory();
  const log = join(directory.path, "error.log");
  try {
    const conf = join(directory.path, "nginx.conf");
    await writeFile(conf, mainConf(directory, http));
    const child = spawn("nginx", ["-p", directory.path, "-e", log, "-c", conf], {
      stdio: ["ignore", "inherit", "inherit"],
      // Debian keeps it where an ordinary user's PATH does not look.
      env: { PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` },
    });
    await once(child, "spawn");
    await Promise.all(ports.map((port) => listening(child, port, log)));
    return {
      errors: () => readFile(log, "utf8"),
      async [Symbol.asyncDispose]() {
        await end(child);
        await directory[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await directory[Symbol.asyncDispose]();
    throw error;
  }
}

/** As the official image's envsubst does it: only variables that are set, and those of nginx's own are not. */
export function fillIn(template: string, variables: Readonly<Record<string, string>>): string {
  return template.replace(/\$\{([A-Z_a-z0-9]+)\}/g, (text, name: string) => variables[name] ?? text);
}

/** One process: its worker can then read what only we can, whoever we are. */
function mainConf({ path }: ScratchDirectory, http: string): string {
  const places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${path}/${kind};`);
  return `daemon off;
master_process off;
worker_processes 1;
pid ${path}/pid;
events { worker_connections 1024; }
http {
access_log off;
${places.join("\n")}
${http}
}
`;
}

async function listening(child: ChildProcess, port: number, log: string): Promise<void> {
  while (!(await accepts(port))) {
    if (child.exitCode !== null) throw new Error(`nginx ended:\n${await readFile(log, "utf8").catch(String)}`);
    await delay(10);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await ended;
}
