/** Tells that the client of one exchange has gone away, so that nobody works for it any longer. */

import { ClamgateError } from "../core/errors.ts";
import type { RawRequest, RawResponse } from "./raw.ts";

/**
 * Aborts with `client-gone` when the connection or stream ends before the response has been sent, and never after that.
 * Listens on this exchange alone, never on a socket that lives on for others, and stops with the exchange.
 * @param controller of the exchange, where it can end for other reasons as well.
 */
export function clientGone(request: RawRequest, response: RawResponse, controller = new AbortController()): AbortSignal {
  const stop = (): void => {
    request.off("aborted", leave);
    response.off("close", leave);
    response.off("finish", stop);
  };
  const leave = (): void => {
    stop();
    controller.abort(new ClamgateError("client-gone", "The client went away"));
  };
  // HTTP/2: a reset stream emits "finish" too, but "aborted" comes first. HTTP/1: "aborted" is for unfinished requests only.
  request.on("aborted", leave);
  response.on("close", leave);
  response.on("finish", stop);
  if (request.aborted || (response.destroyed && !response.writableFinished)) leave();
  return controller.signal;
}
