/** Real redis-server processes on 127.0.0.1: alone, with a replica and a sentinel, or three of a cluster. Nothing is kept on disk. */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { createClient } from "@redis/client";
import { type ScratchDirectory, scratchDirectory } from "../scratch-directory.ts";
import { freePort } from "./free-port.ts";

export interface RedisOptions {
  /** Lines of redis.conf. */
  readonly conf?: readonly string[];
  /** For `command`. */
  readonly password?: string;
  /** PEM files: it then speaks TLS only. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly asksForCertificate: boolean };
  readonly isSentinel?: boolean;
  /** Matches the line after which it takes commands. */
  readonly readyLine?: RegExp;
}

export interface LiveRedis extends AsyncDisposable {
  readonly host: "127.0.0.1";
  readonly port: number;
  /** Over a connection of its own. Rejects with redis's refusal. */
  command(...words: readonly string[]): Promise<unknown>;
  isAlive(): boolean;
  /** SIGKILL, and waits for the end. */
  kill(): Promise<void>;
  /** Once more on the same port, empty; waits until it takes commands. */
  restart(): Promise<void>;
  /** The process hangs: its port still takes connections. */
  freeze(): void;
  thaw(): void;
}

const attempts = 5;

export async function startRedis(options: RedisOptions = {}): Promise<LiveRedis> {
  for (let attempt = 1; ; attempt += 1) {
    const directory = await scratchDirectory();
    try {
      const port = await freePort();
      const processOf = await launch(directory, port, options);
      return live(directory, port, options, processOf);
    } catch (error) {
      await directory[Symbol.asyncDispose]();
      // Somebody else took the port between our looking and its listening.
      if (attempt === attempts) throw error;
    }
  }
}

function live(directory: ScratchDirectory, port: number, options: RedisOptions, first: ChildProcess): LiveRedis {
  let child = first;
  const redis: LiveRedis = {
    host: "127.0.0.1",
    port,
    async command(...words) {
      const { password } = options;
      const client = createClient({
        RESP: 2,
        socket: { host: "127.0.0.1", port, reconnectStrategy: false },
        ...(password ? { password } : {}),
      });
      client.on("error", () => {}); // the command rejects as well
      await client.connect();
      try {
        return await client.sendCommand(words);
      } finally {
        client.destroy();
      }
    },
    isAlive: () => child.exitCode === null && child.signalCode === null,
    async kill() {
      if (!redis.isAlive()) return;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    },
    async restart() {
      await redis.kill();
      child = await launch(directory, port, options);
    },
    freeze: () => void child.kill("SIGSTOP"),
    thaw: () => void child.kill("SIGCONT"),
    async [Symbol.asyncDispose]() {
      await redis.kill();
      await directory[Symbol.asyncDispose]();
    },
  };
  return redis;
}

async function launch(directory: ScratchDirectory, port: number, options: RedisOptions): Promise<ChildProcess> {
  const { conf = [], tls, isSentinel = false, readyLine = /Ready to accept connections/ } = options;
  const home = join(directory.path, "home");
  await mkdir(home, { recursive: true });
  const listening = tls
    ? [
        "port 0",
        `tls-port ${port}`,
        `tls-cert-file ${tls.cert}`,
        `tls-key-file ${tls.key}`,
        `tls-ca-cert-file ${tls.cert}`,
        `tls-auth-clients ${tls.asksForCertificate ? "yes" : "no"}`,
      ]
    : [`port ${port}`];
  const keeping = isSentinel ? [] : ['save ""', "appendonly no", "enable-debug-command local"];
  const file = join(directory.path, "redis.conf");
  await writeFile(file, [...listening, "bind 127.0.0.1", `dir ${home}`, ...keeping, ...conf, ""].join("\n"));
  const child = spawn("redis-server", [file, ...(isSentinel ? ["--sentinel"] : [])], { stdio: ["ignore", "pipe", "inherit"] });
  const lines: string[] = [];
  for await (const line of createInterface(child.stdout)) {
    lines.push(line);
    if (!readyLine.test(line)) continue;
    child.stdout.resume();
    return child;
  }
  throw new Error(`redis-server ended:\n${lines.join("\n")}`);
}

