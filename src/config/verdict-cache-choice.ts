/** Where verdicts are remembered. */

import { join, resolve } from "node:path";
import { hasControlCharacter, type Parser, value, wrong } from "./parser.ts";
import { isRedisUrl, parseRedisUrl, type RedisUrl, redisForms } from "./redis-url.ts";

export type VerdictCacheChoice =
  /** Absolute path of the database file. */
  | { readonly kind: "sqlite"; readonly path: string }
  | { readonly kind: "redis"; readonly target: RedisUrl }
  | { readonly kind: "memory" }
  | { readonly kind: "none" };

export function verdictCacheChoice(): Parser<VerdictCacheChoice> {
  return {
    allowed: `\`sqlite:\` (in STATE_DIRECTORY), \`sqlite:PATH\`, \`memory:\`, \`none\`, ${redisForms}`,
    parse(text, { cwd, stateDirectory }) {
      if (text === "none") return value({ kind: "none" });
      if (text === "memory:") return value({ kind: "memory" });
      if (isRedisUrl(text)) {
        const parsed = parseRedisUrl(text, cwd);
        return parsed.kind === "wrong" ? parsed : value({ kind: "redis", target: parsed.value });
      }
      // Whatever it is meant to be, it looks like something with a password in it.
      const shown = text.includes("@") ? "***" : text;
      if (!text.startsWith("sqlite:") || hasControlCharacter(text)) return wrong(shown, "is not a verdict cache");
      const path = text.slice("sqlite:".length);
      return value({ kind: "sqlite", path: path === "" ? join(stateDirectory, "verdicts.sqlite") : resolve(cwd, path) });
    },
  };
}
