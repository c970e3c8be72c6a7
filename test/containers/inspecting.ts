/** Looks into bytes as the gateway does, both ways that a body may lie: in memory and in a file. */

import assert from "node:assert/strict";
import type { FileFormat } from "../../src/codec/file-format.ts";
import { createInspect } from "../../src/containers/inspect.ts";
import { LimitReached, type Look } from "../../src/core/look-inside.ts";
import type { SpooledBody } from "../../src/core/spool.ts";
import type { Unscannable } from "../../src/core/verdict.ts";
import { fakeBody } from "../fake/spooled-body.ts";

export interface InspectingOptions {
  readonly maxFiles?: number;
  readonly maxMs?: number;
  readonly clock?: () => number;
  readonly signal?: AbortSignal;
  readonly formats?: readonly FileFormat[];
  readonly isPiece?: boolean;
}

export function inMemory(bytes: Uint8Array): SpooledBody {
  return fakeBody({ size: bytes.length, bytes, read: [bytes] });
}

export function inFile(bytes: Uint8Array): SpooledBody {
  return fakeBody({ size: bytes.length, read: [bytes] });
}

export function looking(look: Partial<Look> = {}): Look {
  const { signal } = new AbortController();
  return { signal, isPiece: false, remainingMs: () => 1000, handOver: async () => assert.fail("handed over"), ...look };
}

/** What is said of it as it is: its pieces are read, and looked into no further. */
export async function inspectBody(body: SpooledBody, options: InspectingOptions = {}): Promise<Unscannable | null> {
  return (await openBody(body, options)).found;
}

export interface Opened {
  readonly found: Unscannable | null;
  readonly pieces: readonly { readonly isScanned: boolean; readonly bytes: Buffer }[];
}

const mostPieceBytes = 4 * 1024 * 1024;

export async function openBody(body: SpooledBody, options: InspectingOptions = {}): Promise<Opened> {
  const { maxFiles = 10_000, maxMs = 60_000, clock = () => performance.now(), signal = new AbortController().signal } = options;
  const pieces: { readonly isScanned: boolean; readonly bytes: Buffer }[] = [];
  const endsAt = clock() + maxMs;
  const found = await createInspect({ maxFiles, formats: options.formats ?? [], clock })(body, {
    signal,
    isPiece: options.isPiece ?? false,
    remainingMs: () => endsAt - clock(),
    async handOver({ isScanned, read }) {
      if (pieces.length >= 100) throw new LimitReached("limit-files");
      const chunks: Uint8Array[] = [];
      let size = 0;
      for await (const chunk of read()) {
        size += chunk.length;
        if (size > mostPieceBytes) throw new LimitReached("limit-size");
        chunks.push(Buffer.from(chunk));
      }
      pieces.push({ isScanned, bytes: Buffer.concat(chunks) });
    },
  });
  return { found, pieces };
}

/** What is said of it; null for nothing. */
export async function inspected(bytes: Uint8Array, options: InspectingOptions = {}): Promise<Unscannable | null> {
  return (await opened(bytes, options)).found;
}

export async function opened(bytes: Uint8Array, options: InspectingOptions = {}): Promise<Opened> {
  const inside = await openBody(inMemory(bytes), options);
  assert.deepEqual(await openBody(inFile(bytes), options), inside, "in memory and in a file");
  return inside;
}

/** The name without what all of them begin with; the reason where there is none. */
export async function nameOf(bytes: Uint8Array, options: InspectingOptions = {}): Promise<string | null> {
  const found = await inspected(bytes, options);
  return found === null ? null : (found.heuristic?.replace(/^Heuristics\.Clamgate\./, "") ?? found.reason);
}
