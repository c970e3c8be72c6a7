/** The record of what was asked, under its settings. */

import { type Audit, createAudit } from "../auth/audit.ts";
import { openAuditFile } from "../auth/audit-file.ts";
import type { Config } from "../config/settings.ts";
import { ClamgateError } from "../core/errors.ts";
import type { Emit } from "../core/events.ts";
import type { Scan } from "../core/scan.ts";
import type { LogDestination } from "../log/log.ts";
import { settingFault } from "./setting-fault.ts";

export interface OpenAudit extends Audit {
  /** Begins a new file where the old one was moved. Never throws; what is wrong is emitted. */
  reload(emit: Emit): void;
  close(): void;
}

/** Null where AUDIT is unset. Throws an Error for the operator. @param standardOutput shared with the log, so that no line is within another. */
export function openAudit({ AUDIT, AUDIT_NAMES: names }: Config, standardOutput: LogDestination): OpenAudit | null {
  if (AUDIT === null) return null;
  const now = Date.now;
  if (AUDIT.kind === "stdout") {
    const write = (line: string) => {
      const before = standardOutput.lostLines ?? 0;
      standardOutput.write(line, "now");
      return (standardOutput.lostLines ?? 0) === before;
    };
    return { ...createAudit({ write, names, now }), reload: () => {}, close: () => {} };
  }
  const { path } = AUDIT;
  try {
    const file = openAuditFile(path);
    return {
      ...createAudit({ write: (line) => file.write(line), names, now }),
      reload(emit) {
        try {
          file.reopen();
        } catch (error) {
          emit({ kind: "notice", level: "error", message: `the audit file stays as it was: ${fault(path, error).message}` });
        }
      },
      close: () => file.close(),
    };
  } catch (error) {
    throw fault(path, error);
  }
}

function fault(path: string, error: unknown): Error {
  return settingFault("AUDIT", `${path} cannot be written`, error);
}

/** AUDIT_REQUIRED: nothing is judged that cannot be recorded, whichever front it came by. */
export function recordedScan(scan: Scan, { canRecord }: Audit): Scan {
  return async (body, options) => {
    if (!canRecord()) throw new ClamgateError("unrecorded", "The request cannot be recorded");
    return await scan(body, options);
  };
}
