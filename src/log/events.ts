/** What the log says about each fact, and how loudly. */

import type { ErrorCode } from "../core/errors.ts";
import type { DownloadOutcome, Fact, Observe } from "../core/events.ts";
import type { Verdict } from "../core/verdict.ts";
import { cut } from "./escape-controls.ts";
import type { Log, LogFields, LogLevel } from "./log.ts";

/** A sender may send 64 KiB of name. */
const maxNameLength = 200;
/** For what children, libraries and peers say. */
const maxDetailLength = 1000;

/** What only the client or its timing is to blame for warns; what an operator has to look at is an error. */
const failureLevels = {
  "too-large": "warn",
  malformed: "warn",
  undecodable: "warn",
  "client-gone": "info",
  "client-slow": "warn",
  forbidden: "warn",
  "not-found": "warn",
  "source-changed": "warn",
  "engine-unavailable": "error",
  "backend-lost": "error",
  "engine-killed": "error",
  "engine-error": "error",
  "scan-timeout": "error",
  "queue-full": "warn",
  "queue-timeout": "warn",
  "spool-full": "error",
  "upstream-failed": "warn",
  "upstream-timeout": "warn",
  "request-loop": "error",
  stopping: "warn",
  internal: "error",
} as const satisfies Record<ErrorCode, LogLevel>;

const downloadLevels = {
  delivered: "info",
  bodiless: "info",
  blocked: "warn",
  cut: "warn",
  gone: "info",
  failed: "warn",
} as const satisfies Record<DownloadOutcome, LogLevel>;

type FactOf<K extends Fact["kind"]> = Extract<Fact, { readonly kind: K }>;

/** One line per fact, unless clients cause a flood of them: failures are counted then, verdicts never. What a scan has found is urgent, as errors are: it must be on record before its client knows. */
export function logFacts(log: Log): Observe {
  return (fact) => {
    switch (fact.kind) {
      case "scanned":
        return scanned(log, fact);
      case "scan-failed":
        return scanFailed(log, fact);
      case "backend-up": {
        const { engine, database, databaseDate, tag } = fact.version;
        return log.write("info", "backend up", { backend: fact.backend, engine, database, databaseDate, tag });
      }
      case "backend-down":
        return log.write("error", "backend down", { backend: fact.backend, reason: cut(fact.reason, maxDetailLength) });
      case "child-started":
        return log.write("info", "child started", { child: fact.child, pid: fact.pid });
      case "child-line":
        return log.write(childLineLevel(fact.line), cut(fact.line, maxDetailLength), { child: fact.child });
      case "child-exited": {
        const fields = { child: fact.child, reason: cut(fact.reason, maxDetailLength), restartInMs: fact.restartInMs };
        return log.write(fact.restartInMs === null ? "info" : "error", "child exited", fields);
      }
      case "signatures-loaded":
        return log.write(fact.isTestOnly ? "warn" : "info", "signatures loaded", {
          set: fact.set,
          files: fact.files,
          isTestOnly: fact.isTestOnly,
          seconds: rounded(fact.seconds),
        });
      case "signatures-rejected":
        return log.write("error", "signatures rejected", { set: fact.set, reason: cut(fact.reason, maxDetailLength) });
      case "signature-file-kept-out": {
        const fields = { file: cut(fact.file, maxNameLength), reason: cut(fact.reason, maxDetailLength) };
        return log.write("error", "signature file kept out", fields);
      }
      case "signatures-checked": {
        const isFine = fact.outcome === "updated" || fact.outcome === "up-to-date";
        const fields = { outcome: fact.outcome, detail: cut(fact.detail, maxDetailLength), seconds: rounded(fact.seconds) };
        return log.write(isFine ? "info" : "warn", "signatures checked", fields);
      }
      case "cache-failed":
        return log.write(fact.isRepeated ? "debug" : "warn", "cache failed", {
          operation: fact.operation,
          detail: cut(fact.detail, maxDetailLength),
        });
      case "scan-awaited": {
        const fields = { outcome: fact.outcome, seconds: rounded(fact.seconds) };
        return log.write("debug", "waited for another gateway's scan", fields);
      }
      case "download":
        return download(log, fact);
      case "download-denied":
        return downloadDenied(log, fact);
      case "deprecated-endpoint":
        return log.writeCounted("info", "DEPRECATED ENDPOINT: Migrate from /scan to /v2/scan", {}, {});
      case "notice":
        return log.write(fact.level, fact.message);
    }
  };
}

function scanned(log: Log, fact: FactOf<"scanned">): void {
  const isFinding = fact.verdict.kind !== "clean";
  const level = isFinding ? "warn" : "info";
  if (!log.isOn(level)) return;
  const fields = {
    id: fact.requestId,
    via: fact.via,
    name: cut(fact.name, maxNameLength),
    digest: fact.sha256,
    size: fact.size,
    ...verdictFields(fact.verdict),
    allowed: fact.isAllowed,
    source: fact.source,
    backend: fact.backend,
    seconds: rounded(fact.seconds),
  };
  log.write(level, "scanned", fields, isFinding);
}

function scanFailed(log: Log, { via, requestId, name, code, detail, seconds }: FactOf<"scan-failed">): void {
  const fields = {
    id: requestId,
    via,
    name: cut(name, maxNameLength),
    code,
    detail: cut(detail, maxDetailLength),
    seconds: rounded(seconds),
  };
  log.writeCounted(failureLevels[code], "scan failed", fields, { via, code });
}

function downloadDenied(log: Log, { requestId, peer, host, detail }: FactOf<"download-denied">): void {
  const fields = { id: requestId, peer, host: cut(host, maxNameLength), detail: cut(detail, maxDetailLength) };
  log.writeCounted("warn", "download denied", fields, {});
}

function download(log: Log, fact: FactOf<"download">): void {
  const level = downloadLevels[fact.outcome];
  if (!log.isOn(level)) return;
  const fields = {
    id: fact.requestId,
    method: cut(fact.method, maxNameLength),
    url: fact.url === null ? null : cut(fact.url, maxDetailLength),
    status: fact.status,
    outcome: fact.outcome,
    code: fact.code,
    detail: fact.detail === null ? null : cut(fact.detail, maxDetailLength),
    mode: fact.mode,
    cache: fact.cache,
    collapsed: fact.isCollapsed,
    size: fact.size,
    released: fact.releasedBytes,
    downloadSeconds: rounded(fact.downloadSeconds),
    scanSeconds: rounded(fact.scanSeconds),
    seconds: rounded(fact.seconds),
  };
  const { outcome, code } = fact;
  // Nothing of an object was given: a client has as many of them as it likes.
  if (outcome === "failed" || outcome === "gone") log.writeCounted(level, "download", fields, { outcome, code });
  else log.write(level, "download", fields, outcome === "blocked");
}

function verdictFields(verdict: Verdict): LogFields {
  switch (verdict.kind) {
    case "clean":
      return { verdict: verdict.kind };
    case "infected":
      return { verdict: verdict.kind, signatures: verdict.signatures };
    case "unscannable":
      return { verdict: verdict.kind, reason: verdict.reason, heuristic: verdict.heuristic };
  }
}

/** clamd and freshclam mark what matters in the line itself; libclamav's own errors go to standard error with this beginning. */
function childLineLevel(line: string): LogLevel {
  return line.includes("ERROR") || line.includes("WARNING") || line.startsWith("LibClamAV Error") ? "warn" : "debug";
}

/** Microseconds are enough. */
function rounded(seconds: number): number {
  return Math.round(seconds * 1e6) / 1e6;
}
