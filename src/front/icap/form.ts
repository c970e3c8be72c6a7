/** The parts of a form that a client sends to an origin: each is scanned as it is uploaded by itself. */

import { possibleFormKind } from "../../codec/multipart/boundary.ts";
import { ClamgateError } from "../../core/errors.ts";
import type { Scan } from "../../core/scan.ts";
import { type Finding, type LayersOptions, type ScannedLayers, scanLayers } from "../../core/scan-layers.ts";
import type { SpooledBody } from "../../core/spool.ts";
import type { Unscannable } from "../../core/verdict.ts";
import { MultipartReader, type Part } from "../../http/multipart-reader.ts";

export interface FormOptions {
  readonly scan: Scan;
  readonly maxParts: number;
  /** Of the whole form; its codings are those of the form. */
  readonly layers: LayersOptions;
  /** The value of each Content-Type line. */
  readonly contentTypes: readonly string[];
}

export interface FormFindings {
  readonly findings: readonly Finding[];
  /** What keeps all of its parts from being seen; null where all have been. */
  readonly fault: Unscannable | null;
}

/** A part without a name and a type of its own is a text field; from here on it may be a file. */
const longFieldBytes = 1024;

/** Null where the body is no form. Rejects as `scanLayers` does, unless a part before that may not pass. */
export async function scanForm(whole: ScannedLayers, options: FormOptions): Promise<FormFindings | null> {
  const kind = possibleFormKind(options.contentTypes);
  switch (kind.kind) {
    case "not-multipart":
    case "no-boundary":
      return null;
    case "ambiguous":
      return { findings: [], fault: unsupported };
    case "multipart": {
      const form = await formOf(whole, kind.boundary, options);
      return form === null ? { findings: [], fault: unsupported } : await scanParts(form, kind.boundary, options);
    }
  }
}

const unsupported: Unscannable = { kind: "unscannable", reason: "unsupported", heuristic: null };
const tooManyParts: Unscannable = { kind: "unscannable", reason: "limit-files", heuristic: null };

/** Null where a receiver that undoes no coding, or not all of them, could find another form than ours. */
async function formOf({ body, decoded }: ScannedLayers, boundary: string, { layers }: FormOptions): Promise<SpooledBody | null> {
  if (layers.codings === null) return body;
  if (layers.codings.decoders.length !== 1 || decoded === undefined) return null;
  return (await holds(body, Buffer.from(`--${boundary}`))) ? null : decoded;
}

async function holds(body: SpooledBody, mark: Buffer): Promise<boolean> {
  let last = Buffer.alloc(0);
  for await (const chunk of body.read()) {
    last = Buffer.concat([last, chunk]);
    if (last.includes(mark)) return true;
    last = Buffer.from(last.subarray(Math.max(0, last.length - mark.length + 1)));
  }
  return false;
}

async function scanParts(form: SpooledBody, boundary: string, options: FormOptions): Promise<FormFindings> {
  const { scan, maxParts } = options;
  const { expectedBytes: _, ...layers } = options.layers;
  const findings: Finding[] = [];
  let count = 0;
  try {
    const reader = new MultipartReader(form.read(), boundary);
    for (let part = reader.nextPart(); part !== null; part = reader.nextPart()) {
      if (part === undefined) {
        await reader.ready();
        continue;
      }
      count += 1;
      if (count > maxParts) return { findings, fault: tooManyParts };
      const source = await fileIn(part);
      if (source === null) continue;
      const name = part.fileName ?? layers.name;
      const scanned = await scanLayers(scan, source, { ...layers, name, codings: part.codings });
      await scanned[Symbol.asyncDispose]();
      findings.push({ report: scanned.report, decision: scanned.decision });
    }
    return { findings, fault: null };
  } catch (error) {
    if (error instanceof ClamgateError && error.code === "malformed") return { findings, fault: unsupported };
    if (findings.some(({ decision }) => !decision.isAllowed)) return { findings, fault: null };
    throw error;
  }
}

/** The bytes of a part that may be a file; null where it is a short text. */
async function fileIn(part: Part): Promise<AsyncIterable<Uint8Array> | null> {
  if (part.fileName !== null || part.headers.has("content-type")) return part;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  while (bytes < longFieldBytes) {
    const chunk = part.take();
    if (chunk === null) return null;
    if (chunk === undefined) await part.ready();
    else {
      chunks.push(Buffer.from(chunk));
      bytes += chunk.length;
    }
  }
  return joined(chunks, part);
}

async function* joined(first: readonly Uint8Array[], rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* first;
  yield* rest;
}
