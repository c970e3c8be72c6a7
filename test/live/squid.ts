/** The installed Squid in the foreground: a directory of its own, one port of 127.0.0.1, and origins of this machine alone. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chown, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { accepts } from "./accepts.ts";
import { freePort } from "./free-port.ts";

export interface ProxiedAnswer {
  /** 0: there was none. */
  readonly status: number;
  readonly body: Buffer;
  /** False where it was cut. */
  readonly isWhole: boolean;
}

export interface LiveSquid extends AsyncDisposable {
  readonly port: number;
  /** What it has written to its cache.log. */
  log(): Promise<string>;
  get(url: string): Promise<ProxiedAnswer>;
  send(
    method: string,
    url: string,
    body: Buffer | readonly Buffer[] | null,
    headers?: Readonly<Record<string, string>>,
  ): Promise<ProxiedAnswer>;
}

/** Resolves when it answers. @param lines of squid.conf that say which service adapts what. */
export async function startSquid(lines: readonly string[]): Promise<LiveSquid> {
  // Its user must be able to enter it, and everything above.
  const directory = await mkdtemp(join(tmpdir(), "clamgate-squid-"));
  const port = await freePort();
  const isRoot = process.getuid?.() === 0;
  const conf = join(directory, "squid.conf");
  await writeFile(conf, confOf(directory, port, isRoot, lines));
  if (isRoot) await chown(directory, ...(await proxyUser()));
  const log = () => readFile(join(directory, "cache.log"), "utf8").catch(() => "");
  const child = spawn("squid", ["-N", "-f", conf], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` },
  });
  const dispose = async () => {
    await end(child);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await once(child, "spawn");
    while (!(await accepts(port))) {
      if (child.exitCode !== null) throw new Error(`squid ended:\n${await log()}`);
      await delay(20);
    }
  } catch (error) {
    await dispose();
    throw error;
  }
  const send: LiveSquid["send"] = (method, url, body, headers = {}) => ask(port, { method, url, body, headers });
  return { port, log, send, get: (url) => send("GET", url, null), [Symbol.asyncDispose]: dispose };
}

async function proxyUser(): Promise<[number, number]> {
  const users = await readFile("/etc/passwd", "utf8");
  const [, uid, gid] = /^(?:proxy|squid):[^:]*:(\d+):(\d+):/m.exec(users) ?? [];
  return [Number(uid), Number(gid)];
}

function confOf(directory: string, port: number, isRoot: boolean, lines: readonly string[]): string {
  return [
    `http_port 127.0.0.1:${port}`,
    "pid_filename none",
    ...(isRoot ? ["cache_effective_user proxy"] : []),
    "visible_hostname test",
    "access_log none",
    `cache_log ${directory}/cache.log`,
    "cache_store_log none",
    "netdb_filename none",
    "pinger_enable off",
    `coredump_dir ${directory}`,
    "max_filedescriptors 1024",
    "cache_mem 8 MB",
    "cache deny all",
    "shutdown_lifetime 0 seconds",
    "dns_nameservers 127.0.0.1",
    "acl local dst 127.0.0.1",
    "http_access allow local",
    "http_access deny all",
    "icap_enable on",
    "icap_send_client_ip on",
    ...lines,
    "",
  ].join("\n");
}

/** Nothing that works is silent for so long. */
const stallMs = 6_000;

interface Asked {
  readonly method: string;
  readonly url: string;
  /** Several pieces go in chunks. */
  readonly body: Buffer | readonly Buffer[] | null;
  readonly headers: Readonly<Record<string, string>>;
}

function ask(port: number, { method, url, body, headers }: Asked): Promise<ProxiedAnswer> {
  const { promise, resolve } = Promise.withResolvers<ProxiedAnswer>();
  const length = Buffer.isBuffer(body) ? { "content-length": String(body.length) } : {};
  const asking = request(
    {
      host: "127.0.0.1",
      port,
      method,
      path: url,
      agent: false,
      timeout: stallMs,
      headers: { host: new URL(url).host, ...length, ...headers },
    },
    (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      const settle = () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks), isWhole: response.complete });
      response.on("end", settle).on("close", settle).on("error", settle);
    },
  );
  asking.on("timeout", () => asking.destroy());
  asking.on("error", () => resolve({ status: 0, body: Buffer.alloc(0), isWhole: false }));
  for (const piece of Buffer.isBuffer(body) ? [body] : (body ?? [])) asking.write(piece);
  asking.end();
  return promise;
}

/** It ends on the first SIGTERM, sometimes on the second. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = once(child, "exit");
  for (let turn = 0; child.exitCode === null && child.signalCode === null; turn += 1) {
    child.kill(turn < 3 ? "SIGTERM" : "SIGKILL");
    await Promise.race([ended, delay(500, undefined, { ref: false })]);
  }
}
