/** Where verdicts are remembered. */

import { join, resolve } from "node:path";
import { hasControlCharacter, type Parser, value, wrong } from "./parser.ts";

export type VerdictCacheChoice =
  /** Absolute path of the database file. */
  { readonly kind: "sqlite"; readonly path: string } | { readonly kind: "memory" } | { readonly kind: "none" };

export function verdictCacheChoice(): Parser<VerdictCacheChoice> {
  return {
    allowed: "`sqlite:` (in STATE_DIRECTORY), `sqlite:PATH`, `memory:`, `none`",
    parse(text, { cwd, stateDirectory }) {
      if (text === "none") return value({ kind: "none" });
      if (text === "memory:") return value({ kind: "memory" });
      if (!text.startsWith("sqlite:") || hasControlCharacter(text)) return wrong(text, "is not a verdict cache");
      const path = text.slice("sqlite:".length);
      return value({ kind: "sqlite", path: path === "" ? join(stateDirectory, "verdicts.sqlite") : resolve(cwd, path) });
    },
  };
}
