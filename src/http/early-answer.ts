/** Answers a request whose body has not been read to its end, so that every client can read the answer. */

import type { OutgoingHttpHeaders } from "node:http";
import { Http2ServerResponse } from "node:http2";
import { isWaitingToContinue } from "./expectations.ts";
import { type LingerBounds, type LingerOutcome, linger } from "./linger.ts";
import type { RawRequest, RawResponse } from "./raw.ts";

export interface EarlyAnswer {
  readonly status: number;
  /** Names in lower case; Content-Length is added. */
  readonly headers: Readonly<OutgoingHttpHeaders>;
  readonly body: string;
}

/**
 * Sends the answer at once, discards what the client still sends (see `linger`) and ends the response. Nothing of the response may
 * have been sent before; then it never rejects. Fit for a request that has been read to its end as well.
 */
export async function answerEarly(
  request: RawRequest,
  response: RawResponse,
  answer: EarlyAnswer,
  bounds: LingerBounds,
): Promise<LingerOutcome> {
  const body = Buffer.from(answer.body, "utf8");
  const headers: OutgoingHttpHeaders = { ...answer.headers, "content-length": body.length };
  if (response instanceof Http2ServerResponse) {
    response.writeHead(answer.status, headers);
    response.end(body);
  } else {
    // A body that will not be drained closes the connection: the client is told, and need not find out on its next request.
    const isWaiting = isWaitingToContinue(request);
    if (isWaiting || Number(request.headers["content-length"] ?? 0) > bounds.maxBytes) headers.connection = "close";
    response.writeHead(answer.status, headers);
    response.write(body);
    // It may never send its body, and would wait for the end that it was told of.
    if (isWaiting) request.socket.end();
  }
  return await linger(request, response, bounds);
}
