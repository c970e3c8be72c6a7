/** The HTTP server of the download proxy: every path is the proxy's, requests of a connection are answered in order (download-proxy.md P8, P9, P50). */

import { createServer, type IncomingMessage, type Server } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { resetConnection, trackConnections } from "../../http/connections.ts";
import {
  hasOtherTransferCoding,
  isTransferCodingError,
  type ParseError,
  takeExpectations,
  transferCodingFault,
} from "../../http/expectations.ts";
import { endIdleConnections } from "../../http/idle-connections.ts";
import { inTurn } from "../../http/in-turn.ts";
import { headCheckIntervalMs, keepAliveGraceMs, type ListenerLimits } from "../../http/listener.ts";
import { type OwnAnswer, ownAnswer, wrongMethod } from "./own-answer.ts";
import { createProxyFront, type ProxyFrontOptions } from "./serve-download.ts";

export interface ProxyServerOptions extends ProxyFrontOptions {
  readonly limits: ListenerLimits;
}

export interface ProxyServer {
  /** Not listening yet. */
  readonly server: Server;
  /** For requests that come from now on. Resolves when no request needs the sources of before any more. */
  useSources(sources: Pick<ProxyFrontOptions, "source" | "routes">): Promise<void>;
  /** Takes no new connections and resolves when the last answer has been given. */
  drain(): Promise<void>;
  /** Answers what is left with 503 and cuts what is half sent. Resolves when no request is left. */
  close(): Promise<void>;
}

export const proxyLimits = {
  headersTimeoutMs: 60_000,
  keepAliveTimeoutMs: 75_000,
  maxHeaderBytes: 16 * 1024,
  maxConnections: 0,
} as const satisfies ListenerLimits;

export function createProxyServer(options: ProxyServerOptions): ProxyServer {
  const { limits } = options;
  const front = createProxyFront(options);
  const turns = inTurn((request, response) => front.handle(request, response));

  const server = createServer(
    {
      headersTimeout: limits.headersTimeoutMs,
      connectionsCheckingInterval: headCheckIntervalMs(limits.headersTimeoutMs),
      // A GET has no body to speak of; what there is of one is watched where it is read.
      requestTimeout: 0,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      keepAliveTimeoutBuffer: keepAliveGraceMs,
      maxHeaderSize: limits.maxHeaderBytes,
      // Answered in our own words.
      requireHostHeader: false,
      noDelay: true,
    },
    (request, response) => {
      if (!hasOtherTransferCoding(request)) return turns.listener(request, response);
      const { socket } = request;
      turns.refuse(socket, () => writeRaw(socket, ownAnswer(501, transferCodingFault)));
    },
  );
  if (limits.maxConnections > 0) server.maxConnections = limits.maxConnections;
  const connections = trackConnections(server);
  endIdleConnections(server);
  takeExpectations(server);

  server.on("clientError", (error: ParseError, socket: Socket) => {
    // Of some of them Node finds out when their request has been handed on, and refused.
    if (isTransferCodingError(error) && socket.writableEnded) return;
    if (!socket.writable || error.code === "ECONNRESET") resetConnection(socket);
    else turns.refuse(socket, () => writeRaw(socket, answerTo(error)));
  });
  server.on("connect", (_request: IncomingMessage, socket: Duplex) => {
    turns.refuse(socket, () => writeRaw(socket, wrongMethod()));
  });

  return {
    server,
    async useSources(sources) {
      front.useSources(sources);
      await front.idle();
    },
    drain: () => connections.drain(),
    async close() {
      server.close();
      front.stop();
      const patience = setTimeout(() => connections.destroy(), closeMs);
      await front.idle();
      clearTimeout(patience);
      connections.destroy();
    },
  };
}

/** How long a client may take to receive its 503. */
const closeMs = 1000;

function answerTo(error: ParseError): OwnAnswer {
  if (isTransferCodingError(error)) return ownAnswer(501, transferCodingFault);
  switch (error.code) {
    case "HPE_HEADER_OVERFLOW":
      return ownAnswer(431, "The head of the request is too large");
    case "HPE_INVALID_URL":
      return ownAnswer(400, "The request target has characters that must be percent-encoded");
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return ownAnswer(408, "The request came too slowly");
    default:
      return ownAnswer(400, "The request is not HTTP");
  }
}

function writeRaw(socket: Duplex, { status, lines, body }: OwnAnswer): void {
  const head = [`HTTP/1.1 ${status} Refused`];
  for (let at = 0; at < lines.length; at += 2) head.push(`${lines[at]}: ${lines[at + 1]}`);
  head.push(`Content-Length: ${Buffer.byteLength(body)}`, "Connection: close", "", body);
  socket.on("error", () => {}); // the client may be gone
  socket.end(head.join("\r\n"));
}
