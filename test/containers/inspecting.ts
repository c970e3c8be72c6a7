/** Looks into bytes as the gateway does, both ways that a body may lie: in memory and in a file. */

import assert from "node:assert/strict";
import { createInspect } from "../../src/containers/inspect.ts";
import type { SpooledBody } from "../../src/core/spool.ts";
import type { Unscannable } from "../../src/core/verdict.ts";
import { fakeBody } from "../fake/spooled-body.ts";

export interface InspectingOptions {
  readonly maxFiles?: number;
  readonly maxMs?: number;
  readonly clock?: () => number;
  readonly signal?: AbortSignal;
}

export function inMemory(bytes: Uint8Array): SpooledBody {
  return fakeBody({ size: bytes.length, bytes, read: [bytes] });
}

export function inFile(bytes: Uint8Array): SpooledBody {
  return fakeBody({ size: bytes.length, read: [bytes] });
}

export async function inspectBody(body: SpooledBody, options: InspectingOptions = {}): Promise<Unscannable | null> {
  const { maxFiles = 10_000, maxMs = 60_000, clock = () => performance.now(), signal = new AbortController().signal } = options;
  return createInspect({ maxFiles, maxMs, clock })(body, signal);
}

/** What is said of it; null for nothing. */
export async function inspected(bytes: Uint8Array, options: InspectingOptions = {}): Promise<Unscannable | null> {
  const found = await inspectBody(inMemory(bytes), options);
  assert.deepEqual(await inspectBody(inFile(bytes), options), found, "in memory and in a file");
  return found;
}

/** The name without what all of them begin with; the reason where there is none. */
export async function nameOf(bytes: Uint8Array, options: InspectingOptions = {}): Promise<string | null> {
  const found = await inspected(bytes, options);
  return found === null ? null : (found.heuristic?.replace(/^Heuristics\.Clamgate\./, "") ?? found.reason);
}
