/** The one place that names the library for applications, on which the command line stands. */

export { ScanError } from "../../client/src/errors.ts";
export { type FilePath, walk } from "../../client/src/files.ts";
export { isExcluded } from "../../client/src/globs.ts";
export { inOrder } from "../../client/src/in-order.ts";
export type { EngineInfo, Report, Status } from "../../client/src/report.ts";
export { createScanner, type Scanner, type ScannerOptions } from "../../client/src/scanner.ts";
