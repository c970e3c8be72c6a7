/** The files of one multipart upload: spooled one after another, scanned a few at a time, answered in order. */

import type { TransferCoding } from "../../codec/multipart/headers.ts";
import { toClamgateError } from "../../core/errors.ts";
import type { Scan } from "../../core/scan.ts";
import { partCodings } from "../../http/part-codings.ts";
import { type Judgement, judge } from "./judgement.ts";
import { PartSource } from "./part-source.ts";
import { SkipBudget, type SkipLimits } from "./skip-budget.ts";

/** What the upload needs of a part. */
export interface FilePart {
  /** Null where the part has no file name: it is answered, not scanned. */
  readonly fileName: string | null;
  /** What some receivers undo, and others do not. */
  readonly transferCoding: TransferCoding | null;
  readonly body: AsyncIterable<Uint8Array>;
}

export type PartOutcome =
  | { readonly kind: "nameless" }
  /** @param fileName is empty where the request broke between two files. */
  | { readonly kind: "judged"; readonly fileName: string; readonly judgement: Judgement };

export interface UploadOptions {
  readonly scan: Scan;
  readonly requestId: string;
  /** As `ScanOptions.client`. */
  readonly client: string;
  readonly signal: AbortSignal;
  /** Content-Length, if there is one: what the first file may be as large as, most forms having only one. */
  readonly declaredBytes: number | null;
  /** Scans whose part has been read and whose verdict is still out; the next part waits for one of them. */
  readonly maxUnfinished: number;
  /** For parts that are read no further: too large, or without room in the spool. */
  readonly skip: SkipLimits;
}

/**
 * Never rejects: a request that breaks ends the list with the error. Where the skipping of a part takes too long the list ends with
 * that part, whose outcome is an error then.
 */
export async function scanUpload(parts: AsyncIterator<FilePart>, options: UploadOptions): Promise<readonly PartOutcome[]> {
  const outcomes: Promise<PartOutcome>[] = [];
  const unfinished = new Set<Promise<unknown>>();
  const budget = new SkipBudget(options.skip);
  try {
    for (;;) {
      const next = await parts.next();
      if (next.done) break;
      const { fileName, transferCoding, body } = next.value;
      if (fileName === null) {
        outcomes.push(Promise.resolve({ kind: "nameless" }));
        continue;
      }
      if (unfinished.size >= options.maxUnfinished) await Promise.race(unfinished);
      const source = new PartSource(body);
      const { scan, requestId, client, signal } = options;
      const isFirst = outcomes.length === 0;
      const expected = isFirst && options.declaredBytes !== null ? { expectedBytes: options.declaredBytes } : {};
      const judgement = judge(scan, source, {
        requestId,
        name: fileName,
        client,
        signal,
        codings: partCodings(transferCoding),
        ...expected,
      });
      outcomes.push(judgement.then((value) => ({ kind: "judged", fileName, judgement: value })));
      unfinished.add(judgement);
      void judgement.then(() => unfinished.delete(judgement));
      await Promise.race([source.ended, judgement]);
      if (options.signal.aborted || !(await source.skip(budget)) || source.isBroken) break;
    }
  } catch (error) {
    outcomes.push(
      Promise.resolve({ kind: "judged", fileName: "", judgement: { kind: "failed", error: toClamgateError(error) } }),
    );
  } finally {
    budget.close();
  }
  return await Promise.all(outcomes);
}
