/** `POST /scanHandlerBody`: the request's body is the file (rest.md 35-38). */

import { possibleFormKind } from "../../codec/multipart/boundary.ts";
import { ClamgateError, toClamgateError } from "../../core/errors.ts";
import { worstOf } from "../../core/scan-layers.ts";
import { answer, type Exchange, jsonType } from "../../http/answer.ts";
import { clientGone } from "../../http/client-gone.ts";
import { linesOf } from "../../http/raw.ts";
import { RequestBody } from "../../http/request-body.ts";
import { asResult, formatGoStruct, formatJson, verdictHeaders } from "./result.ts";
import { bodySchema } from "./schemas.ts";
import { mostSevere } from "./status.ts";
import { turnOf } from "./turn.ts";
import { type ScanResult, scanOne } from "./upload.ts";
import { type ScanRoute, type UploadRoutesOptions, uploadCodings } from "./upload-routes.ts";
import { scanWholeForm, type WholeForm } from "./whole-form.ts";

export interface BodyRouteOptions extends UploadRoutesOptions {
  readonly maxBytes: number;
}

export function bodyRoute(options: BodyRouteOptions): ScanRoute {
  return { path: "/scanHandlerBody", schema: bodySchema, handle };

  async function handle(exchange: Exchange): Promise<void> {
    const { request, response, id } = exchange;
    const declared = request.headers["content-length"];
    const expectedBytes = declared === undefined ? undefined : Number(declared);
    let isRead = false;
    const scanResult = isTooLarge(expectedBytes) ? tooLarge() : await scanRequest();
    const result = asResult(scanResult, "");
    // Where clamav-rest got no answer it wrote JSON, for everything else Go's own words.
    const isPlain = scanResult.kind === "scanned" && result.httpStatus !== 413;
    const body = isPlain ? formatGoStruct(result) : formatJson(result);
    const headers = verdictHeaders([scanResult]);
    answer(exchange, { status: result.httpStatus, contentType: jsonType, headers, body }, options, isRead);

    async function scanRequest(): Promise<ScanResult> {
      const signal = clientGone(request, response);
      const body = new RequestBody(request, { ...options.upload, signal, response });
      const expected = expectedBytes === undefined ? {} : { expectedBytes };
      try {
        const codings = uploadCodings(linesOf(request, "content-encoding"));
        const boundary = boundaryIn(linesOf(request, "content-type"));
        const asked = { requestId: id, client: turnOf(request, options.trustedProxies), signal, codings };
        if (boundary === null) return await scanOne(options.scan, body, { ...asked, name: "", ...expected });
        const declaredBytes = expectedBytes ?? null;
        return worstIn(await scanWholeForm(body, { ...options, ...asked, boundary, declaredBytes, isEveryPartScanned: true }));
      } catch (error) {
        return { kind: "failed", error: toClamgateError(error) };
      } finally {
        isRead = body.isAtEnd;
        body.leave();
      }
    }
  }

  function isTooLarge(bytes: number | undefined): boolean {
    return bytes !== undefined && bytes > options.maxBytes;
  }
}

function tooLarge(): ScanResult {
  return { kind: "failed", error: new ClamgateError("too-large", "The body is larger than the limit") };
}

/**
 * Null where nobody finds a form.
 * @throws ClamgateError `malformed` where readers could find two: one may even guess a boundary that is not told.
 */
function boundaryIn(contentTypes: readonly string[]): string | null {
  const form = possibleFormKind(contentTypes);
  switch (form.kind) {
    case "multipart":
      return form.boundary;
    case "not-multipart":
      return null;
    case "no-boundary":
      throw new ClamgateError("malformed", "Malformed multipart body: Content-Type has no boundary");
    case "ambiguous":
      throw new ClamgateError("malformed", `Malformed multipart body: ${form.why}`);
  }
}

/** Of the whole and all parts; size and digest are those of the whole. */
function worstIn({ whole, parts }: WholeForm): ScanResult {
  const scanResults = [whole, ...parts.flatMap((part) => (part.kind === "file" ? [part.scanResult] : []))];
  const statusOf = (scanResult: ScanResult) => asResult(scanResult, "").httpStatus;
  const status = mostSevere(scanResults.map(statusOf));
  const worst = scanResults.find((scanResult) => statusOf(scanResult) === status) ?? whole;
  if (worst.kind === "failed" || whole.kind === "failed") return worst;
  return {
    kind: "scanned",
    ...worstOf(
      whole,
      scanResults.filter((scanResult) => scanResult.kind === "scanned"),
    ),
  };
}
