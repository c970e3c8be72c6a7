/** The cache that remembers nothing: `VERDICT_CACHE=none`. */

import type { Cache } from "../core/verdict-cache.ts";

export function noCache<Value>(): Cache<Value> {
  return {
    get: async () => null,
    set: async () => {},
    close: async () => {},
  };
}
