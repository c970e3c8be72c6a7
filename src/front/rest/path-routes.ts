/** `GET /scanFile` and `GET /scanPath`: files that the gateway itself opens (rest.md 39-48). */

import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { ClamgateError, toClamgateError } from "../../core/errors.ts";
import type { Scan } from "../../core/scan.ts";
import type { EngineVersion } from "../../core/verdict.ts";
import { clientGone } from "../../http/client-gone.ts";
import type { OpenedFile, ScanRoots } from "../paths/scan-roots.ts";
import type { Turns } from "../paths/turns.ts";
import { type Walked, type WalkLimits, walk } from "../paths/walk.ts";
import { type AnswerOptions, sendAnswer, textType } from "./answer.ts";
import { clientOf } from "./client-of.ts";
import { findings, formatJson, type Result, resultOfError, resultOfScan } from "./result.ts";
import { scanFileSchema, scanPathSchema } from "./schemas.ts";
import { mostSevere } from "./status.ts";
import { type Judgement, judge } from "./upload.ts";
import { verdictHeaders } from "./verdict-headers.ts";

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

export interface PathScanOptions {
  readonly scan: Scan;
  readonly engineVersion: () => EngineVersion | null;
  readonly roots: ScanRoots;
  readonly walkLimits: WalkLimits;
  readonly walkTurns: Turns;
  readonly requestId: string;
  readonly client: string;
  readonly signal: AbortSignal;
}

/**
 * One judgement for a file. For a directory one for each file in its tree, and a failed one for each part of it that was not seen;
 * none for an empty one. Never rejects.
 */
export async function* judgePath(path: Buffer, options: PathScanOptions): AsyncGenerator<Judgement> {
  try {
    const opened = await options.roots.open(path);
    if (opened.kind === "file") {
      yield await judgeFile(path, opened.file, options);
      return;
    }
    const endTurn = await options.walkTurns.take(options.client, options.signal);
    try {
      yield* judgeTree(opened.path, options);
    } finally {
      endTurn();
    }
  } catch (error) {
    yield failed(error);
  }
}

async function* judgeTree(directory: Buffer, options: PathScanOptions): AsyncGenerator<Judgement> {
  let isEmpty = true;
  for await (const walked of walk(directory, options.walkLimits, options.signal)) {
    isEmpty = false;
    options.signal.throwIfAborted();
    yield await judgeWalked(walked, options);
  }
  // Else an empty directory would be called clean while nothing could be found in a full one.
  if (isEmpty && options.engineVersion() === null) {
    throw new ClamgateError("engine-unavailable", "The scan engine is not available");
  }
}

async function judgeWalked(walked: Walked, options: PathScanOptions): Promise<Judgement> {
  switch (walked.kind) {
    case "limit":
      return failed(new ClamgateError("malformed", "The directory has too many files or levels"));
    case "unreadable":
      return failed(new ClamgateError("not-found", "A directory cannot be read"));
    case "file":
      try {
        const opened = await options.roots.open(walked.path);
        if (opened.kind === "file") return await judgeFile(walked.path, opened.file, options);
        return failed(new ClamgateError("not-found", "A file became a directory"));
      } catch (error) {
        return failed(error);
      }
  }
}

async function judgeFile(path: Buffer, file: OpenedFile, options: PathScanOptions): Promise<Judgement> {
  const { scan, requestId, client, signal } = options;
  const asked = { requestId, name: path.toString(), client, signal, codings: null, expectedBytes: file.size };
  try {
    return await judge(scan, file.read(), asked);
  } finally {
    await file[Symbol.asyncDispose]();
  }
}

function failed(error: unknown): Judgement {
  return { kind: "failed", error: toClamgateError(error) };
}

/**
 * The first value of that name; null where there is none, or an empty one.
 * @param target of the request line. What it has beyond ASCII, over HTTP/2, is a character for each byte, as Node gives it.
 */
export function queryBytes(target: string, name: string): Buffer | null {
  const start = target.indexOf("?");
  if (start < 0) return null;
  for (const pair of target.slice(start + 1).split("&")) {
    const equals = pair.indexOf("=");
    const key = equals < 0 ? pair : pair.slice(0, equals);
    if (decoded(key).toString() !== name) continue;
    const bytes = decoded(equals < 0 ? "" : pair.slice(equals + 1));
    return bytes.length === 0 ? null : bytes;
  }
  return null;
}

/** As forms are encoded; what is no escape stays as it is. */
function decoded(text: string): Buffer {
  const bytes = text
    .replaceAll("+", " ")
    .replace(/%([0-9a-f]{2})/gi, (_escape, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1");
}
