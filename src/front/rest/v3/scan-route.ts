/** `POST /v3/scan`: the body, or each part of a form, told in full (product.md S1). */

import { Type } from "typebox";
import { fileNameOf } from "../../../codec/content-disposition.ts";
import { possibleFormKind } from "../../../codec/multipart/boundary.ts";
import { ClamgateError, toClamgateError } from "../../../core/errors.ts";
import { answer, type Exchange, jsonType } from "../../../http/answer.ts";
import { clientGone } from "../../../http/client-gone.ts";
import { linesOf, type RawRequest } from "../../../http/raw.ts";
import { RequestBody } from "../../../http/request-body.ts";
import { described, examples, Upload } from "../schemas.ts";
import { mostSevere, type Status } from "../status.ts";
import { turnOf } from "../turn.ts";
import { type PartOutcome, type ScanResult, scanOne, scanUpload } from "../upload.ts";
import { outcomesIn, type ScanRoute, type UploadRoutesOptions, uploadCodings } from "../upload-routes.ts";
import { scanWholeForm } from "../whole-form.ts";
import { noVerdict, Problem, problemAnswer, problemOf, problemOfError, problemResponses } from "./problems.ts";
import { FormAnswer, Report, reportOf } from "./report.ts";

export interface V3ScanOptions extends UploadRoutesOptions {
  readonly maxBytes: number;
  readonly isTestOnly: () => boolean;
}

/** What is sent, as JSON. */
type Told = { readonly status: number; readonly value: Report | FormAnswer } | { readonly problem: Problem };

const longestName = 1_024;

export function v3ScanRoute(options: V3ScanOptions): ScanRoute {
  return {
    path: "/v3/scan",
    schema,
    async handle(exchange) {
      const told = await scan(exchange).catch((error: unknown) => ({ problem: problemOfError(toClamgateError(error)) }));
      if ("problem" in told) return answer(exchange, problemAnswer(told.problem), options);
      answer(exchange, { status: told.status, contentType: jsonType, body: JSON.stringify(told.value) }, options);
    },
  };

  async function scan({ request, response, id }: Exchange): Promise<Told> {
    const declared = request.headers["content-length"];
    const declaredBytes = declared === undefined ? null : Number(declared);
    const kind = possibleFormKind(linesOf(request, "content-type"));
    if (kind.kind === "ambiguous") throw new ClamgateError("malformed", `Malformed multipart body: ${kind.why}`);
    if (kind.kind === "no-boundary")
      throw new ClamgateError("malformed", "Malformed multipart body: Content-Type has no boundary");
    const isForm = kind.kind === "multipart";
    if (!isForm && declaredBytes !== null && declaredBytes > options.maxBytes) {
      throw new ClamgateError("too-large", "The body is larger than the limit");
    }
    const signal = clientGone(request, response);
    const body = new RequestBody(request, { ...options.upload, signal, response });
    const asked = { requestId: id, client: turnOf(request, options.trustedProxies), signal };
    try {
      const codings = uploadCodings(linesOf(request, "content-encoding"));
      if (!isForm) {
        const name = nameOf(request);
        const expected = declaredBytes === null ? {} : { expectedBytes: declaredBytes };
        const scanResult = await scanOne(options.scan, body, { ...asked, name: name ?? "", codings, ...expected });
        if (scanResult.kind === "failed") return { problem: problemOfError(scanResult.error) };
        const report = toReport(scanResult, name);
        return { status: report.allowed ? 200 : 406, value: report };
      }
      // What a field without a file name holds is read by somebody, too.
      const form = { ...options, ...asked, boundary: kind.boundary, declaredBytes, isEveryPartScanned: true };
      return ofForm(
        codings === null ? await scanUpload(body, form) : outcomesIn(await scanWholeForm(body, { ...form, codings })),
      );
    } finally {
      // A read that still waits would stand in the way of the linger.
      body.leave();
    }
  }

  function ofForm(outcomes: readonly PartOutcome[]): Told {
    const statuses: Status[] = [];
    const results: FormAnswer["results"] = [];
    let files = 0;
    for (const outcome of outcomes) {
      if (outcome.kind === "nameless") continue;
      const name = outcome.fileName === "" ? null : outcome.fileName;
      if (name !== null) files += 1;
      if (outcome.scanResult.kind === "failed") {
        const problem = problemOfError(outcome.scanResult.error);
        statuses.push(problem.status as Status);
        results.push({ name, problem });
      } else {
        const report = toReport(outcome.scanResult, name);
        statuses.push(report.allowed ? 200 : 406);
        results.push(report);
      }
    }
    const [only] = results;
    // The request itself is at fault: there is no file to tell it of.
    if (results.length === 1 && only !== undefined && "problem" in only && only.name === null) return { problem: only.problem };
    const status = mostSevere(statuses);
    if (files === 0 && status === 200) return { problem: problemOf("no-file") };
    return { status, value: { allowed: status === 200, results } };
  }

  function toReport({ report, decision }: ScanResult & { kind: "scanned" }, name: string | null): Report {
    const { verdict, size, sha256, engine, isCached, elapsedMs } = report;
    return reportOf({ verdict, decision, name, size, sha256, engine, isTestOnly: options.isTestOnly(), isCached, elapsedMs });
  }
}

/** From the query, else from Content-Disposition; without its directories. */
function nameOf({ url = "", headers }: RawRequest): string | null {
  const query = url.indexOf("?");
  const [name, ...others] = query < 0 ? [] : new URLSearchParams(url.slice(query)).getAll("name");
  const told =
    name !== undefined && others.length === 0
      ? fileNameOf(`attachment; filename*=UTF-8''${encodeURIComponent(name.toWellFormed())}`)
      : null;
  return (told ?? fileNameOf(headers["content-disposition"]?.toString()))?.slice(0, longestName) ?? null;
}

const schema = {
  summary: "Scans the body, or each part of a form. 200 only if all is allowed, 406 if something is blocked.",
  description: examples(
    "curl --data-binary @README.md -H 'Content-Type: application/octet-stream' 'http://localhost:9000/v3/scan?name=README.md'",
    "curl -F file=@README.md http://localhost:9000/v3/scan",
  ),
  tags: ["v3"],
  querystring: Type.Object({ name: Type.Optional(Type.String({ description: "The body's name, where it is no form" })) }),
  body: {
    content: {
      "application/octet-stream": { schema: Type.Unsafe<string>({ type: "string", format: "binary" }) },
      "multipart/form-data": { schema: Upload },
    },
  },
  response: {
    200: described("All is allowed.", "application/json", Type.Union([Report, FormAnswer])),
    406: described("Something is blocked.", "application/json", Type.Union([Report, FormAnswer])),
    413: described("A file is larger than the limit.", "application/problem+json", Problem),
    ...problemResponses(
      [400, "The request is malformed."],
      [408, "The upload came too slowly."],
      [415, "The body is in a content coding that is not known, or not whole in the one it names."],
      [422, "The form has no file."],
      [500, "A fault of the gateway."],
      noVerdict,
    ),
  },
};
