/** A gateway as its users run it: a process of its own, with a real clamd, on loopback and free ports. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { processesWith } from "../process/stage.ts";

export interface GatewayProcess extends AsyncDisposable {
  readonly urls: readonly string[];
  /** The plain one. */
  readonly url: string;
  readonly port: number;
  /** Of the download proxy; empty where it is off. */
  readonly proxyUrl: string;
  readonly proxyPort: number;
  readonly pid: number;
  readonly state: string;
  /** Every line it has written. */
  readonly lines: string[];
  /** Resolves with the first line, past or to come, that holds the text. */
  line(text: string): Promise<string>;
  /** While false, nobody reads what it writes, and its pipes fill up. */
  readLog(isRead: boolean): void;
  /** As it is now, which costs time: the gateway renders its metrics five times in a row and then once a second. */
  metric(name: string): Promise<number>;
  /** Several of one moment, in their order. */
  metrics(...names: readonly string[]): Promise<readonly number[]>;
  /** Resolves when `/readyz` answers 200. */
  ready(): Promise<void>;
  /** The names of the checks of `/readyz` that are not as they should be. */
  troubles(): Promise<readonly string[]>;
  /** As `/readyz` tells, as often as it is asked. */
  backendsUp(): Promise<number>;
  signal(signal: NodeJS.Signals): void;
  /** The exit code, or the signal's name. */
  readonly ended: Promise<number | string>;
  residentBytes(): Promise<number>;
}

export interface GatewayProcessOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Kept when the process ends; a new one, removed at the end, when not given. */
  readonly state?: string;
  readonly args?: readonly string[];
  /** A command that runs the one behind it in its own place, as `prlimit --nofile=256`. */
  readonly launcher?: readonly string[];
  /** The file that Node runs; src/main.ts when not given. */
  readonly main?: string;
}

/** As `npm start` and the image have it. */
const runtimeFlags = ["--max-semi-space-size=8"];
const sourceMain = new URL("../../src/main.ts", import.meta.url).pathname;

