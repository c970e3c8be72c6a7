/** The installed rspamd in the foreground, with its antivirus module alone: a directory of its own, and no names to look up anywhere. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "./free-port.ts";

export interface MailCheck {
  /** As "no action", "reject", "soft reject". */
  readonly action: string;
  /** What it found, and what is said of that, as the name of a virus. */
  readonly symbols: ReadonlyMap<string, readonly string[]>;
}

export interface LiveRspamd extends AsyncDisposable {
  check(mail: string): Promise<MailCheck>;
}

export interface RspamdParts {
  /** As in `local.d/antivirus.conf` and `local.d/force_actions.conf`. */
  readonly antivirus: string;
  readonly forceActions: string;
}

/** Resolves when it answers. */
export async function startRspamd({ antivirus, forceActions }: RspamdParts): Promise<LiveRspamd> {
  const directory = await mkdtemp(join(tmpdir(), "clamgate-rspamd-"));
  const at = (name: string) => join(directory, name);
  const port = await freePort();
  const plugins = "/usr/share/rspamd/plugins";
  // Its own list of top-level domains takes it seconds to read.
  await writeFile(at("tld.dat"), "test\n");
  await writeFile(
    at("rspamd.conf"),
    `options {
  pidfile = "${at("pid")}"; filters = ""; url_tld = "${at("tld.dat")}"; tempdir = "${directory}"; hs_cache_dir = "${directory}/";
  cache_file = "${at("symbols.cache")}"; task_timeout = 60s; dns { nameserver = ["127.0.0.1:9"]; }
}
logging { type = "console"; level = "error"; }
worker "normal" { bind_socket = "127.0.0.1:${port}"; count = 1; }
actions { reject = 15; }
lua = "/usr/share/rspamd/rules/rspamd.lua";
modules { path = "${plugins}/antivirus.lua"; path = "${plugins}/force_actions.lua"; }
antivirus {
${antivirus}
}
force_actions {
${forceActions}
}
`,
  );
  const user = process.getuid?.() === 0 ? ["-u", "root", "-g", "root"] : [];
  const child = spawn("rspamd", ["--insecure", "--no-fork", ...user, "--config", at("rspamd.conf")], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { PATH: `${process.env.PATH}:/usr/sbin` },
  });
  const said = text(child.stderr);
  const ended = once(child, "exit");
  const dispose = async () => {
    child.kill();
    await ended;
    await rm(directory, { recursive: true, force: true });
  };
  const url = `http://127.0.0.1:${port}`;
  try {
    await once(child, "spawn");
    while (!(await isThere(`${url}/ping`))) {
      if (child.exitCode !== null) throw new Error(`rspamd ended:\n${await said}`);
      await delay(50);
    }
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    async check(mail) {
      const response = await fetch(`${url}/checkv2`, { method: "POST", body: mail });
      const { action, symbols } = (await response.json()) as {
        readonly action: string;
        readonly symbols: Readonly<Record<string, { readonly options?: readonly string[] }>>;
      };
      return { action, symbols: new Map(Object.entries(symbols).map(([name, { options = [] }]) => [name, options])) };
    },
    [Symbol.asyncDispose]: dispose,
  };
}

async function isThere(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false; // not yet
  }
}
