/** `/v3` besides its scans: remembered verdicts, the gateway's state, and what its problems mean, in JSON that says all there is to say (product.md S). */

import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { type Static, Type } from "typebox";
import type { PoolStats } from "../../../core/engine.ts";
import { ClamgateError } from "../../../core/errors.ts";
import type { Decision } from "../../../core/scan.ts";
import type { EngineVersion, Verdict } from "../../../core/verdict.ts";
import type { CacheHealth } from "../../../core/verdict-cache.ts";
import { type AnswerOptions, jsonType, sendAnswer, textType } from "../../../http/answer.ts";
import { described, examples } from "../schemas.ts";
import { noVerdict, type Problem, problemAnswer, problemOf, problemOfError, problemPage, problemResponses } from "./problems.ts";
import { EngineInfo, engineInfoOf, Report, reportOf } from "./report.ts";

export interface V3Options extends AnswerOptions {
  readonly maxBytes: number;
  readonly engineVersion: () => EngineVersion | null;
  readonly isTestOnly: () => boolean;
  /** What is remembered of a body, under the present engine; null where nothing is. */
  readonly knownVerdict: (sha256: string) => Promise<{ readonly verdict: Verdict; readonly decision: Decision } | null>;
  readonly poolStats: () => PoolStats;
  readonly cacheHealth: () => CacheHealth;
  /** What an operator should look at. */
  readonly warnings: () => readonly string[];
}

export const State = Type.Object({
  engine: Type.Union([EngineInfo, Type.Null()]),
  signatureAgeSeconds: Type.Union([Type.Number(), Type.Null()]),
  slots: Type.Object({ total: Type.Integer(), busy: Type.Integer() }),
  queued: Type.Integer(),
  cache: Type.Union([Type.Literal("ok"), Type.Literal("degraded")], { description: "degraded: verdicts are not remembered" }),
  maxBytes: Type.Integer({ description: "MAX_FILE_SIZE: of one file" }),
  warnings: Type.Array(Type.String()),
});

const digestPattern = /^[0-9a-f]{64}$/;

export function addV3Routes(server: FastifyInstance, options: V3Options): void {
  server.get<{ Params: { sha256: string } }>(
    "/v3/verdicts/:sha256",
    { schema: verdictSchema, exposeHeadRoute: true },
    async (request, reply) => {
      const startedAt = performance.now();
      const sha256 = request.params.sha256.toLowerCase();
      if (!digestPattern.test(sha256)) {
        return sendProblem(request, reply, problemOfError(new ClamgateError("malformed", "A SHA-256 has 64 hexadecimal digits")));
      }
      const engine = options.engineVersion();
      if (engine === null) return sendProblem(request, reply, problemOfError(unavailable()));
      const known = await options.knownVerdict(sha256);
      if (known === null) return sendProblem(request, reply, problemOf("unknown-digest"));
      const elapsedMs = performance.now() - startedAt;
      const told = {
        ...known,
        name: null,
        size: null,
        sha256,
        engine,
        isTestOnly: options.isTestOnly(),
        isCached: true,
        elapsedMs,
      };
      return sendJson(request, reply, known.decision.isAllowed ? 200 : 406, reportOf(told));
    },
  );

  server.get("/v3/status", { schema: statusSchema, exposeHeadRoute: true }, async (request, reply) => {
    const engine = options.engineVersion();
    const time = engine?.databaseTime ?? null;
    const { slots, inFlight, queued } = options.poolStats();
    const state: Static<typeof State> = {
      engine: engine === null ? null : engineInfoOf(engine, options.isTestOnly()),
      signatureAgeSeconds: time === null ? null : Math.max(0, Math.round((Date.now() - time.getTime()) / 1000)),
      slots: { total: slots, busy: inFlight },
      queued,
      cache: options.cacheHealth(),
      maxBytes: options.maxBytes,
      warnings: [...options.warnings()],
    };
    return sendJson(request, reply, 200, state);
  });

  server.get<{ Params: { code: string } }>(
    "/problems/:code",
    { schema: problemSchema, exposeHeadRoute: true },
    async (request, reply) => {
      const body = problemPage(request.params.code);
      const answer =
        body === null
          ? { status: 404, contentType: textType, body: "There is no such problem.\n" }
          : { status: 200, contentType: textType, body };
      return sendAnswer(request, reply, answer, options);
    },
  );

  function sendJson(request: FastifyRequest, reply: FastifyReply, status: number, value: unknown): FastifyReply {
    return sendAnswer(request, reply, { status, contentType: jsonType, body: JSON.stringify(value) }, options);
  }

  function sendProblem(request: FastifyRequest, reply: FastifyReply, problem: Problem): FastifyReply {
    return sendAnswer(request, reply, problemAnswer(problem), options);
  }
}

function unavailable(): ClamgateError {
  return new ClamgateError("engine-unavailable", "The scan engine is not available");
}

/** EICAR's. */
const exampleDigest = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f";

const verdictSchema = {
  summary: "The report on a body that was scanned before, under the present signatures. 404 does not mean clean.",
  description: examples(`curl http://localhost:9000/v3/verdicts/${exampleDigest}`),
  tags: ["v3"],
  params: Type.Object({ sha256: Type.String({ pattern: "^[0-9a-fA-F]{64}$", examples: [exampleDigest] }) }),
  response: {
    200: described("It may pass.", "application/json", Report),
    406: described("It may not.", "application/json", Report),
    ...problemResponses([400, "This is no SHA-256."], [404, "Nothing is remembered of it."], noVerdict),
  },
};

const statusSchema = {
  summary: "Engine, signatures, load, and what an operator should look at.",
  description: examples("curl http://localhost:9000/v3/status"),
  tags: ["v3"],
  response: { 200: described("How the gateway does just now.", "application/json", State) },
};

const problemSchema = {
  summary: "A page of text on a type of problem.",
  description: examples("curl http://localhost:9000/problems/queue-full"),
  tags: ["v3"],
  params: Type.Object({ code: Type.String({ examples: ["queue-full"] }) }),
  response: {
    200: described("The page.", "text/plain", Type.String()),
    404: described("There is none.", "text/plain", Type.String()),
  },
};
