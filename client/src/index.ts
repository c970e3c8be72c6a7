/** Scans bodies, files and streams for viruses, by a clamgate gateway or by a clamd. */

export { BlockedError, requireAllowed, ScanError, type ScanErrorCode } from "./errors.ts";
export type { EngineInfo, Report, Status, UnscannableReason, Verdict } from "./report.ts";
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
