/** An engine whose word is not enough: a body that it does not find infected is looked into for what it does not open. */

import type { Engine } from "./engine.ts";
import type { SpooledBody } from "./spool.ts";
import { together, type Unscannable } from "./verdict.ts";

/**
 * What of a body the engine does not open; null where it opens all of it, at once where that needs no look into the body.
 * Rejects with the signal's reason, and with what reading the body rejects with.
 */
export type Inspect = (body: SpooledBody, signal: AbortSignal) => Promise<Unscannable | null> | null;

export function lookInside(engine: Engine, inspect: Inspect): Engine {
  return {
    version: () => engine.version(),
    async scan(body, signal, client) {
      const scan = await engine.scan(body, signal, client);
      if (scan.verdict.kind === "infected") return scan;
      const found = await inspect(body, signal);
      if (found === null) return scan;
      const before = scan.verdict.kind === "unscannable" ? scan.verdict : null;
      return { ...scan, verdict: together(before, found) ?? found };
    },
  };
}
