/** `POST /v2/scan` and the deprecated `POST /scan`: the files of a form (rest.md 16-34). */

import type { FastifySchema } from "fastify";
import { bodyKind } from "../../codec/multipart/boundary.ts";
import { readCodings } from "../../core/content-coding.ts";
import { ClamgateError, toClamgateError } from "../../core/errors.ts";
import type { Emit, Route } from "../../core/events.ts";
import type { Scan } from "../../core/scan.ts";
import type { Codings } from "../../core/scan-layers.ts";
import { type Answer, type AnswerOptions, answer, type Exchange, jsonType, textAnswer, textType } from "../../http/answer.ts";
import { clientGone } from "../../http/client-gone.ts";
import type { DrainLimits } from "../../http/multipart-reader.ts";
import { linesOf } from "../../http/raw.ts";
import { RequestBody } from "../../http/request-body.ts";
import { asResult, formatJson, formWithoutFile, namelessPart, type Result, verdictHeaders } from "./result.ts";
import { deprecatedUploadSchema, uploadSchema } from "./schemas.ts";
import { mostSevere } from "./status.ts";
import { turnOf } from "./turn.ts";
import { type PartOutcome, type ScanResult, scanUpload, type UploadOptions } from "./upload.ts";
import { scanWholeForm, type WholeForm } from "./whole-form.ts";

/** What a client must keep up with. */
export interface UploadPace {
  readonly idleTimeoutMs: number;
  readonly minBytesPerSecond: number;
}

export interface UploadRoutesOptions extends AnswerOptions {
  readonly scan: Scan;
  readonly upload: UploadPace;
  readonly maxParts: number;
  /** Of one request, see `UploadOptions`. */
  readonly maxUnfinished: number;
  readonly drain: DrainLimits;
  readonly emit: Emit;
}

/** A POST of bodies to be scanned. */
export interface ScanRoute {
  readonly path: Route;
  /** For people: the contract in the OpenAPI document. */
  readonly schema: FastifySchema;
  /** Answers it. What it rejects with is a fault of ours. */
  readonly handle: (exchange: Exchange) => Promise<void>;
}

export function uploadRoutes(options: UploadRoutesOptions): readonly ScanRoute[] {
  return [
    { path: "/v2/scan", schema: uploadSchema, handle: (exchange) => scanForm(exchange, arrayAnswer) },
    {
      path: "/scan",
      schema: deprecatedUploadSchema,
      async handle(exchange) {
        options.emit({ kind: "deprecated-endpoint" });
        const { host = exchange.request.headers[":authority"] ?? "" } = exchange.request.headers;
        // Neither is how RFC 8288 or RFC 9745 would write it; clients of clamav-rest get what they know.
        exchange.headers.deprecation = "version=v1";
        exchange.headers.link = `${host}/v2/scan; rel=successor-version`;
        await scanForm(exchange, sequenceAnswer);
      },
    },
  ];

  async function scanForm(exchange: Exchange, write: (outcomes: readonly PartOutcome[]) => Answer): Promise<void> {
    const { request, response, id } = exchange;
    const form = bodyKind(linesOf(request, "content-type"));
    switch (form.kind) {
      case "not-multipart":
        return answer(exchange, textAnswer(400, "request Content-Type isn't multipart/form-data\n"), options);
      case "no-boundary":
        return answer(exchange, textAnswer(400, "no multipart boundary param in Content-Type\n"), options);
      case "ambiguous": {
        const error = new ClamgateError("malformed", `Malformed multipart body: ${form.why}`);
        return answer(exchange, write([failed(error)]), options);
      }
      case "multipart": {
        const signal = clientGone(request, response);
        const body = new RequestBody(request, { ...options.upload, signal, response });
        const declared = request.headers["content-length"];
        const { scan, maxParts, maxUnfinished, drain } = options;
        const asked = {
          scan,
          maxParts,
          maxUnfinished,
          drain,
          boundary: form.boundary,
          requestId: id,
          client: turnOf(request, options.trustedProxies),
          signal,
          declaredBytes: declared === undefined ? null : Number(declared),
          isEveryPartScanned: false,
        };
        const outcomes = await scanCoded(body, asked, linesOf(request, "content-encoding"));
        // A read that still waits would stand in the way of the linger.
        body.leave();
        return answer(exchange, write(outcomes), options, body.isAtEnd);
      }
    }
  }
}

/** Never rejects. */
function scanCoded(
  body: RequestBody,
  options: UploadOptions,
  contentEncodings: readonly string[],
): Promise<readonly PartOutcome[]> {
  try {
    const codings = uploadCodings(contentEncodings);
    return codings === null ? scanUpload(body, options) : scanWholeForm(body, { ...options, codings }).then(outcomesIn);
  } catch (error) {
    return Promise.resolve([failed(toClamgateError(error))]);
  }
}

function failed(error: ClamgateError): PartOutcome {
  return { kind: "file", fileName: "", scanResult: { kind: "failed", error } };
}

/** A coded form as a whole has an entry of its own, without a name, unless there is nothing to be said of it. */
export function outcomesIn({ whole, parts }: WholeForm): readonly PartOutcome[] {
  const isClean = whole.kind === "scanned" && whole.report.verdict.kind === "clean";
  return isClean ? parts : [{ kind: "file", fileName: "", scanResult: whole }, ...parts];
}

/** rest.md 18, 20-23 */
function arrayAnswer(outcomes: readonly PartOutcome[]): Answer {
  const results = resultsOf(outcomes);
  const hasResult = outcomes.some(({ kind }) => kind === "file");
  return {
    ...statusAndHeaders(results, outcomes),
    contentType: hasResult ? jsonType : textType,
    body: `[${results.map(formatJson).join(",")}]`,
  };
}

/** rest.md 32: no array, no file names. */
function sequenceAnswer(outcomes: readonly PartOutcome[]): Answer {
  const results = resultsOf(outcomes);
  const body = results.map((result) => formatJson({ ...result, fileName: "" })).join("");
  return { ...statusAndHeaders(results, outcomes), contentType: jsonType, body };
}

/** Never none: a form in which nothing was scanned is not clean (decided in place of rest.md 23, 33). */
function resultsOf(outcomes: readonly PartOutcome[]): readonly Result[] {
  if (outcomes.length === 0) return [formWithoutFile];
  return outcomes.map((outcome) => (outcome.kind === "nameless" ? namelessPart : resultOf(outcome)));
}

function statusAndHeaders(results: readonly Result[], outcomes: readonly PartOutcome[]): Pick<Answer, "status" | "headers"> {
  const scanResults: ScanResult[] = [];
  for (const outcome of outcomes) if (outcome.kind === "file") scanResults.push(outcome.scanResult);
  return { status: mostSevere(results.map(({ httpStatus }) => httpStatus)), headers: verdictHeaders(scanResults) };
}

function resultOf({ fileName, scanResult }: PartOutcome & { kind: "file" }): Result {
  return asResult(scanResult, fileName);
}

/**
 * @param lines of the field `Content-Encoding`.
 * @throws ClamgateError `undecodable` where one is not known, or there are too many.
 */
export function uploadCodings(lines: readonly string[]): Codings | null {
  if (lines.length === 0) return null;
  const codings = readCodings(lines);
  if (codings === null || codings.unknown === null) return codings;
  throw new ClamgateError("undecodable", `The content coding ${JSON.stringify(codings.unknown.slice(0, 40))} is not known`);
}
