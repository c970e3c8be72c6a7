/** The page in front of a REST front whose scans and refusals follow a script. */

import type { AddressInfo, Socket } from "node:net";
import Fastify, { type FastifyReply, type FastifyRequest } from "fastify";
import type { EngineVersion } from "../../../src/core/verdict.ts";
import { loadPage } from "../../../src/front/page/page.ts";
import { type RestFrontOptions, restFront } from "../../../src/front/rest/front.ts";
import { usualLinger } from "../../../src/http/linger.ts";
import { createFakeScan, type FakeScanOptions, realVersion } from "../rest/fake-scan.ts";
import { frontOptions } from "../rest/rest-server.ts";

export interface PageStage extends AsyncDisposable {
  readonly url: string;
  /** What was asked for so far, as `POST /v3/scan`. */
  readonly asked: readonly string[];
  /** Cuts every connection. */
  cut(): void;
}

export interface PageStageOptions {
  readonly scan?: Partial<FakeScanOptions>;
  readonly front?: Partial<RestFrontOptions>;
  readonly engine?: EngineVersion;
  /** Answers in place of the front where it returns true. */
  readonly refuse?: (request: FastifyRequest, reply: FastifyReply) => boolean;
}

const hourMs = 3_600_000;
export const maxBytes = 25 * 1024 * 1024;

/** Of a gateway whose signatures are so old. */
export function version(ageHours: number): EngineVersion {
  return { ...realVersion, engine: "1.4.6", databaseTime: new Date(Date.now() - ageHours * hourMs) };
}

export async function startPage({
  scan = {},
  front = {},
  engine = version(5),
  refuse,
}: PageStageOptions = {}): Promise<PageStage> {
  const fake = createFakeScan({ maxBytes, engine, ...scan });
  const page = await loadPage({ retryAfterSeconds: 5, linger: usualLinger, trustedProxies: [], emit: () => {} });
  const asked: string[] = [];
  const server = Fastify();
  server.addHook("onRequest", (request, reply, next) => {
    asked.push(`${request.method} ${request.url.split("?", 1)[0]}`);
    if (refuse?.(request, reply) !== true) next();
  });
  const options = { home: page.home, maxBytes, engineVersion: () => engine, ...front };
  await server.register(restFront(frontOptions(fake, [], options)).plugin);
  await server.register(page.routes);
  await server.listen({ host: "127.0.0.1", port: 0 });
  const sockets = new Set<Socket>();
  server.server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${(server.server.address() as AddressInfo).port}/`,
    asked,
    cut,
    [Symbol.asyncDispose]: async () => {
      cut();
      await server.close();
    },
  };
}

/** Answers as a problem (RFC 9457). */
export function problem(
  reply: FastifyReply,
  status: number,
  title: string,
  headers: Readonly<Record<string, string>> = {},
): true {
  const body = { type: "/problems/x", title, status, detail: "Nothing came for a minute", code: "x" };
  reply.code(status).headers(headers).type("application/problem+json").send(JSON.stringify(body));
  return true;
}
