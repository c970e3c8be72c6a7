/** Node servers that answer HTTP/1.1 and HTTP/2 on one port, with and without TLS (rest.md 64). */

import { createServer as createHttp1, type RequestListener, type ServerOptions } from "node:http";
import { createServer as createHttp2, createSecureServer, type ServerOptions as Http2Options } from "node:http2";
import { createServer, type Server, type Socket } from "node:net";
import { takeExpectations } from "./expectations.ts";
import { endIdleConnections, endWhenIdle } from "./idle-connections.ts";

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
  /** PEM of the authorities of the clients' certificates; null where none are asked for. */
  readonly ca: string | null;
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
  const options = {
    allowHTTP1: true,
    handshakeTimeout,
    ...http1Options(limits),
    ...http2Options(limits),
    ...tlsOptions(certificate),
    // A client without one is told so by a status, where its route needs one at all.
    requestCert: certificate.ca !== null,
    rejectUnauthorized: false,
  };
  // The compatibility layer of node:http2 hands over requests that fit an HTTP/1.1 handler; its types do not say so.
  const server = createSecureServer(options, handler as unknown as Parameters<typeof createSecureServer>[1]);
  server.on("session", (session) => endWhenIdle(session, limits.keepAliveTimeoutMs));
  // What `clientError` says waits for a handshake that will not come, and Node leaves the end of the connection to whoever listens.
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  endIdleConnections(server);
  takeExpectations(server);
  return limited(server, limits);
}

/** As Node takes it. */
export function tlsOptions({ cert, key, ca }: Certificate): { cert: string; key: string; ca?: string } {
  return ca === null ? { cert, key } : { cert, key, ca };
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

export interface EitherVersionOptions {
  readonly http1: ServerOptions;
  readonly http2: Http2Options;
  /** A connection that has not shown its version by then is ended. */
  readonly firstBytesMs: number;
  /** An HTTP/2 connection on which nothing happens for so long is ended. */
  readonly idleSessionMs: number;
}

/**
 * The first bytes of a connection tell its version (RFC 9113 §3.3). Ours because the library for it leaves Node's own timeouts off: a head
 * that never ends was never cut. Emits `request`, `session` and `clientError` of both versions.
 */
export function eitherVersionServer(handler: RequestListener, options: EitherVersionOptions): Server {
  const { http1, http2, firstBytesMs, idleSessionMs } = options;
  const first = createHttp1(http1, handler);
  const second = createHttp2(http2, (request, response) => {
    // The compatibility layer's requests fit an HTTP/1.1 handler; its types do not say so.
    handler(request as unknown as Parameters<RequestListener>[0], response as unknown as Parameters<RequestListener>[1]);
  });
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    whenRecognised(socket, firstBytesMs, (isHttp2) => {
      // node:http2 leaves it to the socket to end when its client has; node:http does that itself.
      if (isHttp2) socket.allowHalfOpen = false;
      (isHttp2 ? second : first).emit("connection", socket);
    });
  });
  for (const inner of [first, second]) {
    inner.on("request", (request, response) => server.emit("request", request, response));
    inner.on("error", () => {}); // it never listens itself
    takeExpectations(inner);
  }
  endIdleConnections(first);
  second.on("session", (session) => {
    endWhenIdle(session, idleSessionMs);
    server.emit("session", session);
  });
  first.on("clientError", (error, socket: Socket) => {
    if (!server.emit("clientError", error, socket)) socket.destroy();
  });
  // Starts and ends the watch over the time that heads may take.
  server.on("listening", () => first.emit("listening"));
  server.on("close", () => first.close(() => {}));
  return server;
}

const preface = Buffer.from("PRI ");

function whenRecognised(socket: Socket, timeoutMs: number, onRecognised: (isHttp2: boolean) => void): void {
  const giveUp = () => socket.destroy();
  let last: NodeJS.Immediate | undefined;
  const timer = setTimeout(() => {
    // When the event loop was held up, timers come before the bytes that have been waiting for it.
    last = setImmediate(giveUp);
  }, timeoutMs);
  let bytes: Buffer = Buffer.alloc(0);
  const onReadable = () => {
    const more: Buffer | null = socket.read();
    if (more === null) return;
    bytes = Buffer.concat([bytes, more]);
    const length = Math.min(bytes.length, preface.length);
    const mayBeHttp2 = bytes.compare(preface, 0, length, 0, length) === 0;
    if (mayBeHttp2 && bytes.length < preface.length) return;
    leave();
    socket.unshift(bytes);
    onRecognised(mayBeHttp2);
  };
  const leave = () => {
    clearTimeout(timer);
    clearImmediate(last);
    socket.off("readable", onReadable).off("end", giveUp).off("error", giveUp).off("close", leave);
  };
  socket.on("readable", onReadable).on("end", giveUp).on("error", giveUp).on("close", leave);
}