export interface LiveSentinel extends AsyncDisposable {
  readonly masterName: string;
  readonly sentinel: LiveRedis;
  readonly master: LiveRedis;
  readonly replica: LiveRedis;
}

/** A master with one replica, and one sentinel that fails over after half a second. */
export async function startSentinel(password?: string): Promise<LiveSentinel> {
  await using stack = new AsyncDisposableStack();
  const secret = password === undefined ? [] : [`requirepass ${password}`, `masterauth ${password}`];
  const access = password === undefined ? {} : { password };
  const master = stack.use(await startRedis({ conf: [...secret, "repl-diskless-sync-delay 0"], ...access }));
  const replica = stack.use(
    await startRedis({
      conf: [...secret, `replicaof 127.0.0.1 ${master.port}`],
      ...access,
      readyLine: /MASTER <-> REPLICA sync: Finished with success/,
    }),
  );
  const watch = [
    `sentinel monitor verdicts 127.0.0.1 ${master.port} 1`,
    "sentinel down-after-milliseconds verdicts 500",
    "sentinel failover-timeout verdicts 2000",
    ...(password === undefined ? [] : [`sentinel auth-pass verdicts ${password}`, `requirepass ${password}`]),
  ];
  const sentinel = stack.use(await startRedis({ conf: watch, isSentinel: true, readyLine: /\+slave /, ...access }));
  const owned = stack.move();
  return { masterName: "verdicts", sentinel, master, replica, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

export interface LiveCluster extends AsyncDisposable {
  /** Three masters without replicas, in the order of their slots. */
  readonly nodes: readonly LiveRedis[];
  /** Undoes kills and freezes; waits until the nodes agree that all is well. */
  revive(): Promise<void>;
}

export async function startCluster(): Promise<LiveCluster> {
  await using stack = new AsyncDisposableStack();
  const nodes: LiveRedis[] = [];
  while (nodes.length < 3) {
    const bus = [`cluster-port ${await freePort()}`, "cluster-announce-ip 127.0.0.1"];
    nodes.push(stack.use(await startRedis({ conf: ["cluster-enabled yes", "cluster-node-timeout 1000", ...bus] })));
  }
  const addresses = nodes.map(({ host, port }) => `${host}:${port}`);
  await promisify(execFile)("redis-cli", ["--cluster", "create", ...addresses, "--cluster-yes"]);
  const isWell = async (node: LiveRedis) => String(await node.command("CLUSTER", "INFO")).includes("cluster_state:ok");
  const revive = async () => {
    for (const node of nodes) node.thaw();
    for (const node of nodes) if (!node.isAlive()) await node.restart();
    for (const node of nodes) await untilTrue(() => isWell(node));
  };
  await revive();
  const owned = stack.move();
  return { nodes, revive, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** As redis-cli does it: who gets the slot claims it first, with an epoch of its own. The slot holds no key. */
export async function moveSlot({ nodes }: LiveCluster, slot: string, from: LiveRedis, to: LiveRedis): Promise<void> {
  const [fromId, toId] = await Promise.all([from, to].map(async (node) => String(await node.command("CLUSTER", "MYID"))));
  await to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", fromId ?? "");
  await from.command("CLUSTER", "SETSLOT", slot, "MIGRATING", toId ?? "");
  for (const node of [to, ...nodes.filter((other) => other !== to)])
    await node.command("CLUSTER", "SETSLOT", slot, "NODE", toId ?? "");
}

const patienceMs = 30_000;

/** Asks again and again: redis tells nobody when it is so. Throws when it never is. */
export async function untilTrue(ask: () => boolean | Promise<boolean>): Promise<void> {
  const endsAtMs = performance.now() + patienceMs;
  while (!(await ask())) {
    if (performance.now() > endsAtMs) throw new Error(`not so within ${patienceMs} ms: ${ask}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
