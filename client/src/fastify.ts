/** Fastify, over @fastify/multipart: a request's files come to the handler once all of them are scanned. */

import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from "fastify";
import { toScanError } from "./errors.ts";
import type { Scanner } from "./scanner.ts";
import type { ScannedThrough } from "./through.ts";
import { type Refusal, refusalOf, type UploadReport } from "./uploads.ts";

declare module "fastify" {
  interface FastifyRequest {
    /**
     * The files of the form, once all of them are allowed: until then each is held as `through` holds it. The first one that is not
     * ends the iteration before it has given any, with an error that Fastify answers: 422 where it is blocked, 413 where it is too
     * large, 503 where there is no verdict.
     */
    scannedFiles(): AsyncIterableIterator<ScannedFile>;
  }
}

export interface ScannedFile {
  readonly field: string;
  readonly name: string;
  readonly type: string;
  readonly report: Extract<UploadReport, { report: unknown }>["report"];
  /** To be read to its end, or destroyed. */
  readonly file: ScannedThrough;
}

export interface ClamgateOptions {
  readonly scanner: Scanner;
  /** For @fastify/multipart, where it is not registered yet: `limits` and the like. */
  readonly multipart?: Readonly<Record<string, unknown>>;
  /** Makes the error that ends the request, in place of ours. */
  readonly onBlocked?: (refusal: Refusal, request: FastifyRequest) => Error;
}

/** What @fastify/multipart gives. */
interface Part {
  readonly fieldname: string;
  readonly filename: string;
  readonly mimetype: string;
  readonly file: NodeJS.ReadableStream & { readonly truncated: boolean };
}

const plugin: FastifyPluginAsync<ClamgateOptions> = async (server: FastifyInstance, { scanner, multipart, onBlocked }) => {
  if (!server.hasRequestDecorator("files")) {
    const { default: fastifyMultipart } = await import("@fastify/multipart");
    await server.register(fastifyMultipart, multipart ?? {});
  }
  server.decorateRequest("scannedFiles", async function* scannedFiles(this: FastifyRequest): AsyncIterableIterator<ScannedFile> {
    const parts = (this as FastifyRequest & { files(): AsyncIterableIterator<Part> }).files();
    const allowed: ScannedFile[] = [];
    let isTaken = false;
    try {
      for await (const part of parts) {
        const scanned = scanner.through({ name: part.filename });
        scanned.on("error", () => {}); // the report tells it
        part.file.once("error", (error) => scanned.destroy(error));
        part.file.pipe(scanned);
        const upload = { field: part.fieldname, name: part.filename };
        const told: UploadReport = await scanned.report.then(
          (report) => ({ ...upload, report }),
          (error) => ({ ...upload, error: toScanError(error) }),
        );
        const refusal = refusalOf([told]);
        if (refusal !== null) {
          part.file.resume();
          throw onBlocked?.(refusal, this) ?? refusalError(refusal);
        }
        if ("report" in told) allowed.push({ ...upload, type: part.mimetype, report: told.report, file: scanned });
      }
      yield* allowed;
      isTaken = true;
    } finally {
      // What was held for a handler that does not get it, or does not want it.
      if (!isTaken) for (const { file } of allowed) file.destroy();
    }
  });
};

/** Registered with its decorators for the whole server. */
export const clamgate: FastifyPluginAsync<ClamgateOptions> = Object.assign(plugin, {
  [Symbol.for("skip-override")]: true,
  [Symbol.for("fastify.display-name")]: "@clamgate/client",
});

/** Fastify answers an error's statusCode, message and headers. */
function refusalError({ status, retryAfterSeconds, body }: Refusal): Error {
  const [file] = body.files;
  const message = file === undefined ? body.error : `${body.error}: ${file.name}: ${file.reason}`;
  const headers = retryAfterSeconds === null ? {} : { "retry-after": String(retryAfterSeconds) };
  return Object.assign(new Error(message), { statusCode: status, code: body.error, headers, refusal: body });
}
