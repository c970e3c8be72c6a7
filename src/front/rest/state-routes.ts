/** `GET /version` and `GET /`: what clamav-rest passes on from clamd, told from the gateway's own figures (rest.md 49-52). */

import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { asksForHtml } from "../../codec/accept.ts";
import type { PoolStats } from "../../core/engine.ts";
import { ClamgateError } from "../../core/errors.ts";
import type { EngineVersion } from "../../core/verdict.ts";
import { type Answer, type AnswerOptions, jsonType, sendAnswer, textAnswer } from "../../http/answer.ts";
import { errorAnswer } from "./result.ts";
import { statsSchema, versionSchema } from "./schemas.ts";

export interface StateRoutesOptions extends AnswerOptions {
  readonly engineVersion: () => EngineVersion | null;
  readonly poolStats: () => PoolStats;
  /** Names of the files that are loaded besides official databases, as far as they are known. */
  readonly signatureFiles: () => readonly string[];
  /** The page, for who asks for HTML; null where there is none. */
  readonly home: Answer | null;
}

export function addStateRoutes(server: FastifyInstance, options: StateRoutesOptions): void {
  server.get("/version", { schema: versionSchema, exposeHeadRoute: true }, async (request, reply) => {
    const version = options.engineVersion();
    return version === null
      ? sendUnavailable(request, reply)
      : send(request, reply, formatVersion(version, options.signatureFiles()));
  });

  // Not asked of clamd: its STATS can bring down releases before 1.4.6.
  server.get("/", { schema: statsSchema, exposeHeadRoute: true }, async (request, reply) => {
    reply.header("vary", "Origin, Accept");
    if (asksForHtml(request.headers.accept ?? "")) {
      return sendAnswer(request, reply, options.home ?? textAnswer(404, "404 page not found\n"), options);
    }
    const stats = options.poolStats();
    return stats.backendsUp <= 0 ? sendUnavailable(request, reply) : send(request, reply, formatStats(stats));
  });

  function send(request: FastifyRequest, reply: FastifyReply, body: string): FastifyReply {
    return sendAnswer(request, reply, { status: 200, contentType: jsonType, body }, options);
  }

  function sendUnavailable(request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const error = new ClamgateError("engine-unavailable", "The scan engine is not available");
    return sendAnswer(request, reply, errorAnswer(error), options);
  }
}

const shownFiles = 10;

/** The blanks are part of it: some clients cut this text up by hand. */
function formatVersion({ engine, database, databaseDate }: EngineVersion, files: readonly string[]): string {
  if (databaseDate === "") {
    const shown = files.length > shownFiles ? [...files.slice(0, shownFiles), `and ${files.length - shownFiles} more`] : files;
    return shown.length === 0
      ? `{ "Clamav": "${engine}" }`
      : `{ "Clamav": "${engine}", "Signature_files": ${JSON.stringify(shown.join(", "))} }`;
  }
  return `{ "Clamav": "${engine}", "Signature": "${database}" , "Signature_date": "${databaseDate}" }`;
}

/** clamd's own words, of which `Pools` alone goes without its prefix (rest.md 51). 30 is clamd's default IdleTimeout. */
function formatStats({ backendsUp, slots, inFlight, queued }: PoolStats): string {
  return JSON.stringify({
    Pools: String(backendsUp),
    State: "STATE: VALID PRIMARY",
    Threads: `THREADS: live ${inFlight}  idle ${Math.max(0, slots - inFlight)} max ${slots} idle-timeout 30`,
    Memstats: "MEMSTATS: heap N/A mmap N/A used N/A free N/A releasable N/A pools N/A pools_used N/A pools_total N/A",
    Queue: `QUEUE: ${queued} items`,
  });
}