/** Resolves when it listens; it is not ready yet. */
export async function startGatewayProcess(options: GatewayProcessOptions = {}): Promise<GatewayProcess> {
  const state = options.state ?? (await mkdtemp(join(tmpdir(), "clamgate-e2e-")));
  const { PATH = "", HOME = "/", NODE_COMPILE_CACHE = "" } = process.env;
  const own = [
    process.execPath,
    ...runtimeFlags,
    options.main ?? sourceMain,
    ...(options.args ?? ["serve", "--allow-test-signatures"]),
  ];
  const [command = "", ...args] = [...(options.launcher ?? []), ...own];
  const child = spawn(command, args, {
    env: {
      PATH,
      HOME,
      // Where set, as by npm test, a start need not compile all that others have compiled.
      NODE_COMPILE_CACHE,
      HOST: "127.0.0.1",
      PORT: "0",
      DOWNLOAD_PROXY_PORT: "0",
      STATE_DIRECTORY: state,
      // No test may reach for real signatures.
      SIGNATURE_CHECKS: "0",
      LOG_FORMAT: "json",
      ...options.env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: string[] = [];
  const listeners = new Set<() => void>();
  let scrapeAt = Number.NEGATIVE_INFINITY;
  let freeAt = Number.NEGATIVE_INFINITY;
  for (const pipe of [child.stdout, child.stderr]) {
    createInterface({ input: pipe }).on("line", (line) => {
      lines.push(line);
      for (const listener of listeners) listener();
    });
  }
  const ended = once(child, "exit").then(([code, signal]: unknown[]) => (typeof code === "number" ? code : String(signal)));

  async function line(text: string): Promise<string> {
    for (;;) {
      const found = lines.find((candidate) => candidate.includes(text));
      if (found !== undefined) return found;
      await Promise.race([
        new Promise<void>((resolve) => listeners.add(resolve)),
        ended.then((end) => Promise.reject(new Error(`ended with ${end} without saying ${text}:\n${lines.join("\n")}`))),
      ]);
      listeners.clear();
    }
  }

  /**
   * Never an older text: waits until the gateway renders anew. Whoever polls would use up the five in a row within milliseconds and
   * then learn something each second only: the second of them waits for 50 ms, and each further one for twice as long.
   */
  async function scrape(): Promise<string> {
    const now = performance.now();
    freeAt = Math.max(freeAt, now - 4_040);
    const spent = Math.min(4, Math.ceil((freeAt - (now - 4_040)) / 1_010));
    scrapeAt = Math.max(now, freeAt, spent === 0 ? 0 : scrapeAt + 25 * 2 ** spent);
    freeAt += 1_010;
    if (scrapeAt > now) await delay(scrapeAt - now);
    const text = await getOnce(`${url}/metrics`);
    // The gateway counts from when it got to it, which is late where it has much to do.
    freeAt = Math.max(freeAt, performance.now() - 3_000);
    return text;
  }

  const listening = await line("listening on ");
  const urls = [...listening.matchAll(/https?:\/\/[^\s"]+/g)].map(([url]) => url);
  const [url = ""] = urls;
  const isProxyOff = options.env?.DOWNLOAD_PROXY_PORT === "off";
  const [proxyUrl = ""] = isProxyOff ? [] : (/http:\/\/[^\s"]+/.exec(await line("download proxy on ")) ?? []);
  return {
    urls,
    url,
    port: Number(new URL(url).port),
    proxyUrl,
    proxyPort: isProxyOff ? 0 : Number(new URL(proxyUrl).port),
    pid: pidOf(child),
    state,
    lines,
    line,
    readLog(isRead) {
      for (const pipe of [child.stdout, child.stderr]) {
        if (isRead) pipe.resume();
        else pipe.pause();
      }
    },
    async metric(name) {
      return metricIn(await scrape(), name);
    },
    async metrics(...names) {
      const text = await scrape();
      return names.map((name) => metricIn(text, name));
    },
    async ready() {
      while ((await fetch(`${url}/readyz`)).status !== 200) {
        if (child.exitCode !== null) throw new Error(`the gateway ended:\n${lines.join("\n")}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    async troubles() {
      const { checks } = (await (await fetch(`${url}/readyz`)).json()) as {
        readonly checks: readonly { readonly name: string; readonly ok: boolean }[];
      };
      return checks.filter(({ ok }) => !ok).map(({ name }) => name);
    },
    async backendsUp() {
      const up = /(\d+) of \d+ backends up/.exec(await getOnce(`${url}/readyz`))?.[1];
      if (up === undefined) throw new Error("/readyz does not tell how many backends are up");
      return Number(up);
    },
    signal: (signal) => child.kill(signal),
    ended,
    async residentBytes() {
      const status = await readFile(`/proc/${pidOf(child)}/status`, "utf8");
      return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
      await ended;
      if (options.state !== undefined) return;
      // Killed, it has left its clamd to the next gateway of its state, and there is none.
      if (child.signalCode === "SIGKILL") for (const pid of await processesWith(state)) process.kill(pid, "SIGKILL");
      await rm(state, { recursive: true, force: true });
    },
  };
}

/** The sum of a metric's samples; a name with labels, as `x{source="cache"}`, means those samples alone. Throws where there is no such metric. */
function metricIn(metrics: string, name: string): number {
  const isWanted = (line: string) => line.startsWith(name) && /[ {]/.test(line[name.length] ?? " ");
  const [family = name] = name.split("{", 1);
  if (!metrics.includes(`# TYPE ${family} `)) throw new Error(`there is no metric ${family}`);
  const samples = metrics.split("\n").filter((line) => !line.startsWith("#") && isWanted(line));
  return samples.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}

/** On a connection of its own: one that was kept alive may be closed by the gateway just as it is used again. */
function getOnce(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (response) => text(response).then(resolve, reject)).on("error", reject);
  });
}

function pidOf(child: ChildProcess): number {
  if (child.pid === undefined) throw new Error("the gateway was not started");
  return child.pid;
}
