/** A body that came with a GET: little of it is read and forgotten, so that the connection can go on; more is refused (download-proxy.md P50). */

import { requestBody } from "../../http/request-body.ts";
import type { ClientExchange } from "./client-exchange.ts";

const maxBytes = 64 * 1024;
const idleTimeoutMs = 30_000;

/** False when there is more of it. Rejects with `client-gone`, `client-slow` or the signal's reason. */
export async function forgetBody({ request, response, signal }: ClientExchange): Promise<boolean> {
  const { "content-length": length = "0", "transfer-encoding": coding } = request.headers;
  if (coding === undefined && length === "0") {
    request.resume();
    return true;
  }
  if (Number(length) > maxBytes) return false;
  let bytes = 0;
  for await (const chunk of requestBody(request, { idleTimeoutMs, minBytesPerSecond: 0, signal, response })) {
    bytes += chunk.length;
    if (bytes > maxBytes) return false;
  }
  return true;
}
