/** The REST front on a real port, and clients that leave nothing to a library. */

import type { RequestListener } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import Fastify, { type FastifyInstance } from "fastify";
import type { GatewayEvent } from "../../../src/core/events.ts";
import { type RestFrontOptions, restFront } from "../../../src/front/rest/front.ts";
import { eitherVersionServer } from "../../../src/http/listener.ts";
import { accessFor, entryOf, keyOf } from "../../auth/known-clients.ts";
import { createFakeScan, type FakeScan, type FakeScanOptions, realVersion } from "./fake-scan.ts";

export interface RestServer extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  readonly fake: FakeScan;
  readonly events: readonly GatewayEvent[];
}

export interface RestServerOptions {
  readonly scan?: Partial<FakeScanOptions>;
  readonly front?: Partial<RestFrontOptions>;
  /** Registered beside the front, as the operators' routes are. */
  readonly beside?: (server: FastifyInstance) => Promise<void>;
}

export const maxBytes = 100_000;

/** With TEST_AUTH=keys every server asks for a key, unless a test says whom it asks, and every request shows one: nothing else may change. */
const key = process.env.TEST_AUTH === "keys" ? keyOf("7hq2m4xd") : null;
const access = key === null ? null : accessFor([entryOf("7hq2m4xd", { scopes: ["admin"] })]);

export async function startRest({ scan = {}, front = {}, beside }: RestServerOptions = {}): Promise<RestServer> {
  const fake = createFakeScan({ maxBytes, ...scan });
  const events: GatewayEvent[] = [];
  const { plugin, take } = restFront(frontOptions(fake, events, { access, ...front }));
  const server = Fastify({
    serverFactory: (handler) => {
      const listener: RequestListener = (request, response) => void (take(request, response) || handler(request, response));
      return eitherVersionServer(key === null || front.access !== undefined ? listener : showing(key, listener), {
        http1: { requestTimeout: 0 },
        http2: {},
        firstBytesMs: 10_000,
        idleSessionMs: 60_000,
      }) as never;
    },
  });
  await server.register(plugin);
  if (beside) await server.register(beside);
  await server.listen({ host: "127.0.0.1", port: 0 });
  const { port } = server.server.address() as AddressInfo;
  const sockets = new Set<Socket>();
  server.server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    fake,
    events,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await server.close();
    },
  };
}

/** Its clients are of many kinds, and some of them are written byte by byte: the key is put in where all of them meet. */
function showing(shown: string, handler: RequestListener): RequestListener {
  return (request, response) => {
    request.rawHeaders.push("X-API-Key", shown);
    handler(request, response);
  };
}

export function frontOptions(fake: FakeScan, events: GatewayEvent[], overrides: Partial<RestFrontOptions>): RestFrontOptions {
  return {
    scan: fake.scan,
    maxBytes,
    engineVersion: () => realVersion,
    signatureFiles: () => [],
    trustedProxies: [],
    access: null,
    areMetricsOpen: true,
    poolStats: () => ({ backendsUp: 1, slots: 10, inFlight: 1, queued: 0 }),
    isTestOnly: () => false,
    knownVerdict: async () => null,
    cacheHealth: () => "ok",
    warnings: () => [],
    scanPathRoots: [],
    allowOrigins: [],
    upload: { idleTimeoutMs: 10_000, minBytesPerSecond: 0 },
    retryAfterSeconds: 7,
    emit: (event) => events.push(event),
    ...overrides,
  };
}

export interface RawAnswer {
  readonly status: number;
  readonly reason: string;
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** Sends the bytes on one connection and reads until the server ends it. */
export async function exchange(port: number, ...pieces: readonly (string | Uint8Array)[]): Promise<RawAnswer> {
  const socket = connect({ host: "127.0.0.1", port });
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  // A reset after the answer is the server's last word to a client that will not stop sending.
  socket.on("error", () => {});
  const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()));
  for (const piece of pieces) socket.write(piece);
  await closed;
  return parseAnswer(Buffer.concat(chunks));
}

export function parseAnswer(bytes: Buffer): RawAnswer {
  const text = bytes.toString("utf8");
  const end = text.indexOf("\r\n\r\n");
  const [first = "", ...lines] = text.slice(0, end).split("\r\n");
  const [, status = "0", reason = ""] = /^HTTP\/1\.1 (\d+) (.*)$/.exec(first) ?? [];
  const headers = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
  );
  return { status: Number(status), reason, headers, body: text.slice(end + 4) };
}

/** A whole request that asks for the connection to be closed after it. */
export function request(line: string, headers: Readonly<Record<string, string>> = {}, body: string | Uint8Array = ""): Buffer {
  const bytes = Buffer.from(body);
  const all: Record<string, string> = { host: "gateway.test:9000", connection: "close", ...headers };
  if (bytes.length > 0 && all["content-length"] === undefined && all["transfer-encoding"] === undefined)
    all["content-length"] = String(bytes.length);
  const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`${line} HTTP/1.1\r\n${head.join("")}\r\n`, "latin1"), bytes]);
}
