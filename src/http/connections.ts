/** The connections of a server that speaks several protocols: found and ended when it stops, cut where their answers are not taken. */

import type { ServerResponse } from "node:http";
import { constants, Http2ServerResponse, type ServerHttp2Session } from "node:http2";
import { Server, type Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { ActiveSet } from "../core/queues/active-set.ts";
import type { RawRequest, RawResponse } from "./raw.ts";

export interface Connections {
  /** Takes no new ones, ends what is idle now, and each other one with the answers it waits for. Resolves when none is left. */
  drain(): Promise<void>;
  /** Cuts whatever is left. */
  destroy(): void;
  /** Connections that are open now. */
  count(): number;
}

interface Connection {
  /** What requests come over: with TLS another one than was accepted. */
  socket: Socket;
  /** Of HTTP/2. */
  session: ServerHttp2Session | null;
  /** Of HTTP/1, in the order of their requests. No Set, for the reason that `ActiveSet` gives. */
  readonly unanswered: ServerResponse[];
}

/** @param server emits `request`, and `session` of HTTP/2. */
export function trackConnections(server: Server): Connections {
  /** By their two ends; it changes with each connection, not with each request. */
  const open = new Map<string, Connection>();
  let isDraining = false;
  let onEmpty: (() => void) | null = null;

  server.on("connection", (socket: Socket) => {
    const ends = endsOf(socket);
    if (ends === null) return; // the client has gone already
    const connection: Connection = { socket, session: null, unanswered: [] };
    open.set(ends, connection);
    socket.once("close", () => {
      if (open.get(ends) === connection) open.delete(ends);
      if (open.size === 0) onEmpty?.();
    });
  });

  server.on("secureConnection", (socket: Socket) => {
    const connection = connectionOf(socket);
    if (connection !== undefined) connection.socket = socket;
  });

  server.on("session", (session: ServerHttp2Session) => {
    const connection = connectionOf(session.socket);
    if (connection !== undefined) connection.session = session;
    if (isDraining) session.close();
  });

  server.on("request", ({ socket }: RawRequest, response: RawResponse) => {
    if (response instanceof Http2ServerResponse) return; // its session knows of it
    const connection = connectionOf(socket);
    if (connection === undefined) return;
    connection.unanswered.push(response);
    if (isDraining) response.shouldKeepAlive = false;
    response.once("close", () => {
      connection.unanswered.splice(connection.unanswered.indexOf(response), 1);
      if (isDraining) endIfIdle(connection);
    });
  });

  /** A session's own socket is no use to find it by: it is a stand-in, and equal to nothing. */
  function connectionOf(socket: Socket): Connection | undefined {
    const ends = endsOf(socket);
    return ends === null ? undefined : open.get(ends);
  }

  return {
    drain() {
      isDraining = true;
      // Not the server's own close: it cuts HTTP/1 answers that have been written to their end and not yet been taken (node 26.10).
      Server.prototype.close.call(server);
      for (const connection of open.values()) {
        announceEnd(connection);
        endIfIdle(connection);
      }
      if (open.size === 0) return Promise.resolve();
      return new Promise((resolve) => {
        onEmpty = resolve;
      });
    },
    destroy() {
      for (const { session, socket } of open.values()) {
        session?.destroy();
        socket.destroy();
      }
    },
    count: () => open.size,
  };
}

/** The last answer alone says `Connection: close`: what waits behind one that does would get none (RFC 9112 §9.6). */
function announceEnd({ unanswered }: Connection): void {
  const last = unanswered.at(-1);
  if (last !== undefined && !last.headersSent) last.shouldKeepAlive = false;
}

function endIfIdle({ session, socket, unanswered }: Connection): void {
  // A session ends its connection itself, after the answers, and tells the client first.
  if (session !== null && !session.destroyed) session.close();
  else if (unanswered.length === 0) socket.destroySoon();
}

/** The same for what was accepted and for all that is spoken over it; null when the connection has gone. */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string | null {
  return remotePort === undefined ? null : `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

/** Counted in looks, not by the clock: what the process itself stands still is not held against a client. */
const looks = 4;

/**
 * @param server emits `request`, of either version.
 * @param patienceMs from the end of an answer until its client has taken it whole, a quarter more at most.
 */
export function cutUnreadAnswers(server: Server, patienceMs: number): void {
  const open = new ActiveSet<{ readonly request: RawRequest; readonly response: RawResponse; seen: number }>();
  server.on("request", (request: RawRequest, response: RawResponse) => {
    response.once("close", open.add({ request, response, seen: 0 }));
  });
  const timer = setInterval(() => {
    for (const answer of open.items()) {
      const { request, response } = answer;
      if (!response.writableEnded || waitsItsTurn(response)) continue;
      answer.seen += 1;
      if (answer.seen > looks) cut(request, response);
    }
  }, patienceMs / looks);
  timer.unref();
  server.on("close", () => clearInterval(timer));
}

/** HTTP/1: an answer to a request that was sent ahead has no socket before those to the requests before it have been taken. */
function waitsItsTurn(response: RawResponse): boolean {
  return !(response instanceof Http2ServerResponse) && response.socket === null;
}

/** Of HTTP/2 the stream alone, as others of its connection may be read. Not CANCEL: node would keep that until the client has read something. */
function cut(request: RawRequest, response: RawResponse): void {
  if (response instanceof Http2ServerResponse) response.stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  else resetConnection(request.socket);
}

/**
 * Ends a connection at once, so that nobody takes what was sent for a whole: by a reset (RST), over TLS without its close_notify, as
 * Node can reset no TLS connection and throws.
 * Between `end()` and the shutdown it asks for, `resetAndDestroy()` fails with EINVAL and its descriptor stays open for good (node 26.10): it waits for that moment to pass.
 */
export function resetConnection(socket: Socket): void {
  if (socket instanceof TLSSocket) socket.destroy();
  else if (isShuttingDown(socket)) setImmediate(() => resetConnection(socket));
  else socket.resetAndDestroy();
}

function isShuttingDown(socket: Socket): boolean {
  return !socket.destroyed && socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
}
