/** The files of one multipart upload: spooled one after another, scanned a few at a time, answered in order. */

import { type ClamgateError, toClamgateError } from "../../core/errors.ts";
import type { Scan } from "../../core/scan.ts";
import { type Finding, type LayersOptions, scanLayers } from "../../core/scan-layers.ts";
import { DrainBudget, type DrainLimits, MultipartReader, type Part } from "../../http/multipart-reader.ts";

export type PartOutcome =
  | { readonly kind: "nameless" }
  /** @param fileName is empty where the request broke between two files. */
  | { readonly kind: "file"; readonly fileName: string; readonly scanResult: ScanResult };

export interface UploadOptions {
  readonly boundary: string;
  readonly maxParts: number;
  readonly scan: Scan;
  readonly requestId: string;
  /** As `ScanOptions.client`. */
  readonly client: string;
  readonly signal: AbortSignal;
  /** Content-Length, if there is one: what the first file may be as large as, most forms having only one. */
  readonly declaredBytes: number | null;
  /** Also parts that have no file name; else they are answered, not scanned. */
  readonly isEveryPartScanned: boolean;
  /** Scans whose part has been read and whose verdict is still out; the next part waits for one of them. */
  readonly maxUnfinished: number;
  /** For parts that are read no further: too large, or without room in the spool. */
  readonly drain: DrainLimits;
}

/**
 * Never rejects: a request that breaks ends the list with the error. Where the draining of a part takes too long the list ends with
 * that part, whose outcome is an error then.
 */
export async function scanUpload(body: AsyncIterable<Uint8Array>, options: UploadOptions): Promise<readonly PartOutcome[]> {
  const { boundary, maxParts, scan, requestId, client, signal, declaredBytes, isEveryPartScanned, maxUnfinished } = options;
  const outcomes: (PartOutcome | Promise<PartOutcome>)[] = [];
  const budget = new DrainBudget(options.drain);
  let unfinished = 0;
  let onFinished: (() => void) | null = null;
  try {
    const reader = new MultipartReader(body, boundary, { maxParts });
    for (let part = reader.nextPart(); part !== null; part = reader.nextPart()) {
      if (part === undefined) {
        await reader.ready();
        continue;
      }
      const fileName = part.fileName ?? (isEveryPartScanned ? "" : null);
      if (fileName === null) {
        outcomes.push({ kind: "nameless" });
        continue;
      }
      if (unfinished >= maxUnfinished) {
        await new Promise<void>((resolve) => {
          onFinished = resolve;
        });
      }
      outcomes.push(scanPart(part, fileName, outcomes.length === 0 ? declaredBytes : null));
      const beingRead = part.beingRead();
      if (beingRead !== null) await beingRead;
      if (signal.aborted || reader.isBroken || !(part.isOver || (await part.drain(budget)))) break;
    }
  } catch (error) {
    outcomes.push({ kind: "file", fileName: "", scanResult: { kind: "failed", error: toClamgateError(error) } });
  } finally {
    budget.close();
  }
  const settled: PartOutcome[] = [];
  for (const outcome of outcomes) settled.push(outcome instanceof Promise ? await outcome : outcome);
  return settled;

  function scanPart(part: Part, fileName: string, declared: number | null): Promise<PartOutcome> {
    const { codings } = part;
    const expected = declared === null ? {} : { expectedBytes: declared };
    const scanning = scanOne(scan, part, { requestId, name: fileName, client, signal, codings, ...expected });
    unfinished += 1;
    return scanning.then((scanResult) => {
      unfinished -= 1;
      // It may not have been read to its end.
      part.leave();
      onFinished?.();
      return { kind: "file", fileName, scanResult };
    });
  }
}

export type ScanResult = ({ readonly kind: "scanned" } & Finding) | { readonly kind: "failed"; readonly error: ClamgateError };

/** Never rejects. */
export async function scanOne(
  scan: Scan,
  body: AsyncIterable<Uint8Array>,
  options: Omit<LayersOptions, "via">,
): Promise<ScanResult> {
  try {
    const scanned = await scanLayers(scan, body, { ...options, via: "rest" });
    await scanned[Symbol.asyncDispose]();
    return { kind: "scanned", report: scanned.report, decision: scanned.decision };
  } catch (error) {
    return { kind: "failed", error: toClamgateError(error) };
  }
}
