/** How the tests of parsers ask them. */

import assert from "node:assert/strict";
import type { Base, Parser } from "../../src/config/parser.ts";

export const base: Base = { cwd: "/srv/clamgate", cores: 4, stateDirectory: "/srv/clamgate/state", maxScanTimeMs: 60_000 };

export function valueFrom<Value>(parser: Parser<Value>, text: string): Value {
  const parsed = parser.parse(text, base);
  if (parsed.kind === "wrong") assert.fail(`${JSON.stringify(text)} ${parsed.wrongs.map(({ why }) => why).join(", ")}`);
  return parsed.value;
}

/** Each fault as `piece why`; fails when the text is taken. */
export function faultsOf<Value>(parser: Parser<Value>, text: string): readonly string[] {
  const parsed = parser.parse(text, base);
  if (parsed.kind === "value") assert.fail(`${JSON.stringify(text)} is taken for ${JSON.stringify(parsed.value)}`);
  return parsed.wrongs.map((wrong) => `${wrong.text} ${wrong.why}`);
}

export function isTaken<Value>(parser: Parser<Value>, text: string): boolean {
  return parser.parse(text, base).kind === "value";
}
