/** Where ICAP clients connect: who may, how many at once, with TLS and without. */

import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type SecureContextOptions, type TLSSocket } from "node:tls";
import { type IpRange, isInRange, parseIpAddress } from "../../codec/ip-address.ts";
import type { Emit, IcapRefusal } from "../../core/events.ts";
import { ActiveSet } from "../../core/queues/active-set.ts";
import { ClientSocket } from "./client-socket.ts";
import { IcapConnection } from "./connection.ts";
import type { IcapFrontOptions } from "./front-options.ts";

export interface IcapServerOptions extends IcapFrontOptions {
  /** Who may connect; empty: everybody. */
  readonly peers: readonly IpRange[];
}

/** PEM. With `ca`, clients must have a certificate of it. */
export interface IcapCertificate {
  readonly cert: string;
  readonly key: string;
  readonly ca: string | null;
}

export interface IcapServer {
  /** Not listening yet. */
  readonly plain: Server;
  /** Not listening yet. Throws where the certificate is unusable. @returns what changes it for new connections. */
  secure(certificate: IcapCertificate): { readonly server: Server; use(certificate: IcapCertificate): void };
  /** Open now, with TLS and without. */
  connections(): number;
  /** Takes no new connections, ends what is idle, and each other one with its answer. Resolves when none is left. */
  drain(): Promise<void>;
  /** Ends what is left as a failure. Resolves when no connection is left. */
  close(): Promise<void>;
}

/** How long a client may take to receive its last answer. */
const closeMs = 1000;

export function createIcapServer(given: IcapServerOptions): IcapServer {
  const options = { ...given, emit: tellingStalls(given) };
  const { peers, maxConnections, headTimeoutMs, patienceMs, emit } = options;
  const servers: Server[] = [];
  /** What was accepted, by its client's end. */
  const accepted = new Map<string, Socket>();
  const running = new ActiveSet<{ readonly connection: IcapConnection; readonly ended: Promise<void> }>();
  let isDraining = false;

  /** Refused before a byte is read: a FIN without an answer is taken for "clean" by some. */
  function accept(socket: Socket): boolean {
    const address = parseIpAddress(socket.remoteAddress ?? "");
    const isPeer = peers.length === 0 || (address !== null && peers.some((range) => isInRange(address, range)));
    const reason: IcapRefusal | null = !isPeer ? "peer" : accepted.size >= maxConnections ? "limit" : null;
    if (reason !== null || isDraining) {
      socket.on("error", () => {}); // it ends here, whatever comes
      socket.resetAndDestroy();
      if (reason !== null) emit({ kind: "icap-refused", reason, peer: addressOf(socket) });
      return false;
    }
    const key = keyOf(socket);
    accepted.set(key, socket);
    socket.once("close", () => accepted.delete(key));
    return true;
  }

  function serve(socket: Socket, raw: Socket, isTls: boolean): void {
    const client = new ClientSocket({ socket, accepted: raw, answerTimeoutMs: patienceMs });
    const connection = new IcapConnection(client, { address: addressOf(raw), isTls }, options);
    const ended = Promise.all([connection.run(), new Promise((resolve) => raw.once("close", resolve))]).then(() => {});
    void ended.then(running.add({ connection, ended }));
    if (isDraining) connection.drain();
  }

  function listener(onConnection: (socket: Socket) => void): Server {
    const server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, (socket) => {
      if (accept(socket)) onConnection(socket);
    });
    servers.push(server);
    return server;
  }

  return {
    plain: listener((socket) => serve(socket, socket, false)),
    secure(certificate) {
      const tls = createTlsServer({
        ...contextOf(certificate),
        handshakeTimeout: headTimeoutMs,
        requestCert: certificate.ca !== null,
        rejectUnauthorized: certificate.ca !== null,
      });
      tls.on("secureConnection", (socket: TLSSocket) => {
        const raw = accepted.get(keyOf(socket));
        if (raw === undefined) socket.destroy();
        else serve(socket, raw, true);
      });
      tls.on("tlsClientError", (_error, socket) => {
        emit({ kind: "icap-refused", reason: "tls", peer: addressOf(socket) });
        socket.destroy();
      });
      const server = listener((socket) => {
        socket.on("error", () => {}); // the handshake tells
        tls.emit("connection", socket);
      });
      return { server, use: (next) => tls.setSecureContext(contextOf(next)) };
    },
    connections: () => accepted.size,
    async drain() {
      isDraining = true;
      for (const server of servers) server.close();
      for (const { connection } of running.items()) connection.drain();
      await Promise.all(running.items().map(({ ended }) => ended));
      for (const socket of accepted.values()) socket.destroy(); // in the middle of their handshakes
    },
    async close() {
      isDraining = true;
      for (const server of servers) server.close();
      for (const { connection } of running.items()) connection.stop();
      const patience = setTimeout(() => {
        for (const socket of accepted.values()) socket.resetAndDestroy();
      }, closeMs);
      await Promise.all(running.items().map(({ ended }) => ended));
      clearTimeout(patience);
      for (const socket of accepted.values()) socket.destroy();
    },
  };
}

/** Where a Squid before 6.13 stops for good in a download, now and then (Squid bug 5352): nobody would think of it. */
const stalledBytes = 65_535;
const toldEveryMs = 3_600_000;

function tellingStalls({ emit, clock }: IcapServerOptions): Emit {
  let toldAt = Number.NEGATIVE_INFINITY;
  return (event) => {
    emit(event);
    const isStall = event.kind === "icap" && event.method === "RESPMOD" && event.size === stalledBytes && event.code !== null;
    if (!isStall || clock() - toldAt < toldEveryMs) return;
    toldAt = clock();
    const message = "a download stopped at byte 65,535 on its way here, as those of a Squid older than 6.13 do (Squid bug 5352)";
    emit({ kind: "notice", level: "warn", message });
  };
}

function contextOf({ cert, key, ca }: IcapCertificate): SecureContextOptions {
  return { cert, key, ...(ca === null ? {} : { ca }) };
}

/** The same for what was accepted and for the TLS that is spoken over it. */
function keyOf({ remoteAddress, remotePort, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localPort}`;
}

function addressOf({ remoteAddress = "" }: Socket): string {
  return parseIpAddress(remoteAddress)?.text ?? remoteAddress;
}
