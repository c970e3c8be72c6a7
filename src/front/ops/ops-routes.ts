/** What operators and orchestrators ask: is it alive, is it ready, how is it doing. */

import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import type { EngineVersion } from "../../core/verdict.ts";
import type { Readiness } from "./readiness.ts";

export interface OpsRoutesOptions {
  /** Asked at each request; must be cheap. */
  readonly readiness: () => Readiness;
  /** The Prometheus text and its content type. */
  readonly metrics: () => Promise<{ readonly contentType: string; readonly body: string }>;
  /** `Engine.version()`. */
  readonly engineVersion: () => EngineVersion | null;
  /** HEALTHCHECK_MAX_SIGNATURE_AGE. */
  readonly maxAgeHours: number;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

/** `unknown`: no engine is there to tell. */
type Freshness = "fresh" | "old" | "unknown";

interface FreshnessQuestion {
  /** Null while no engine has proved itself. */
  readonly version: EngineVersion | null;
  readonly maxAgeHours: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Readiness changes within seconds (reliability.md I7). */
const retryAfterSeconds = 5;

/** rest.md 59 gives old signatures a status that HTTP does not know. */
const freshnessStatus = { fresh: 200, old: 420, unknown: 503 } as const satisfies Record<Freshness, number>;

const LiveAnswer = Type.Object({ status: Type.Literal("ok") });

const ReadyAnswer = Type.Object({
  status: Type.Union([Type.Literal("ready"), Type.Literal("degraded"), Type.Literal("loading"), Type.Literal("not-ready")]),
  checks: Type.Array(
    Type.Object({ name: Type.String(), ok: Type.Boolean(), detail: Type.String(), action: Type.Optional(Type.String()) }),
  ),
});

/** An empty body. */
const NoAnswer = { content: { "text/plain": { schema: Type.Literal("") } } };

/** GET and HEAD of `/livez`, `/readyz`, `/metrics` and `/healthcheck`. Where errors become answers is the server's matter. */
export function opsRoutes(options: OpsRoutesOptions): FastifyPluginAsyncTypebox {
  const { now = Date.now } = options;
  return async (server) => {
    server.get(
      "/livez",
      {
        schema: {
          summary: "The process answers, whatever its engine does.",
          tags: ["operations"],
          response: { 200: LiveAnswer },
        },
      },
      async (_request, reply) => {
        reply.header("cache-control", "no-store");
        return { status: "ok" } as const;
      },
    );

    const readySchema = {
      summary: "The gateway can scan: 503 while it cannot.",
      tags: ["operations"],
      response: { 200: ReadyAnswer, 503: ReadyAnswer },
    };
    server.get("/readyz", { schema: readySchema }, async (_request, reply) => {
      const { status, checks } = options.readiness();
      reply.header("cache-control", "no-store");
      if (status === "not-ready" || status === "loading") reply.code(503).header("retry-after", retryAfterSeconds);
      return { status, checks: checks.map((check) => ({ ...check })) };
    });

    const metricsSchema = {
      summary: "Metrics in the Prometheus text format 0.0.4.",
      tags: ["operations"],
      response: { 200: { content: { "text/plain": { schema: Type.String() } } } },
    };
    server.get("/metrics", { schema: metricsSchema }, async (_request, reply) => {
      const { contentType, body } = await options.metrics();
      reply.header("content-type", contentType);
      return body;
    });

    const healthSchema = {
      summary: "The signatures are fresh: 420 when they are too old, 503 while no engine is there to tell.",
      tags: ["operations"],
      response: { 200: NoAnswer, 420: NoAnswer, 503: NoAnswer },
    };
    server.get("/healthcheck", { schema: healthSchema }, async (_request, reply) => {
      const freshness = judgeFreshness({ version: options.engineVersion(), maxAgeHours: options.maxAgeHours, now: now() });
      reply.header("cache-control", "no-store").code(freshnessStatus[freshness]);
      if (freshness === "unknown") reply.header("retry-after", retryAfterSeconds);
      return reply.type("text/plain").send("");
    });
  };
}

/** For `/healthcheck` (rest.md 59): an engine without a daily database has no fresh signatures, so it counts as old. */
export function judgeFreshness({ version, maxAgeHours, now }: FreshnessQuestion): Freshness {
  if (version === null) return "unknown";
  if (version.databaseTime === null) return "old";
  return now - version.databaseTime.getTime() <= maxAgeHours * 3_600_000 ? "fresh" : "old";
}
