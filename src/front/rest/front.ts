/** The REST front as one Fastify plugin: clamav-rest's routes, and its manners for every route of the server. */

import { randomUUID } from "node:crypto";
import type { FastifyInstance, FastifyPluginAsync } from "fastify";
import type { Access } from "../../auth/access.ts";
import { clientBehind } from "../../auth/client.ts";
import type { IpRange } from "../../codec/ip-address.ts";
import type { PoolStats } from "../../core/engine.ts";
import { toClamgateError } from "../../core/errors.ts";
import type { Emit, Route } from "../../core/events.ts";
import { createTurns, type TurnLimits } from "../../core/queues/turns.ts";
import type { Scan } from "../../core/scan.ts";
import type { EngineVersion } from "../../core/verdict.ts";
import { type Answer, answer, type Exchange, exchangeOf, sendAnswer } from "../../http/answer.ts";
import { type LingerBounds, usualLinger } from "../../http/linger.ts";
import { addManners, createBegin } from "../../http/manners.ts";
import type { DrainLimits } from "../../http/multipart-reader.ts";
import type { RawRequest, RawResponse } from "../../http/raw.ts";
import { createScanRoots } from "../paths/scan-roots.ts";
import { type WalkLimits, walkLimits, walkTurnLimits } from "../paths/walk.ts";
import { createLetIn, type LetIn, unrecordedAnswer } from "./access.ts";
import { bodyRoute } from "./body-route.ts";
import { addPathRoutes } from "./path-routes.ts";
import { errorAnswer, formatFault } from "./result.ts";
import { addStateRoutes } from "./state-routes.ts";
import { type ScanRoute, type UploadPace, uploadRoutes } from "./upload-routes.ts";
import { problemAnswer, problemOfError } from "./v3/problems.ts";
import { addV3Routes, type V3Options } from "./v3/routes.ts";
import { v3ScanRoute } from "./v3/scan-route.ts";

export interface RestFrontOptions extends Pick<V3Options, "knownVerdict" | "warnings" | "cacheHealth"> {
  readonly scan: Scan;
  /** The limit of one body, which `scan` enforces; a request that declares more is refused unread. */
  readonly maxBytes: number;
  readonly engineVersion: () => EngineVersion | null;
  readonly poolStats: () => PoolStats;
  /** As `StateRoutesOptions.signatureFiles`. */
  readonly signatureFiles: () => readonly string[];
  /** As `StateRoutesOptions.home`. */
  readonly home?: Answer | null;
  /** While true, every answer says `X-Clamgate-Signatures: test-only`. */
  readonly isTestOnly: () => boolean;
  /** SCAN_PATH_ROOTS: absolute paths; none closes `/scanFile` and `/scanPath`. */
  readonly scanPathRoots: readonly string[];
  /** ALLOW_ORIGINS; none: same origin only. */
  readonly allowOrigins: readonly string[];
  readonly upload: UploadPace;
  readonly retryAfterSeconds: number;
  /** TRUSTED_PROXIES. */
  readonly trustedProxies: readonly IpRange[];
  /** Who may ask; null: everybody. */
  readonly access: Access | null;
  /** METRICS_AUTH, turned round. */
  readonly areMetricsOpen: boolean;
  /** Of the answer that has just been told of: where it is not on record it may not be given. Default: it need not be. */
  readonly wasRecorded?: () => boolean;
  readonly emit: Emit;
  /** How long a client that was answered early is read on, so that it gets to read the answer. */
  readonly linger?: LingerBounds;
  /** How long the rest of a file that is too large is read on, for the files behind it. */
  readonly drain?: DrainLimits;
  /** Parts of one form; more are malformed. */
  readonly maxParts?: number;
  /** Scans of one form that wait for their verdicts at once. */
  readonly maxUnfinished?: number;
  /** For a directory given to `/scanFile` or `/scanPath`. */
  readonly walkLimits?: WalkLimits;
  /** Directories that are walked at once, and how long the others wait: each walk holds up to some megabytes of names and results. */
  readonly walkTurns?: TurnLimits;
}

const defaults = {
  home: null,
  linger: usualLinger,
  drain: { maxMs: 10_000, maxBytes: 256 * 1024 * 1024 },
  maxParts: 10_000,
  maxUnfinished: 4,
  walkLimits,
  walkTurns: walkTurnLimits,
};

export interface RestFront {
  /**
   * Register it before all other routes: a path that no route takes, a wrong method, cross-origin headers and the mark of test signatures
   * are answered by it for the whole server. Works with any server that Fastify takes, HTTP/1.1 and HTTP/2.
   */
  readonly plugin: FastifyPluginAsync;
  /**
   * Answers an upload as the plugin's routes do, but without Fastify, which costs an eighth of what the gateway does for a small body
   * that is known. False where it is none, or asks for its route in other words (a query, an escape): those are the plugin's.
   */
  take(request: RawRequest, response: RawResponse): boolean;
}

