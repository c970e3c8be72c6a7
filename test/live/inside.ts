/** The engine of a stage as the gateway has it: bodies are read again and looked into. */

import { readAgain } from "../../src/clamd/read-again.ts";
import type { FileFormat } from "../../src/codec/file-format.ts";
import { createInspect } from "../../src/containers/inspect.ts";
import type { Engine } from "../../src/core/engine.ts";
import { type LookLimits, lookInside } from "../../src/core/look-inside.ts";
import { clock, type PoolStage } from "../clamd/stage.ts";
import { mebibyte } from "./clamd.ts";

export const lookLimits: LookLimits = {
  maxMs: 60_000,
  maxFiles: 10_000,
  maxRecursion: 17,
  maxBytes: 100 * mebibyte,
  maxPieceBytes: 25 * mebibyte,
};

export function insideOf(
  { pool, spool }: PoolStage,
  { formats = [], limits = {} }: { readonly formats?: readonly FileFormat[]; readonly limits?: Partial<LookLimits> } = {},
): Engine {
  const inspect = createInspect({ clock, maxFiles: 10_000, formats });
  return lookInside(readAgain(pool), { inspect, spool, limits: { ...lookLimits, ...limits }, clock });
}
