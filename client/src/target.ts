/** Where bodies are scanned: a gateway, or a clamd itself. */

import type { Report, Status } from "./report.ts";
import type { Source } from "./source.ts";

export interface TargetScan {
  readonly name: string | null;
  readonly maxBytes: number;
  /** Ends the exchange; its reason is a ScanError. */
  readonly signal: AbortSignal;
  /** Called whenever bytes have moved: the target is not idle. */
  readonly moved: () => void;
}

export interface Target {
  /** One try. Rejects with a ScanError. */
  scan(source: Source, options: TargetScan): Promise<Report>;
  /** The report on a body that was scanned before; null where none is remembered, which does not say that it is clean. */
  lookup(sha256: string, signal: AbortSignal): Promise<Report | null>;
  status(signal: AbortSignal): Promise<Status>;
}
