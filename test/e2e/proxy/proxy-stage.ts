/** The download proxy as its users run it: the real gateway and clamd, an origin of the test's own, nginx with the template of deploy/. */

import { readFile } from "node:fs/promises";
import { type FakeOrigin, head, keep, type OriginAct, startFakeOrigin } from "../../fake/origin.ts";
import { testDatabase } from "../../fault/test-database.ts";
import { ask, type RawAnswer, requestText } from "../../front/proxy/raw-client.ts";
import { freePort } from "../../live/free-port.ts";
import { fillIn, type LiveNginx, startNginx } from "../../live/nginx.ts";
import { type GatewayProcess, startGatewayProcess } from "../gateway-process.ts";

export interface DownloadStage extends AsyncDisposable {
  readonly gateway: GatewayProcess;
  readonly origin: FakeOrigin;
  /** What the origin does for a path; it answers 404 to any other. */
  readonly files: Map<string, () => OriginAct | Promise<OriginAct>>;
  /** Of the origin. */
  readonly base: string;
  /** Asks the gateway for a path of the origin by Download-From. */
  get(path: string, lines?: readonly string[], how?: { method?: string; version?: string }): Promise<RawAnswer>;
  /** The same as text, for a client of the test's own. */
  text(path: string, lines?: readonly string[], how?: { method?: string; version?: string }): string;
}

/** The origin alone is allowed. Its database finds EICAR and the marker of test/live/clamd.ts wherever they stand. */
export async function openDownloads(env: Readonly<Record<string, string>> = {}): Promise<DownloadStage> {
  await using opened = new AsyncDisposableStack();
  const files: DownloadStage["files"] = new Map();
  const origin = opened.use(await startFakeOrigin((request) => serve(files, request.path, request.method)));
  const gateway = opened.use(await startDownloadGateway(origin.port, opened, env));
  const base = `http://127.0.0.1:${origin.port}/`;
  const text: DownloadStage["text"] = (path, lines = [], how = {}) =>
    requestText(path, [`Download-From: ${base}`, ...lines], how);
  const owned = opened.move();
  return {
    gateway,
    origin,
    files,
    base,
    text,
    get: (path, lines, how) => ask(gateway.proxyPort, text(path, lines, how)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Ready. Its database goes when `opened` does. */
export async function startDownloadGateway(
  originPort: number,
  opened: AsyncDisposableStack,
  env: Readonly<Record<string, string>>,
): Promise<GatewayProcess> {
  const database = opened.use(await testDatabase());
  const gateway = await startGatewayProcess({
    args: ["serve"],
    env: {
      DATABASE_DIRECTORY: database.path,
      DOWNLOAD_ORIGINS: `http://127.0.0.1:${originPort}`,
      DOWNLOAD_ALLOW_PRIVATE: `127.0.0.1:${originPort}`,
      ...env,
    },
  });
  try {
    await gateway.ready();
    return gateway;
  } catch (error) {
    await gateway[Symbol.asyncDispose]();
    throw error;
  }
}

export interface NginxFront extends LiveNginx {
  readonly port: number;
}

/** The files of deploy/nginx as they are, but for the gateway's address. */
export async function startNginxFront(gateway: GatewayProcess, from: string, cacheScan: string): Promise<NginxFront> {
  const deploy = new URL("../../../deploy/nginx/", import.meta.url);
  const upstream = await readFile(new URL("clamgate.conf", deploy), "utf8");
  const template = await readFile(new URL("templates/example.conf.template", deploy), "utf8");
  const port = await freePort();
  const server = fillIn(template, {
    EXAMPLE_PORT: `127.0.0.1:${port}`,
    EXAMPLE_DOWNLOAD_FROM: from,
    EXAMPLE_CACHE_SCAN: cacheScan,
  });
  const nginx = await startNginx(`${upstream.replace("clamgate:80", `127.0.0.1:${gateway.proxyPort}`)}\n${server}`, [port]);
  return { ...nginx, port };
}

async function serve(files: DownloadStage["files"], target: string, method: string): Promise<OriginAct> {
  const [path = "/"] = target.split("?", 1);
  const act = await (files.get(path) ?? (() => keep(head(404, "Content-Length: 9"), "not found")))();
  if (method !== "HEAD" || act.kind !== "send") return act;
  return { ...act, pieces: act.pieces.slice(0, 1) };
}
