/** A form that is spooled and scanned as a whole, in all its layers, before it is read part by part. */

import { ClamgateError, toClamgateError } from "../../core/errors.ts";
import { type Codings, type Decode, type ScannedLayers, scanLayers } from "../../core/scan-layers.ts";
import { type PartOutcome, type ScanResult, scanUpload, type UploadOptions } from "./upload.ts";

export interface WholeForm {
  readonly whole: ScanResult;
  /** None where the whole may not pass, or could not be scanned. */
  readonly parts: readonly PartOutcome[];
}

export interface WholeFormOptions extends UploadOptions {
  readonly codings: Codings | null;
}

/** Never rejects. */
export async function scanWholeForm(body: AsyncIterable<Uint8Array>, options: WholeFormOptions): Promise<WholeForm> {
  const { scan, requestId, client, signal, codings, declaredBytes } = options;
  const expected = declaredBytes === null ? {} : { expectedBytes: declaredBytes };
  const depth = codings?.decoders.length ?? 0;
  const watches = Array.from({ length: depth }, () => new BoundaryWatch(options.boundary));
  const asked = { via: "rest", name: "", requestId, client, signal, codings: watched(codings, watches), ...expected } as const;
  try {
    const layers = await scanLayers(scan, watches[0]?.pass(body) ?? body, asked);
    try {
      const { report, decision } = layers;
      if (decision.isAllowed) refuseSecondForm(watches);
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
  const form = options.codings === null || body.size === 0 ? body : decoded;
  // It may pass for its size, and nobody has seen its parts.
  if (form === undefined) throw new ClamgateError("too-large", "The form is larger than the limit");
  return await scanUpload(form.read(), { ...options, declaredBytes: form.size });
}

/**
 * Many receivers undo no coding, or not all of them, and read what they have as the form; what stands before its first boundary they
 * skip. Room for a form of their own is in the head of gzip, in frames that zstd skips and in brotli's metadata.
 * A coding that stores its bytes shows the boundary too, but cuts the parts by bytes of its own.
 */
function refuseSecondForm(watches: readonly BoundaryWatch[]): void {
  const undone = watches.findIndex(({ hasSeen }) => hasSeen);
  if (undone < 0) return;
  const where = undone === 0 ? "as it came" : `with only ${undone} of its ${watches.length} codings undone`;
  throw new ClamgateError("malformed", `Malformed multipart body: the boundary also stands in the coded form ${where}`);
}

/** The same codings, watched in all that they yield but the last, which is the form. */
function watched(codings: Codings | null, watches: readonly BoundaryWatch[]): Codings | null {
  if (codings === null) return null;
  const decoders = codings.decoders.map((decode, index): Decode => {
    const watch = watches[index + 1];
    return watch === undefined ? decode : (body) => watch.pass(decode(body));
  });
  return { ...codings, decoders };
}

/** Lets bytes pass, in chunks cut anywhere, and keeps whether the boundary was among them. */
class BoundaryWatch {
  hasSeen = false;
  readonly #mark: Buffer;

  /** Of a boundary too long its beginning is enough: no parts are read by it. */
  constructor(boundary: string) {
    this.#mark = Buffer.from(`--${boundary}`).subarray(0, 80);
  }

  async *pass(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    const most = this.#mark.length - 1;
    let last = Buffer.alloc(0);
    for await (const { buffer, byteOffset, length } of bytes) {
      const chunk = Buffer.from(buffer, byteOffset, length);
      const across = Buffer.concat([last, chunk.subarray(0, most)]);
      this.hasSeen ||= across.includes(this.#mark) || chunk.includes(this.#mark);
      // A copy: the chunk is gone when the next one is asked for.
      last = Buffer.concat([last, chunk.subarray(-most)]).subarray(-most);
      yield chunk;
    }
  }
}
