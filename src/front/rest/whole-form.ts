/** A form that is spooled and scanned as a whole, in all its layers, before it is read part by part. */

import { ClamgateError, toClamgateError } from "../../core/errors.ts";
import { type Codings, type ScannedLayers, scanLayers } from "../../core/scan-layers.ts";
import { readParts } from "../http/parts.ts";
import type { Judgement } from "./judgement.ts";
import { type FilePart, type PartOutcome, scanUpload, type UploadOptions } from "./upload.ts";

export interface WholeForm {
  readonly whole: Judgement;
  /** None where the whole may not pass, or could not be judged. */
  readonly parts: readonly PartOutcome[];
}

export interface WholeFormOptions extends UploadOptions {
  readonly boundary: string;
  readonly codings: Codings | null;
  readonly maxParts: number;
  /** Also parts that have no file name. */
  readonly isEveryPartScanned: boolean;
}

/** Never rejects. */
export async function scanWholeForm(body: AsyncIterable<Uint8Array>, options: WholeFormOptions): Promise<WholeForm> {
  const { scan, requestId, signal, codings, declaredBytes } = options;
  const expected = declaredBytes === null ? {} : { expectedBytes: declaredBytes };
  try {
    const layers = await scanLayers(scan, body, { via: "rest", name: "", requestId, signal, codings, ...expected });
    try {
      const { report, decision } = layers;
      const parts = decision.isAllowed ? await scanParts(layers, options) : [];
      return { whole: { kind: "scanned", report, decision }, parts };
    } finally {
      await layers[Symbol.asyncDispose]();
    }
  } catch (error) {
    return { whole: { kind: "failed", error: toClamgateError(error) }, parts: [] };
  }
}

async function scanParts({ body, decoded }: ScannedLayers, options: WholeFormOptions): Promise<readonly PartOutcome[]> {
  const { boundary, codings, maxParts, isEveryPartScanned } = options;
  const form = codings === null || body.size === 0 ? body : decoded;
  // It may pass for its size, and nobody has seen its parts.
  if (form === undefined) throw new ClamgateError("too-large", "The form is larger than the limit");
  const parts = readParts(form.read(), boundary, { maxParts });
  return await scanUpload(isEveryPartScanned ? named(parts) : parts, { ...options, declaredBytes: form.size });
}

async function* named(parts: AsyncIterable<FilePart>): AsyncGenerator<FilePart, void, undefined> {
  for await (const part of parts) yield { ...part, fileName: part.fileName ?? "" };
}
