/** `GET /scanFile` and `GET /scanPath`: files that the gateway itself opens (rest.md 39-48). */

import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { ClamgateError } from "../../core/errors.ts";
import { findings } from "../../core/scan.ts";
import { type AnswerOptions, sendAnswer, textType } from "../../http/answer.ts";
import { clientGone } from "../../http/client-gone.ts";
import { type PathFinding, type PathScanOptions, scanPath } from "../paths/path-scan.ts";
import { formatJson, type Result, resultOfError, resultOfScan, verdictHeaders } from "./result.ts";
import { scanFileSchema, scanPathSchema } from "./schemas.ts";
import { mostSevere } from "./status.ts";
import { turnOf } from "./turn.ts";
import type { ScanResult } from "./upload.ts";

export type PathRoutesOptions = AnswerOptions &
  Pick<PathScanOptions, "scan" | "engineVersion" | "roots" | "walkLimits" | "walkTurns">;

/** What clamd's line about a path without a file becomes in clamav-rest (rest.md 41, 46). */
const noMatch = "Regex had no matches";
const noFile = `${noMatch}, this likely means the file path supplied to the api does not point to a file on disk.`;

export function addPathRoutes(server: FastifyInstance, options: PathRoutesOptions): void {
  server.get("/scanFile", { schema: scanFileSchema, exposeHeadRoute: true }, async (request, reply) => {
    const path = pathIn(request);
    if (path === null) return sendMissing(request, reply);
    // As Go writes a string that is not UTF-8 into JSON: with U+FFFD in it.
    const name = path.toString();
    const scanResults: ScanResult[] = [];
    let worst = clean(name);
    for await (const scanResult of scanned(path, request, reply)) {
      scanResults.push(scanResult);
      const result = scanResult.kind === "scanned" ? resultOfScan(scanResult, name) : failedResult(scanResult, name, noFile);
      if (mostSevere([worst.httpStatus, result.httpStatus]) !== worst.httpStatus) worst = result;
      // clamd's SCAN of a directory also ends at its first finding.
      if (worst.httpStatus === 406) break;
    }
    return send(request, reply, { status: worst.httpStatus, body: formatJson(worst) }, scanResults);
  });

  server.get("/scanPath", { schema: scanPathSchema, exposeHeadRoute: true }, async (request, reply) => {
    const path = pathIn(request);
    if (path === null) return sendMissing(request, reply);
    const scanResults: ScanResult[] = [];
    for await (const scanResult of scanned(path, request, reply)) scanResults.push(scanResult);
    const faults = scanResults.flatMap(allMatches);
    const results = faults.length > 0 ? faults : [clean("")];
    const status = mostSevere(results.map(({ httpStatus }) => httpStatus));
    return send(request, reply, { status, body: `[${results.map(formatJson).join(",")}]` }, scanResults);
  });

  async function* scanned(path: Buffer, request: FastifyRequest, reply: FastifyReply): AsyncGenerator<ScanResult> {
    // rest.md 45
    if (/[\r\n]/.test(path.toString("latin1"))) {
      yield { kind: "failed", error: new ClamgateError("malformed", "The path contains a control character") };
      return;
    }
    const signal = clientGone(request.raw, reply.raw);
    const asked = {
      via: "rest",
      requestId: request.id,
      client: turnOf(request.raw, options.trustedProxies),
      signal,
      maxAtOnce: 1,
    } as const;
    for await (const finding of scanPath(path, { ...options, ...asked })) yield scanResultOf(finding);
  }

  function send(
    request: FastifyRequest,
    reply: FastifyReply,
    { status, body }: { readonly status: number; readonly body: string },
    scanResults: readonly ScanResult[] = [],
  ): FastifyReply {
    return sendAnswer(request, reply, { status, contentType: textType, body, headers: verdictHeaders(scanResults) }, options);
  }

  function sendMissing(request: FastifyRequest, reply: FastifyReply): FastifyReply {
    return send(request, reply, { status: 400, body: "URL param 'path' is missing" });
  }
}

/** As Go's `Query().Get` takes it. */
function pathIn(request: FastifyRequest): Buffer | null {
  return queryBytes(request.raw.url ?? "", "path");
}

function scanResultOf(finding: PathFinding): ScanResult {
  switch (finding.kind) {
    case "scanned":
    case "failed":
      return finding;
    case "other":
      return { kind: "failed", error: new ClamgateError("not-found", "The path leads to neither a file nor a directory") };
    case "limit":
      return { kind: "failed", error: new ClamgateError("malformed", "The directory has too many files or levels") };
  }
}

/** ALLMATCHSCAN has a line for each signature, and none for a clean file (rest.md 46). */
function allMatches(scanResult: ScanResult): readonly Result[] {
  if (scanResult.kind === "failed") return [failedResult(scanResult, "", noMatch)];
  const result = resultOfScan(scanResult, "");
  if (result.httpStatus !== 406) return result.httpStatus === 200 ? [] : [result];
  return findings(scanResult).map((description) => ({ ...result, description }));
}

function failedResult({ error }: ScanResult & { kind: "failed" }, fileName: string, description: string): Result {
  const result = resultOfError(error, fileName);
  return error.code === "not-found" ? { ...result, status: "PARSE ERROR", description } : result;
}

function clean(fileName: string): Result {
  return { status: "OK", description: "", fileName, httpStatus: 200 };
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
