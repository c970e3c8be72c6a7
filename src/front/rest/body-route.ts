/** `POST /scanHandlerBody`: the request's body is the file (rest.md 35-38). */

import type { FastifyInstance } from "fastify";
import { ClamgateError } from "../../core/errors.ts";
import type { Scan } from "../../core/scan.ts";
import { clientGone } from "../http/client-gone.ts";
import { requestBody } from "../http/request-body.ts";
import { type AnswerOptions, jsonType, sendAnswer } from "./answer.ts";
import { type Judgement, judge } from "./judgement.ts";
import { formatGoStruct, formatJson, resultOfError, resultOfScan } from "./result.ts";
import { bodySchema } from "./schemas.ts";
import type { UploadPace } from "./upload-routes.ts";
import { verdictHeaders } from "./verdict-headers.ts";

export interface BodyRouteOptions extends AnswerOptions {
  readonly scan: Scan;
  readonly maxBytes: number;
  readonly upload: UploadPace;
}

export function addBodyRoute(server: FastifyInstance, options: BodyRouteOptions): void {
  server.post("/scanHandlerBody", { schema: bodySchema }, async (request, reply) => {
    const declared = request.raw.headers["content-length"];
    const expectedBytes = declared === undefined ? undefined : Number(declared);
    const judgement = isTooLarge(expectedBytes) ? tooLarge() : await judgeBody();
    const result = judgement.kind === "scanned" ? resultOfScan(judgement, "") : resultOfError(judgement.error, "");
    // Where clamav-rest got no answer it wrote JSON, for everything else Go's own words.
    const isPlain = judgement.kind === "scanned" && result.httpStatus !== 413;
    const body = isPlain ? formatGoStruct(result) : formatJson(result);
    const headers = verdictHeaders([judgement]);
    return sendAnswer(request, reply, { status: result.httpStatus, contentType: jsonType, headers, body }, options);

    async function judgeBody(): Promise<Judgement> {
      const signal = clientGone(request.raw, reply.raw);
      const body = requestBody(request.raw, { ...options.upload, signal, response: reply.raw });
      const expected = expectedBytes === undefined ? {} : { expectedBytes };
      try {
        return await judge(options.scan, body, { requestId: request.id, name: "", signal, ...expected });
      } finally {
        body.leave();
      }
    }
  });

  function isTooLarge(bytes: number | undefined): boolean {
    return bytes !== undefined && bytes > options.maxBytes;
  }
}

function tooLarge(): Judgement {
  return { kind: "failed", error: new ClamgateError("too-large", "The body is larger than the limit") };
}
