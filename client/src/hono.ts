/** Hono: bodies and forms are scanned before the handler reads them. */

import type { Context, MiddlewareHandler } from "hono";
import { toScanError } from "./errors.ts";
import type { Scanner } from "./scanner.ts";
import { type Refusal, refusalOf, refusalResponse, type UploadReport } from "./uploads.ts";

/** For `new Hono<ScannedBodyEnv>()`: what `c.get("reports")` gives. */
export interface ScannedBodyEnv {
  Variables: { readonly reports: readonly UploadReport[] };
}

export interface ScannedBodyOptions {
  /** Answers in place of the 422, 413 or 503. */
  readonly onBlocked?: (refusal: Refusal, context: Context) => Response | Promise<Response>;
}

/** Afterwards the handler reads the body as ever: `c.req.formData()`, `c.req.parseBody()`, `c.req.arrayBuffer()`. */
export function scannedBody(scanner: Scanner, options: ScannedBodyOptions = {}): MiddlewareHandler<ScannedBodyEnv> {
  return async (context, next) => {
    const type = context.req.header("content-type") ?? "";
    const isForm = /^multipart\/form-data\b/i.test(type);
    const { signal } = context.req.raw;
    let reports: readonly UploadReport[];
    try {
      reports = isForm
        ? await scanner.scanForm(await context.req.formData(), { signal })
        : [await scanRaw(scanner, new Uint8Array(await context.req.arrayBuffer()), signal)];
    } catch {
      return context.json({ error: "not-a-form", files: [] }, 400);
    }
    const refusal = refusalOf(reports);
    if (refusal !== null) return (await options.onBlocked?.(refusal, context)) ?? refusalResponse(refusal);
    context.set("reports", reports);
    await next();
  };
}

async function scanRaw(scanner: Scanner, bytes: Uint8Array, signal: AbortSignal): Promise<UploadReport> {
  const upload = { field: "", name: "" };
  try {
    return { ...upload, report: await scanner.scan(bytes, { signal }) };
  } catch (error) {
    return { ...upload, error: toScanError(error) };
  }
}
