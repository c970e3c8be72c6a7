/** `/v3`: scans, remembered verdicts and the gateway's state, in JSON that says all there is to say (product.md S). */

import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { type Static, Type } from "typebox";
import { fileNameOf } from "../../../codec/content-disposition.ts";
import { possibleFormKind } from "../../../codec/multipart/boundary.ts";
import type { PoolStats } from "../../../core/engine.ts";
import { ClamgateError, toClamgateError } from "../../../core/errors.ts";
import type { Decision } from "../../../core/scan.ts";
import type { EngineVersion, Verdict } from "../../../core/verdict.ts";
import type { CacheHealth } from "../../../core/verdict-cache.ts";
import { jsonType, sendAnswer, textType } from "../../../http/answer.ts";
import { clientGone } from "../../../http/client-gone.ts";
import { linesOf } from "../../../http/raw.ts";
import { RequestBody } from "../../../http/request-body.ts";
import { examples, Upload } from "../schemas.ts";
import { mostSevere, type Status } from "../status.ts";
import { turnOf } from "../turn.ts";
import { type PartOutcome, type ScanResult, scanOne, scanUpload } from "../upload.ts";
import { outcomesIn, type UploadRoutesOptions, uploadCodings } from "../upload-routes.ts";
import { scanWholeForm } from "../whole-form.ts";
import { Problem, problemOf, problemOfError, problemPage, problemType } from "./problems.ts";
import { EngineInfo, engineInfoOf, FormAnswer, Report, reportOf } from "./report.ts";

export interface V3Options extends UploadRoutesOptions {
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

const longestName = 1_024;
const digestPattern = /^[0-9a-f]{64}$/;

export function addV3Routes(server: FastifyInstance, options: V3Options): void {
  server.post("/v3/scan", { schema: scanSchema }, async (request, reply) => {
    try {
      return await scan(request, reply);
    } catch (error) {
      return sendProblem(request, reply, problemOfError(toClamgateError(error)));
    }
  });

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

  async function scan(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { raw } = request;
    const declared = raw.headers["content-length"];
    const declaredBytes = declared === undefined ? null : Number(declared);
    const kind = possibleFormKind(linesOf(raw, "content-type"));
    if (kind.kind === "ambiguous") throw new ClamgateError("malformed", `Malformed multipart body: ${kind.why}`);
    if (kind.kind === "no-boundary")
      throw new ClamgateError("malformed", "Malformed multipart body: Content-Type has no boundary");
    const isForm = kind.kind === "multipart";
    if (!isForm && declaredBytes !== null && declaredBytes > options.maxBytes) {
      throw new ClamgateError("too-large", "The body is larger than the limit");
    }
    const signal = clientGone(raw, reply.raw);
    const body = new RequestBody(raw, { ...options.upload, signal, response: reply.raw });
    const asked = { requestId: request.id, client: turnOf(raw, options.trustedProxies), signal };
    try {
      const codings = uploadCodings(linesOf(raw, "content-encoding"));
      if (!isForm) {
        const name = nameOf(request);
        const expected = declaredBytes === null ? {} : { expectedBytes: declaredBytes };
        const scanResult = await scanOne(options.scan, body, { ...asked, name: name ?? "", codings, ...expected });
        if (scanResult.kind === "failed") return sendProblem(request, reply, problemOfError(scanResult.error));
        const report = toReport(scanResult, name);
        return sendJson(request, reply, report.allowed ? 200 : 406, report);
      }
      // What a field without a file name holds is read by somebody, too.
      const form = { ...options, ...asked, boundary: kind.boundary, declaredBytes, isEveryPartScanned: true };
      const outcomes =
        codings === null ? await scanUpload(body, form) : outcomesIn(await scanWholeForm(body, { ...form, codings }));
      return sendForm(request, reply, outcomes);
    } finally {
      // A read that still waits would stand in the way of the linger.
      body.leave();
    }
  }

  function sendForm(request: FastifyRequest, reply: FastifyReply, outcomes: readonly PartOutcome[]): FastifyReply {
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
    if (results.length === 1 && only !== undefined && "problem" in only && only.name === null) {
      return sendProblem(request, reply, only.problem);
    }
    const status = mostSevere(statuses);
    if (files === 0 && status === 200) return sendProblem(request, reply, problemOf("no-file"));
    return sendJson(request, reply, status, { allowed: status === 200, results });
  }

  function toReport({ report, decision }: ScanResult & { kind: "scanned" }, name: string | null): Report {
    const { verdict, size, sha256, engine, isCached, elapsedMs } = report;
    return reportOf({ verdict, decision, name, size, sha256, engine, isTestOnly: options.isTestOnly(), isCached, elapsedMs });
  }

  function sendJson(request: FastifyRequest, reply: FastifyReply, status: number, value: unknown): FastifyReply {
    return sendAnswer(request, reply, { status, contentType: jsonType, body: JSON.stringify(value) }, options);
  }

  function sendProblem(request: FastifyRequest, reply: FastifyReply, problem: Problem): FastifyReply {
    const answer = { status: problem.status, contentType: problemType, body: JSON.stringify(problem) };
    return sendAnswer(request, reply, answer, options);
  }
}

/** From the query, else from Content-Disposition; without its directories. */
function nameOf(request: FastifyRequest): string | null {
  const { name } = request.query as { readonly name?: unknown };
  const told =
    typeof name === "string" ? fileNameOf(`attachment; filename*=UTF-8''${encodeURIComponent(name.toWellFormed())}`) : null;
  return (told ?? fileNameOf(request.raw.headers["content-disposition"]?.toString()))?.slice(0, longestName) ?? null;
}

function unavailable(): ClamgateError {
  return new ClamgateError("engine-unavailable", "The scan engine is not available");
}

const described = (description: string, type: string, schema: unknown) => ({ description, content: { [type]: { schema } } });
const problems = (...statuses: readonly [status: number, description: string][]) =>
  Object.fromEntries(statuses.map(([status, text]) => [status, described(text, "application/problem+json", Problem)]));
/** EICAR's. */
const exampleDigest = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f";
const noVerdict = [503, "No verdict could be made; try again after Retry-After seconds."] as const;

const scanSchema = {
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
    ...problems(
      [400, "The request is malformed."],
      [408, "The upload came too slowly."],
      [415, "The body is in a content coding that is not known, or not whole in the one it names."],
      [422, "The form has no file."],
      [500, "A fault of the gateway."],
      [...noVerdict],
    ),
  },
};

const verdictSchema = {
  summary: "The report on a body that was scanned before, under the present signatures. 404 does not mean clean.",
  description: examples(`curl http://localhost:9000/v3/verdicts/${exampleDigest}`),
  tags: ["v3"],
  params: Type.Object({ sha256: Type.String({ pattern: "^[0-9a-fA-F]{64}$", examples: [exampleDigest] }) }),
  response: {
    200: described("It may pass.", "application/json", Report),
    406: described("It may not.", "application/json", Report),
    ...problems([400, "This is no SHA-256."], [404, "Nothing is remembered of it."], [...noVerdict]),
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
