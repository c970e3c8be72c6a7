/** The ICAP server as its users run it: the real gateway and clamd, and an origin that sends as networks do. */

import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { testDatabase } from "../../fault/test-database.ts";
import { listening } from "../../listening.ts";
import { type GatewayProcess, startGatewayProcess } from "../gateway-process.ts";

export interface IcapGateway extends GatewayProcess {
  readonly icapPort: number;
  /** 0 where it is off. */
  readonly icapsPort: number;
}

/** Its database, if it has one of its own, finds EICAR and the marker of test/live/clamd.ts wherever they stand. It is not ready yet. */
export async function startIcapGateway(
  opened: AsyncDisposableStack,
  env: Readonly<Record<string, string>> = {},
): Promise<IcapGateway> {
  const database = env.CLAMD_PORT === undefined ? { DATABASE_DIRECTORY: opened.use(await testDatabase()).path } : {};
  const gateway = opened.use(
    await startGatewayProcess({ args: ["serve"], env: { ICAP_PORT: "0", DOWNLOAD_PROXY_PORT: "off", ...database, ...env } }),
  );
  const portOf = async (scheme: string) =>
    Number(new RegExp(`${scheme}://127\\.0\\.0\\.1:(\\d+)`).exec(await gateway.line(`ICAP on ${scheme}://`))?.[1]);
  const icapPort = await portOf("icap");
  const icapsPort = env.ICAP_SSL_PORT === undefined ? 0 : await portOf("icaps");
  return Object.assign(gateway, { icapPort, icapsPort });
}

export interface PacedOrigin extends AsyncDisposable {
  readonly base: string;
  /** Bodies by path. A path that ends in `-unknown` is sent without its length; any other answer names the path and the range that was asked for. */
  readonly files: Map<string, Buffer>;
  /** Requests with a body that have come, and what of it. */
  readonly uploads: { readonly path: string; readonly body: Buffer }[];
}

/**
 * Squid 5.7 never goes on once 64 KiB wait in it for the ICAP server (bug 5352): ours sends pieces of 16 KiB, and after the second one
 * gives the preview time to be answered.
 */
const pieceBytes = 16 * 1024;
const previewMs = 1_500;

export async function startPacedOrigin(): Promise<PacedOrigin> {
  const files = new Map<string, Buffer>();
  const uploads: { readonly path: string; readonly body: Buffer }[] = [];
  const server = createServer((request, response) => void serve(request, response).catch(() => response.destroy()));
  const port = await listening(server);

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "/";
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.method !== "GET" && request.method !== "HEAD") {
      uploads.push({ path, body: Buffer.concat(chunks) });
      response.end("taken");
      return;
    }
    const [, status] = /\/status-(\d+)/.exec(path) ?? [];
    if (status !== undefined) {
      response.writeHead(Number(status)).end();
      return;
    }
    const body = files.get(path) ?? Buffer.from(`the page at ${path}, range ${request.headers.range ?? "none"}`);
    response.writeHead(200, path.endsWith("-unknown") ? {} : { "content-length": body.length });
    response.flushHeaders();
    if (request.method === "GET") {
      for (let at = 0; at < body.length && !response.destroyed; at += pieceBytes) {
        response.write(body.subarray(at, at + pieceBytes));
        await delay(at === pieceBytes && body.length > 2 * pieceBytes ? previewMs : 2);
      }
    }
    response.end();
  }

  return {
    base: `http://127.0.0.1:${port}`,
    files,
    uploads,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
