/** Whose request it is, for whoever lets clients take turns: behind a web server all are one client's. */

import type { FastifyRequest } from "fastify";
import { clientNetwork } from "../../codec/ip-address.ts";

/** As `ScanOptions.client`. */
export function clientOf({ raw }: FastifyRequest): string {
  return clientNetwork(raw.socket.remoteAddress ?? "");
}