export function restFront(given: RestFrontOptions): RestFront {
  const { access, wasRecorded } = given;
  const options = {
    ...defaults,
    ...given,
    ...(access === null ? {} : { whoSends: (request: RawRequest) => clientBehind(request)?.id ?? null }),
    ...(wasRecorded === undefined ? {} : { replacement: (route: Route) => (wasRecorded() ? null : unrecordedAnswer(route)) }),
  };
  const manners = { ...options, formatFault, allowHeaders: access === null ? [] : ["authorization", "x-api-key"] };
  const begin = createBegin(manners);
  const letIn = access === null ? null : createLetIn({ ...options, access });
  const scanRoutes = new Map(
    [...uploadRoutes(options), bodyRoute(options), v3ScanRoute(options)].map((route) => [route.path as string, route]),
  );

  const plugin: FastifyPluginAsync = async (server) => {
    addManners(server, begin, manners);
    // Behind the manners: what no route takes tells nobody anything.
    if (letIn !== null) addLetIn(server, letIn);
    await server.register(async (scope) => {
      keepBodiesRaw(scope);
      // The schemas are for people: bad requests get clamav-rest's answers, from the routes.
      scope.setValidatorCompiler(() => () => true);
      scope.setErrorHandler((thrown, request, reply) => {
        const { id, route } = exchangeOf(request, reply);
        return sendAnswer(request, reply, answerToFault(thrown, id, route), options);
      });
      for (const route of scanRoutes.values()) {
        scope.post(route.path, { schema: route.schema }, (request, reply) => {
          reply.hijack();
          return handle(exchangeOf(request, reply), route);
        });
      }
      addPathRoutes(scope, {
        ...options,
        roots: createScanRoots(options.scanPathRoots),
        walkTurns: createTurns(options.walkTurns),
      });
      addStateRoutes(scope, options);
      addV3Routes(scope, options);
    });
  };

  return {
    // What the package fastify-plugin does: the hooks above are for the server that the plugin is registered on, not for a scope of its own.
    plugin: Object.assign(plugin, { [Symbol.for("skip-override")]: true }),
    take(request, response) {
      const route = request.method === "POST" ? scanRoutes.get(request.url ?? "") : undefined;
      if (route === undefined) return false;
      const exchange = { request, response, id: randomUUID(), route: route.path, headers: {} };
      try {
        if (begin(exchange)) return true;
        const isLetIn = letIn?.(exchange, route.path) ?? true;
        if (isLetIn === true) void handle(exchange, route);
        else if (isLetIn !== false) {
          void isLetIn.then(
            (isIn) => (isIn ? handle(exchange, route) : undefined),
            (thrown) => fail(exchange, thrown),
          );
        }
      } catch (thrown) {
        fail(exchange, thrown);
      }
      return true;
    },
  };

  /** Never rejects. */
  function handle(exchange: Exchange, route: ScanRoute): Promise<void> {
    return route.handle(exchange).catch((thrown) => fail(exchange, thrown));
  }

  /** Never throws: where no answer can be given, the connection ends. */
  function fail(exchange: Exchange, thrown: unknown): void {
    const { response, id, route } = exchange;
    try {
      if (response.headersSent) response.destroy();
      else answer(exchange, answerToFault(thrown, id, route), options);
    } catch {
      response.destroy();
    }
  }

  /** No route throws on purpose: what it throws is a fault of ours, and the client is told no more than that. */
  function answerToFault(thrown: unknown, requestId: string, route: Route): Answer {
    const error = toClamgateError(thrown);
    options.emit({ kind: "notice", level: "error", message: `request ${requestId} failed: ${error.message}` });
    return route.startsWith("/v3/") ? problemAnswer(problemOfError(error)) : errorAnswer(error);
  }
}

function addLetIn(server: FastifyInstance, letIn: LetIn): void {
  server.addHook("onRequest", async (request, reply) => {
    const exchange = exchangeOf(request, reply);
    if (await letIn(exchange, request.routeOptions.url ?? "")) reply.headers(exchange.headers);
    else reply.hijack();
  });
}

/** For the routes of this scope. */
function keepBodiesRaw(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser("*", (_request, _payload, done) => done(null));
  // Fastify answers 415 to a type that it cannot parse, even so; the routes look at the raw lines for the real one.
  scope.addHook("onRequest", ({ raw }, _reply, next) => {
    raw.headers["content-type"] = "application/octet-stream";
    next();
  });
}
