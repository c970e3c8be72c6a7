/** The connections of a server that speaks several protocols: idle ones are found and ended when it stops. */

import type { ServerHttp2Session } from "node:http2";
import type { Server, Socket } from "node:net";
import type { RawRequest, RawResponse } from "./raw.ts";

export interface Connections {
  /** Ends what is idle now, and each other connection with the answer it waits for. Resolves when none is left. */
  drain(): Promise<void>;
  /** Cuts whatever is left. */
  destroy(): void;
  /** Connections that are open now. */
  count(): number;
}

export function trackConnections(server: Server): Connections {
  const busy = new Map<Socket, number>();
  const sessions = new Set<ServerHttp2Session>();
  let isDraining = false;
  let onEmpty: (() => void) | null = null;

  const endIfIdle = (socket: Socket) => {
    // An HTTP/2 connection is ended by its session, which tells the client first.
    if (isDraining && busy.get(socket) === 0 && !isOfSession(socket)) socket.destroySoon();
  };
  const isOfSession = (socket: Socket) => sessions.values().some((session) => !session.destroyed && session.socket === socket);

  server.on("connection", (socket: Socket) => {
    if (busy.has(socket)) return;
    busy.set(socket, 0);
    socket.once("close", () => {
      busy.delete(socket);
      if (busy.size === 0) onEmpty?.();
    });
  });

  server.on("session", (session: ServerHttp2Session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
    if (isDraining) session.close();
  });

  server.on("request", (request: RawRequest, response: RawResponse) => {
    const { socket } = request;
    const count = busy.get(socket);
    if (count === undefined) return; // the socket of an HTTP/2 request is a stand-in; its session is closed instead
    busy.set(socket, count + 1);
    response.once("close", () => {
      const left = busy.get(socket);
      if (left === undefined) return; // the connection is gone already
      busy.set(socket, left - 1);
      endIfIdle(socket);
    });
  });

  return {
    drain() {
      isDraining = true;
      for (const session of sessions) session.close();
      for (const socket of [...busy.keys()]) endIfIdle(socket);
      if (busy.size === 0) return Promise.resolve();
      return new Promise((resolve) => {
        onEmpty = resolve;
      });
    },
    destroy() {
      for (const session of sessions) session.destroy();
      for (const socket of busy.keys()) socket.destroy();
    },
    count: () => busy.size,
  };
}
