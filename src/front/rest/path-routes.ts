/** `GET /scanFile` and `GET /scanPath`: files that the gateway itself opens (rest.md 39-48). */

import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Scan } from "../../core/scan.ts";
import type { EngineVersion } from "../../core/verdict.ts";
import { clientGone } from "../../http/client-gone.ts";
import { type AnswerOptions, sendAnswer, textType } from "./answer.ts";
import { clientOf } from "./client-of.ts";
import type { Judgement } from "./judgement.ts";
import { judgePath } from "./path-scan.ts";
import { queryBytes } from "./query-bytes.ts";
import { findings, formatJson, type Result, resultOfError, resultOfScan } from "./result.ts";
import type { ScanRoots } from "./scan-roots.ts";
import { scanFileSchema, scanPathSchema } from "./schemas.ts";
import { mostSevere } from "./status.ts";
import type { Turns } from "./turns.ts";
import { verdictHeaders } from "./verdict-headers.ts";
import type { WalkLimits } from "./walk.ts";

export interface PathRoutesOptions extends AnswerOptions {
  readonly scan: Scan;
  readonly engineVersion: () => EngineVersion | null;
  readonly roots: ScanRoots;
  readonly walkLimits: WalkLimits;
  readonly walkTurns: Turns;
}

/** What clamd's line about a path without a file becomes in clamav-rest (rest.md 41, 46). */
const noMatch = "Regex had no matches";
const noFile = `${noMatch}, this likely means the file path supplied to the api does not point to a file on disk.`;

export function addPathRoutes(server: FastifyInstance, options: PathRoutesOptions): void {
  server.get("/scanFile", { schema: scanFileSchema, exposeHeadRoute: true }, async (request, reply) => {
    const path = pathIn(request);
    if (path === null) return sendMissing(request, reply);
    // As Go writes a string that is not UTF-8 into JSON: with U+FFFD in it.
    const name = path.toString();
    const judgements: Judgement[] = [];
    let worst = clean(name);
    for await (const judgement of judged(path, request, reply)) {
      judgements.push(judgement);
      const result = judgement.kind === "scanned" ? resultOfScan(judgement, name) : failedResult(judgement, name, noFile);
      if (mostSevere([worst.httpStatus, result.httpStatus]) !== worst.httpStatus) worst = result;
      // clamd's SCAN of a directory also ends at its first finding.
      if (worst.httpStatus === 406) break;
    }
    return send(request, reply, { status: worst.httpStatus, body: formatJson(worst) }, judgements);
  });

  server.get("/scanPath", { schema: scanPathSchema, exposeHeadRoute: true }, async (request, reply) => {
    const path = pathIn(request);
    if (path === null) return sendMissing(request, reply);
    const judgements: Judgement[] = [];
    for await (const judgement of judged(path, request, reply)) judgements.push(judgement);
    const faults = judgements.flatMap(allMatches);
    const results = faults.length > 0 ? faults : [clean("")];
    const status = mostSevere(results.map(({ httpStatus }) => httpStatus));
    return send(request, reply, { status, body: `[${results.map(formatJson).join(",")}]` }, judgements);
  });

  function judged(path: Buffer, request: FastifyRequest, reply: FastifyReply): AsyncGenerator<Judgement> {
    const signal = clientGone(request.raw, reply.raw);
    return judgePath(path, { ...options, requestId: request.id, client: clientOf(request), signal });
  }

  function send(
    request: FastifyRequest,
    reply: FastifyReply,
    { status, body }: { readonly status: number; readonly body: string },
    judgements: readonly Judgement[] = [],
  ): Promise<FastifyReply> {
    return sendAnswer(request, reply, { status, contentType: textType, body, headers: verdictHeaders(judgements) }, options);
  }

  function sendMissing(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    return send(request, reply, { status: 400, body: "URL param 'path' is missing" });
  }
}

/** As Go's `Query().Get` takes it. */
function pathIn(request: FastifyRequest): Buffer | null {
  return queryBytes(request.raw.url ?? "", "path");
}

/** ALLMATCHSCAN has a line for each signature, and none for a clean file (rest.md 46). */
function allMatches(judgement: Judgement): readonly Result[] {
  if (judgement.kind === "failed") return [failedResult(judgement, "", noMatch)];
  const result = resultOfScan(judgement, "");
  if (result.httpStatus !== 406) return result.httpStatus === 200 ? [] : [result];
  return findings(judgement).map((description) => ({ ...result, description }));
}

function failedResult({ error }: Judgement & { kind: "failed" }, fileName: string, description: string): Result {
  const result = resultOfError(error, fileName);
  return error.code === "not-found" ? { ...result, status: "PARSE ERROR", description } : result;
}

function clean(fileName: string): Result {
  return { status: "OK", description: "", fileName, httpStatus: 200 };
}
