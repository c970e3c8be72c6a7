/** Scans bodies, files and streams for viruses, by a clamgate gateway or by a clamd. */

export { ScanError, type ScanErrorCode } from "./errors.ts";
export {
  BlockedError,
  type EngineInfo,
  type Report,
  requireAllowed,
  type Status,
  type UnscannableReason,
  type Verdict,
} from "./report.ts";
export {
  createScanner,
  type FieldReport,
  type FileReport,
  type Scanner,
  type ScannerOptions,
  type ScanOptions,
} from "./scanner.ts";
export type { Body } from "./source.ts";
export type { ScannedThrough, ThroughOptions } from "./through.ts";
