/** Asks a gateway over HTTP, by `fetch`. */

import { ScanError, type ScanErrorCode } from "./errors.ts";
import { isRecord, parseReport, parseStatus, type Report, type Status } from "./report.ts";
import { counted, type Source, tooLarge } from "./source.ts";
import type { Target, TargetScan } from "./target.ts";

export interface GatewayOptions {
  readonly fetch: typeof fetch;
  readonly apiKey?: string | (() => Promise<string>);
}

/** No report and no problem is longer. */
const maxAnswerBytes = 4 * 1024 * 1024;

const codeOfStatus: Readonly<Record<number, ScanErrorCode>> = {
  400: "input",
  401: "unauthenticated",
  403: "forbidden",
  408: "timeout",
  413: "too-large",
  415: "input",
  422: "input",
  429: "rate-limited",
  500: "unavailable",
  502: "unavailable",
  503: "unavailable",
  504: "unavailable",
};

export function gatewayTarget(base: URL, options: GatewayOptions): Target {
  async function ask(path: string, init: RequestInit & { readonly duplex?: "half" }, signal: AbortSignal): Promise<Response> {
    const key = typeof options.apiKey === "function" ? await options.apiKey() : options.apiKey;
    const headers = new Headers(init.headers);
    if (key !== undefined) headers.set("authorization", `Bearer ${key}`);
    try {
      // A redirect would take the body and the key elsewhere.
      return await options.fetch(new URL(path, base), { ...init, headers, signal, redirect: "error" });
    } catch (error) {
      throw faultOf(error, signal);
    }
  }

  async function scan(source: Source, { name, maxBytes, signal, moved }: TargetScan): Promise<Report> {
    if (source.size !== null && source.size > maxBytes) throw tooLarge(maxBytes);
    const query = name === null ? "" : `?name=${encodeURIComponent(name)}`;
    // What reading the body throws comes back from fetch as a fault of the connection, on most platforms.
    let fault: unknown = null;
    const body =
      source.bytes ??
      streamOf(counted(source.read(), maxBytes, moved), (error) => {
        fault = error;
      });
    const init = { method: "POST", body, headers: { "content-type": "application/octet-stream" }, duplex: "half" as const };
    try {
      const response = await ask(`v3/scan${query}`, init, signal);
      return await reportOf(response, signal);
    } catch (error) {
      throw fault instanceof ScanError ? fault : error;
    }
  }

  return {
    scan,
    async lookup(sha256, signal) {
      const response = await ask(`v3/verdicts/${sha256}`, {}, signal);
      if (response.status !== 404) return await reportOf(response, signal);
      // Another server's 404 says nothing of this body.
      const { code } = await problemOf(response, signal);
      if (code !== "unknown-digest") throw new ScanError("unsupported", "the target is not a gateway that tells verdicts");
      return null;
    },
    async status(signal): Promise<Status> {
      const response = await ask("v3/status", {}, signal);
      if (response.status !== 200) throw await errorOf(response, signal);
      return parseStatus(await jsonOf(response, signal));
    },
  };
}

/** 200 is allowed and 406 is blocked: an answer that says one by its status and the other by its report is no answer. */
async function reportOf(response: Response, signal: AbortSignal): Promise<Report> {
  if (response.status !== 200 && response.status !== 406) throw await errorOf(response, signal);
  const report = parseReport(await jsonOf(response, signal));
  if (report.allowed !== (response.status === 200)) {
    throw new ScanError("protocol", `status ${response.status} contradicts the report, which says allowed: ${report.allowed}`);
  }
  return report;
}

async function errorOf(response: Response, signal: AbortSignal): Promise<ScanError> {
  const { detail } = await problemOf(response, signal);
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  const retryAfterMs = Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : null;
  const code = codeOfStatus[response.status] ?? (response.status === 404 ? "unsupported" : "protocol");
  const text = code === "unsupported" ? "the target has no /v3: it is not clamgate, or an older one" : detail;
  return new ScanError(code, text ?? `the gateway answered ${response.status}`, { retryAfterMs });
}

interface Problem {
  readonly code: string | null;
  readonly detail: string | null;
}

async function problemOf(response: Response, signal: AbortSignal): Promise<Problem> {
  const isProblem = (response.headers.get("content-type") ?? "").startsWith("application/problem+json");
  if (!isProblem) {
    await response.body?.cancel().catch(() => {}); // nobody wants it
    return { code: null, detail: null };
  }
  const value = await jsonOf(response, signal);
  if (!isRecord(value)) return { code: null, detail: null };
  const { code, detail, title } = value;
  const told = typeof detail === "string" ? detail : title;
  return { code: typeof code === "string" ? code : null, detail: typeof told === "string" ? told : null };
}

async function jsonOf(response: Response, signal: AbortSignal): Promise<unknown> {
  try {
    const { body } = response;
    if (body === null) throw new ScanError("protocol", "an answer without a body");
    const reader = body.getReader();
    const decoder = new TextDecoder();
    let text = "";
    let size = 0;
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      size += read.value.length;
      if (size > maxAnswerBytes) {
        await reader.cancel().catch(() => {}); // too much of it has been read
        throw new ScanError("protocol", "an answer longer than any report");
      }
      text += decoder.decode(read.value, { stream: true });
    }
    return JSON.parse(text + decoder.decode());
  } catch (error) {
    if (error instanceof SyntaxError) throw new ScanError("protocol", "the answer is not JSON", { cause: error });
    throw faultOf(error, signal);
  }
}

function faultOf(error: unknown, signal: AbortSignal): ScanError {
  if (signal.aborted && signal.reason instanceof ScanError) return signal.reason;
  if (error instanceof ScanError) return error;
  const { message, cause } = error instanceof Error ? error : { message: String(error), cause: undefined };
  const why = cause instanceof Error ? `${message}: ${cause.message}` : message;
  return new ScanError("connection", `the gateway cannot be reached, or broke off: ${why}`, { cause: error });
}

/** Reads no further than it is asked to. */
function streamOf(chunks: AsyncGenerator<Uint8Array>, failed: (error: unknown) => void): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await chunks.next();
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          failed(error);
          controller.error(error);
        }
      },
      async cancel() {
        await chunks.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
