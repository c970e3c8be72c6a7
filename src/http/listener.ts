/** Node servers that answer HTTP/1.1 and HTTP/2 on one port, with and without TLS (rest.md 64). */

import type { RequestListener } from "node:http";
import { createSecureServer } from "node:http2";
import type { Server } from "node:net";
import { eitherVersionServer } from "./either-version.ts";
import { takeExpectations } from "./expectations.ts";
import { endIdleConnections } from "./idle-connections.ts";
import { endWhenIdle } from "./idle-sessions.ts";

export interface ListenerLimits {
  /** From the first byte of a request to the end of its head; and, before that, how long a new connection may be idle. */
  readonly headersTimeoutMs: number;
  /** Between the answers on a connection. */
  readonly keepAliveTimeoutMs: number;
  /** Of a request's head. */
  readonly maxHeaderBytes: number;
  /** Connections at once; 0 is no limit. */
  readonly maxConnections: number;
}

export interface Certificate {
  /** PEM, with the chain. */
  readonly cert: string;
  /** PEM. */
  readonly key: string;
}

/** HTTP/1.1, and HTTP/2 by prior knowledge. */
export function plainServer(handler: RequestListener, limits: ListenerLimits): Server {
  const options = {
    http1: http1Options(limits),
    http2: http2Options(limits),
    firstBytesMs: limits.headersTimeoutMs,
    idleSessionMs: limits.keepAliveTimeoutMs,
  };
  return limited(eitherVersionServer(handler, options), limits);
}

/** HTTP/1.1 and HTTP/2 by ALPN. `setSecureContext` of what it returns changes the certificate for new connections. */
export function secureServer(handler: RequestListener, limits: ListenerLimits, certificate: Certificate) {
  const handshakeTimeout = limits.headersTimeoutMs;
  const options = { allowHTTP1: true, handshakeTimeout, ...http1Options(limits), ...http2Options(limits), ...certificate };
  // The compatibility layer of node:http2 hands over requests that fit an HTTP/1.1 handler; its types do not say so.
  const server = createSecureServer(options, handler as unknown as Parameters<typeof createSecureServer>[1]);
  server.on("session", (session) => endWhenIdle(session, limits.keepAliveTimeoutMs));
  // What `clientError` says waits for a handshake that will not come, and Node leaves the end of the connection to whoever listens.
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  endIdleConnections(server);
  takeExpectations(server);
  return limited(server, limits);
}

/**
 * How often heads that take too long are looked for. Node looks every 30 s unless told, and cuts all it finds at one go: with thousands
 * of heads that never end the others would wait for that as long as it takes (0.2 s for 660 of them, measured).
 */
export function headCheckIntervalMs(headersTimeoutMs: number): number {
  return Math.ceil(headersTimeoutMs / 100);
}

function limited<S extends Server>(server: S, { maxConnections }: ListenerLimits): S {
  if (maxConnections > 0) server.maxConnections = maxConnections;
  return server;
}

/**
 * How much longer an idle connection is kept than its client is told. A request that crosses with the close is lost, and the client of a
 * POST may not send it again: Node's own second is too little for machines that stand still for a moment.
 */
export const keepAliveGraceMs = 10_000;

function http1Options({ headersTimeoutMs, keepAliveTimeoutMs, maxHeaderBytes }: ListenerLimits) {
  // An upload may take as long as it moves: its pace is watched where its body is read.
  const requestTimeout = 0;
  return {
    headersTimeout: headersTimeoutMs,
    requestTimeout,
    connectionsCheckingInterval: headCheckIntervalMs(headersTimeoutMs),
    keepAliveTimeout: keepAliveTimeoutMs,
    keepAliveTimeoutBuffer: keepAliveGraceMs,
    maxHeaderSize: maxHeaderBytes,
  };
}

/** Requests of one session at a time: RFC 9113 §5.1.2 wants no fewer. */
const maxStreams = 100;

function http2Options({ maxHeaderBytes }: ListenerLimits) {
  return {
    settings: { maxConcurrentStreams: maxStreams, maxHeaderListSize: maxHeaderBytes },
    maxSessionMemory: 16,
    // A client may leave all that it has asked for, and do so again. A proxy in front resets what its own clients leave.
    streamResetBurst: 2 * maxStreams,
    streamResetRate: 33,
    // Each has Node reset a stream or skip a frame; no client that works sends any.
    maxSessionInvalidFrames: 32,
  } as const;
}
