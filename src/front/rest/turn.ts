/** In whose turn the engine is asked. */

import { clientBehind } from "../../auth/client.ts";
import type { IpRange } from "../../codec/ip-address.ts";
import { clientOf } from "../../http/client-address.ts";
import type { RawRequest } from "../../http/raw.ts";

/** As `ScanOptions.client`: the client that has shown who it is, wherever it comes from; else all that come from one network. */
export function turnOf(request: RawRequest, trustedProxies: readonly IpRange[]): string {
  return clientBehind(request)?.id ?? clientOf(request, trustedProxies);
}
