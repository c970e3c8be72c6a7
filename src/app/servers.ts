/** The gateway's HTTP servers: one plain, one with TLS, the same fronts on both. */

import { randomUUID } from "node:crypto";
import type { RequestListener } from "node:http";
import type { Server } from "node:net";
import swagger, { type FastifyDynamicSwaggerOptions } from "@fastify/swagger";
import fastify, { type FastifyInstance, type FastifyPluginAsync } from "fastify";
import type { Emit } from "../core/events.ts";
import { formatFault } from "../front/rest/result.ts";
import { type Connections, cutUnreadAnswers, trackConnections } from "../http/connections.ts";
import { inTurn, type Turns } from "../http/in-turn.ts";
import { type ListenerLimits, plainServer, secureServer, tlsOptions } from "../http/listener.ts";
import { unparsableAnswers } from "../http/manners.ts";
import type { RawRequest, RawResponse } from "../http/raw.ts";
import {
  type CertificatePaths,
  type CertificateState,
  type CertificateWatch,
  certificateFault,
  readCertificate,
  type TlsFiles,
  watchCertificate,
} from "./certificate.ts";
import { settingFault } from "./setting-fault.ts";

export interface ServersOptions {
  readonly host: string;
  readonly port: number;
  readonly tls: (CertificatePaths & { readonly port: number }) | null;
  readonly maxConnections: number;
  /** How long a new connection may be idle, and a request's head may take. */
  readonly headTimeoutMs: number;
  /** How long a client may take to take its answer. */
  readonly answerTimeoutMs: number;
  /** Registered on every server. */
  readonly fronts: readonly FastifyPluginAsync[];
  /** Asked first: true where it answers the request, which the fronts do not see then. */
  readonly take: (request: RawRequest, response: RawResponse) => boolean;
  readonly openapi: FastifyDynamicSwaggerOptions;
  readonly emit: Emit;
}

export interface Servers {
  /** Where they listen, as `http://[::]:9000`. */
  readonly urls: readonly string[];
  /** Null without TLS. */
  certificate(): CertificateState | null;
  /** Looks at the certificate's files now; what came of it is emitted. */
  reload(): Promise<void>;
  /** Takes no new connections and resolves when the last answer has been given. */
  drain(): Promise<void>;
  /** Cuts what is left. */
  close(): Promise<void>;
}

const limits = { keepAliveTimeoutMs: 75_000, maxHeaderBytes: 64 * 1024 } as const;

/** Rejects when an address cannot be had or the certificate is unusable; nothing listens then. */
export async function startServers(options: ServersOptions): Promise<Servers> {
  const { port, tls, emit } = options;
  const running: Running[] = [];
  try {
    running.push(await listen({ ...options, port, scheme: "http" }, null));
    if (tls !== null) {
      const certificate = await readCertificate(tls).catch((error: unknown) => {
        throw certificateFault(tls, error);
      });
      if (certificate === null && tls.ca !== null) throw certificateFault(tls, new Error("a file is not there"));
      if (certificate === null) {
        const message = `TLS is off: ${tls.certPath} or ${tls.keyPath} is not there (SSL_CERT, SSL_KEY)`;
        emit({ kind: "notice", level: "warn", message });
      } else if (tls.port === port && port !== 0) {
        throw new Error(`PORT and SSL_PORT must differ; both are ${port}.`);
      } else running.push(await listen({ ...options, port: tls.port, scheme: "https" }, { ...tls, certificate, emit }));
    }
  } catch (error) {
    for (const one of running) await one.close();
    throw error;
  }
  return {
    urls: running.map(({ url }) => url),
    certificate: () => running.map((one) => one.certificate()).find((state) => state !== null) ?? null,
    reload: async () => {
      await Promise.all(running.map((one) => one.reload()));
    },
    drain: async () => {
      await Promise.all(running.map((one) => one.drain()));
    },
    close: async () => {
      await Promise.all(running.map((one) => one.close()));
    },
  };
}

interface Running {
  readonly url: string;
  certificate(): CertificateState | null;
  reload(): Promise<void>;
  drain(): Promise<void>;
  close(): Promise<void>;
}

type ListenOptions = Omit<ServersOptions, "tls"> & {
  readonly scheme: "http" | "https";
};

async function listen(options: ListenOptions, tls: TlsFiles | null): Promise<Running> {
  const { headTimeoutMs, maxConnections } = options;
  const allLimits: ListenerLimits = { ...limits, headersTimeoutMs: headTimeoutMs, maxConnections };
  let connections: Connections | null = null;
  let turns: Turns | null = null;
  let certificate: CertificateWatch | null = null;
  const app: FastifyInstance = fastify({
    logger: false,
    genReqId: () => randomUUID(),
    ...unparsableAnswers((socket, answer) => (turns === null ? answer() : turns.refuse(socket, answer)), {
      formatFault,
      emit: options.emit,
    }),
    // Paths come as they were sent: the routes decide about their cleanness.
    routerOptions: { ignoreTrailingSlash: false, caseSensitive: true, maxParamLength: 4096 },
    serverFactory: (handler) => {
      let server: Server;
      turns = inTurn((request, response) => {
        if (!options.take(request, response)) handler(request, response);
      });
      if (tls === null) server = plainServer(turns.listener, allLimits);
      else {
        const secure = openSecureServer(turns.listener, allLimits, tls);
        certificate = watchCertificate(tls, (renewed) => secure.setSecureContext(tlsOptions(renewed)));
        server = secure;
      }
      connections = trackConnections(server);
      cutUnreadAnswers(server, options.answerTimeoutMs);
      // The servers behind it are Node's own; Fastify's types know only one of them.
      return server as ReturnType<NonNullable<Parameters<typeof fastify>[0]>["serverFactory"] & {}>;
    },
  });
  await app.register(swagger, options.openapi);
  for (const front of options.fronts) await app.register(front);
  let openapi: string | null = null;
  app.get("/openapi.json", { schema: { hide: true } }, async (_request, reply) => {
    openapi ??= JSON.stringify(app.swagger());
    return reply.type("application/json; charset=utf-8").send(openapi);
  });
  const address = await app.listen({ host: options.host, port: options.port }).catch((error: unknown) => {
    const names = tls === null ? "HOST, PORT" : "HOST, SSL_PORT";
    throw settingFault(names, `${options.host}:${options.port} cannot be listened on`, error);
  });
  const { port } = new URL(address);
  const shownHost = options.host.includes(":") ? `[${options.host}]` : options.host;
  return {
    url: `${options.scheme}://${shownHost}:${port}`,
    certificate: () => certificate?.state() ?? null,
    async reload() {
      await certificate?.look();
    },
    async drain() {
      certificate?.close();
      await connections?.drain();
    },
    async close() {
      certificate?.close();
      connections?.destroy();
      await app.close();
    },
  };
}

function openSecureServer(handler: RequestListener, allLimits: ListenerLimits, tls: TlsFiles) {
  try {
    return secureServer(handler, allLimits, tls.certificate);
  } catch (error) {
    throw certificateFault(tls, error);
  }
}
