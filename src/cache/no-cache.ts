/** The cache that remembers nothing: `VERDICT_CACHE=none`. */

import type { VerdictCache } from "../core/ports.ts";

export function noCache(): VerdictCache {
  return {
    get: async () => null,
    set: async () => {},
    close: async () => {},
  };
}
