/** A scripted database server on 127.0.0.1. */

import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

export interface Mirror {
  /** `http://127.0.0.1:port` */
  readonly url: string;
  readonly port: number;
  /** `GET /daily.cld`; asked to be a proxy, it refuses: `CONNECT host:port authorization`. */
  readonly requests: string[];
}

export type Answer = (request: IncomingMessage, response: ServerResponse) => unknown;

/** Closed after the test, with whoever still hangs on it. */
export async function mirror(t: TestContext, answer: Answer): Promise<Mirror> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    void answer(request, response);
  });
  server.on("connect", (request, socket) => {
    requests.push(`CONNECT ${request.url} ${request.headers["proxy-authorization"]}`);
    socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, port, requests };
}

export const status =
  (code: number, headers: Readonly<Record<string, string>> = {}): Answer =>
  (_request, response) =>
    response.writeHead(code, headers).end();

/** freshclam asks for the first 512 bytes of a database before it asks for the whole. */
export const headerThen =
  (header: Uint8Array, answer: Answer): Answer =>
  (request, response) => {
    if (request.headers.range === "bytes=0-511") response.writeHead(206).end(header.subarray(0, 512));
    else void answer(request, response);
  };

/** A body without end, of so many bytes a time: as fast as they are taken, or, one byte a time, ten a second. */
export const endless =
  (pieceBytes: number): Answer =>
  async (_request, response) => {
    response.writeHead(200);
    while (!response.destroyed) {
      if (response.write(Buffer.alloc(pieceBytes, "x")) && pieceBytes > 1) continue;
      const next = new AbortController();
      const turns = [pieceBytes === 1 ? delay(100) : once(response, "drain", next), once(response, "close", next)];
      await Promise.race(turns.map((turn) => turn.catch(() => {}))); // the other one is called off
      next.abort();
    }
  };
