/** Route handlers of Next.js, and any other handler of a fetch Request: the form comes with all its files scanned. */

import type { Scanner } from "./scanner.ts";
import { type Refusal, refusalOf, refusalResponse, type UploadReport } from "./uploads.ts";

export interface ScannedFormOptions {
  /** Answers in place of the 422, 413 or 503. */
  readonly onBlocked?: (refusal: Refusal, request: Request) => Response | Promise<Response>;
}

/** What the handler is given besides the form. */
export interface ScannedFormContext<Context> {
  readonly request: Request;
  readonly reports: readonly UploadReport[];
  /** As Next.js passes it: the route's `params`. */
  readonly context: Context;
}

/** A request without a form is 400; one with a file that is not allowed never reaches the handler. */
export function withScannedForm<Context = unknown>(
  scanner: Scanner,
  handler: (form: FormData, context: ScannedFormContext<Context>) => Response | Promise<Response>,
  options: ScannedFormOptions = {},
): (request: Request, context: Context) => Promise<Response> {
  return async (request, context) => {
    let form: FormData;
    try {
      form = await request.formData();
    } catch {
      return Response.json({ error: "not-a-form", files: [] }, { status: 400 });
    }
    const reports = await scanner.scanForm(form, { signal: request.signal });
    const refusal = refusalOf(reports);
    if (refusal !== null) return (await options.onBlocked?.(refusal, request)) ?? refusalResponse(refusal);
    return await handler(form, { request, reports, context });
  };
}
