/** Node's requests and responses, whatever the HTTP version. */

import { IncomingMessage, type OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";

export type RawRequest = IncomingMessage | Http2ServerRequest;
export type RawResponse = ServerResponse | Http2ServerResponse;

/**
 * The values of all lines of a field. Node's `headers` join them, or show one alone, as the field and the HTTP version have it.
 * @param name in lower case.
 */
export function linesOf({ rawHeaders }: Pick<RawRequest, "rawHeaders">, name: string): string[] {
  const lines: string[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const written = rawHeaders[at] ?? "";
    // Most names differ in length: only the others are worth a copy in lower case.
    if (written.length === name.length && written.toLowerCase() === name) lines.push(rawHeaders[at + 1] ?? "");
  }
  return lines;
}

/** Whether its body, if it has one, has come and been read to its end, or will not come any more. Of HTTP/1 a little before Node says so by "end". */
export function isWhollyRead(request: RawRequest): boolean {
  if (request.readableEnded) return true;
  return request instanceof IncomingMessage && request.complete && request.readableLength === 0;
}

/** Bytes of the body by its head; 0 where it has none, null where they are not told. */
export function declaredBytes(request: RawRequest): number | null {
  const { "content-length": length, "transfer-encoding": coding } = request.headers;
  if (length !== undefined && coding === undefined) {
    const bytes = Number(length);
    return Number.isSafeInteger(bytes) && bytes >= 0 ? bytes : null;
  }
  if ("stream" in request) return request.stream.endAfterHeaders ? 0 : null;
  return coding === undefined ? 0 : null;
}

/** Writes an answer at one go and ends it. */
export function writeWhole(response: RawResponse, status: number, headers: OutgoingHttpHeaders, body: string): void {
  // The two take the same, but for a reason in words, and TypeScript finds no call that fits both.
  if (response instanceof ServerResponse) response.writeHead(status, headers);
  else response.writeHead(status, headers);
  response.end(body);
}
