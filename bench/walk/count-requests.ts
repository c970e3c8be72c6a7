/** How many functions, files, promises and timers one request goes through. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { clean, startFakeClamd } from "../../test/fake/clamd.ts";
import { HttpConnection } from "../load/http-connection.ts";
import { spreadOf } from "../load/statistics.ts";
import { startNodeServer } from "../subjects/node-server.ts";
import type { Walk } from "./probe.ts";

/** Each is walked so often; what the gateway does besides (a proof, a sweep) falls out with the median. */
const rounds = 9;
/** An answer is out before what follows from it (a log line, a row) is done. */
const settleMs = 100;
const bytes = 1024;
const root = new URL("../../", import.meta.url).pathname;

export interface CountedWalk {
  readonly request: "new upload" | "repeated upload" | "strict download";
  /** Medians. */
  readonly walk: Walk;
}

/** A gateway with a scripted clamd and the probe, of its own. */
export async function countRequests(): Promise<readonly CountedWalk[]> {
  const directory = await mkdtemp(join(tmpdir(), "clamgate-walk-"));
  try {
    return await countWith(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function countWith(directory: string): Promise<readonly CountedWalk[]> {
  const clamd = await startFakeClamd({ scan: async () => clean });
  await using origin = await startNodeServer("unique-origin", directory);
  const gateway = startProbed({
    CLAMD_PORT: `${clamd.address.host}:${clamd.address.port}`,
    STATE_DIRECTORY: join(directory, "state"),
    DOWNLOAD_ALLOW_PRIVATE: "127.0.0.1:*",
  });
  const [port, proxyPort] = await ports(gateway);
  await readyAt(port);
  const upload = await HttpConnection.open("127.0.0.1", port);
  const download = await HttpConnection.open("127.0.0.1", proxyPort);
  let serial = 0;
  const requests = {
    "new upload": () => upload.request([form(`new ${serial++}`)]),
    "repeated upload": () => upload.request([form("always the same")]),
    "strict download": () => download.request([get(`/${serial++}`, origin.url)]),
  };
  const counted: CountedWalk[] = [];
  for (const request of ["new upload", "repeated upload", "strict download"] as const) {
    const walks: Walk[] = [];
    // The first ones fill caches and open connections.
    for (let round = -2; round < rounds; round++) {
      const walk = await walked(gateway, requests[request]);
      if (round >= 0) walks.push(walk);
    }
    const median = (key: keyof Walk) => spreadOf(walks.map((walk) => walk[key])).median;
    const walk = {
      functions: median("functions"),
      files: median("files"),
      promises: median("promises"),
      timers: median("timers"),
    };
    counted.push({ request, walk });
  }
  gateway.disconnect();
  gateway.kill("SIGTERM");
  await once(gateway, "exit");
  await clamd[Symbol.asyncDispose]();
  return counted;
}

function startProbed(env: Readonly<Record<string, string>>): ChildProcess {
  const { PATH = "", HOME = "/" } = process.env;
  const probe = new URL("./probe.ts", import.meta.url).href;
  return spawn(process.execPath, [`--import=${probe}`, join(root, "src/main.ts"), "serve", "--allow-test-signatures"], {
    env: {
      PATH,
      HOME,
      HOST: "127.0.0.1",
      PORT: "0",
      DOWNLOAD_PROXY_PORT: "0",
      SIGNATURE_CHECKS: "0",
      LOG_FORMAT: "json",
      ...env,
    },
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
}

/** Where it listens: for uploads, and for downloads. */
function ports(gateway: ChildProcess): Promise<[port: number, proxyPort: number]> {
  const { promise, resolve, reject } = Promise.withResolvers<[number, number]>();
  let log = "";
  gateway.once("exit", () => reject(new Error(`the gateway ended:\n${log}`)));
  // Read to the end: a full pipe would be part of what is counted.
  gateway.stdout?.on("data", (chunk) => {
    log += chunk;
    const [port, proxyPort] = ["listening", "download proxy"].map(
      (what) => new RegExp(`${what} on http://[^\\s"]+:(\\d+)`).exec(log)?.[1],
    );
    if (port !== undefined && proxyPort !== undefined) resolve([Number(port), Number(proxyPort)]);
  });
  return promise;
}

async function walked(gateway: ChildProcess, send: () => Promise<{ readonly status: number }>): Promise<Walk> {
  gateway.send("begin");
  await once(gateway, "message");
  const { status } = await send();
  if (status !== 200) throw new Error(`answered ${status}`);
  await delay(settleMs);
  gateway.send("end");
  const [walk] = await once(gateway, "message");
  return walk;
}

function form(text: string): Buffer {
  const body = `--walk\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n${text.padEnd(bytes)}\r\n--walk--\r\n`;
  return Buffer.from(
    `POST /v2/scan HTTP/1.1\r\nHost: walk\r\nContent-Type: multipart/form-data; boundary=walk\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
}

function get(path: string, origin: string): Buffer {
  return Buffer.from(`GET ${path} HTTP/1.1\r\nHost: walk\r\nDownload-From: ${origin}/\r\n\r\n`);
}

async function readyAt(port: number): Promise<void> {
  while ((await fetch(`http://127.0.0.1:${port}/readyz`)).status !== 200) await delay(50);
}
