/** What the log says about each event, and how loudly. */

import type { ErrorCode } from "../core/errors.ts";
import type { ClamdRefusal, DownloadOutcome, Emit, GatewayEvent, IcapAnswer } from "../core/events.ts";
import type { Verdict } from "../core/verdict.ts";
import { cut, escapeControlsInJson, jsonString } from "./escape-controls.ts";
import type { Log, LogFields, LogLevel } from "./log.ts";

/** A sender may send 64 KiB of name. */
const maxNameLength = 200;
const maxCommandLength = 40;
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
  unrecorded: "error",
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

const icapLevels = {
  options: "debug",
  "204": "info",
  echo: "info",
  block: "warn",
  page: "warn",
  reset: "warn",
  cut: "warn",
  gone: "info",
  "400": "warn",
  "404": "warn",
  "408": "warn",
  "418": "warn",
  "500": "error",
  "501": "warn",
  "503": "warn",
  "505": "warn",
} as const satisfies Record<IcapAnswer, LogLevel>;

type EventOf<K extends GatewayEvent["kind"]> = Extract<GatewayEvent, { readonly kind: K }>;

/** One line per event, unless clients cause a flood of them: failures are counted then, verdicts never. A finding that comes alone is on record before its client knows, as errors are. */
export function logEvents(log: Log): Emit {
  const held = holdScans(log);
  return (event) => {
    switch (event.kind) {
      case "scanned":
      case "scan-failed":
        return event.via === "rest" ? held.hold(event) : scan(log, event, null);
      case "answered":
        return answered(log, event, held.release(event.requestId));
      case "access-refused":
        return accessRefused(log, event);
      case "keys-changed": {
        const { added, removed, changed } = event;
        return log.write("info", "keys changed", { added, removed, changed });
      }
      case "key-file-failed": {
        const fields = { reason: cut(event.reason, maxDetailLength) };
        return log.write(
          event.isRepeated ? "debug" : "error",
          "API_KEYS_FILE cannot be used, the keys stay as they were",
          fields,
        );
      }
      case "backend-up": {
        const { engine, database, databaseDate, tag } = event.version;
        return log.write("info", "backend up", { backend: event.backend, engine, database, databaseDate, tag });
      }
      case "backend-down":
        return log.write("error", "backend down", { backend: event.backend, reason: cut(event.reason, maxDetailLength) });
      case "child-started":
        return log.write("info", "child started", { child: event.child, pid: event.pid });
      case "child-line":
        return log.write(childLineLevel(event.line), cut(event.line, maxDetailLength), { child: event.child });
      case "child-exited": {
        const fields = { child: event.child, reason: cut(event.reason, maxDetailLength), restartInMs: event.restartInMs };
        return log.write(event.restartInMs === null ? "info" : "error", "child exited", fields);
      }
      case "signatures-loaded":
        return log.write(event.isTestOnly ? "warn" : "info", "signatures loaded", {
          set: event.set,
          files: event.files,
          isTestOnly: event.isTestOnly,
          seconds: rounded(event.seconds),
        });
      case "signatures-rejected":
        return log.write("error", "signatures rejected", { set: event.set, reason: cut(event.reason, maxDetailLength) });
      case "signature-file-kept-out": {
        const fields = { file: cut(event.file, maxNameLength), reason: cut(event.reason, maxDetailLength) };
        return log.write("error", "signature file kept out", fields);
      }
      case "signatures-checked": {
        const isFine = event.outcome === "updated" || event.outcome === "up-to-date";
        const fields = { outcome: event.outcome, detail: cut(event.detail, maxDetailLength), seconds: rounded(event.seconds) };
        return log.write(isFine ? "info" : "warn", "signatures checked", fields);
      }
      case "cache-failed":
        return log.write(event.isRepeated ? "debug" : "warn", "cache failed", {
          operation: event.operation,
          detail: cut(event.detail, maxDetailLength),
        });
      case "scan-awaited": {
        const fields = { outcome: event.outcome, seconds: rounded(event.seconds) };
        return log.write("debug", "waited for another gateway's scan", fields);
      }
      case "download":
        return download(log, event);
      case "download-denied":
        return downloadDenied(log, event);
      case "icap":
        return icap(log, event);
      case "icap-refused":
        return log.writeCounted(
          "warn",
          "icap connection refused",
          { reason: event.reason, peer: event.peer },
          { reason: event.reason },
        );
      case "clamd-command":
        return log.write("debug", "clamd command", { command: event.command });
      case "clamd-refused":
        return clamdRefused(log, event);
      case "clamd-read-timeout":
        return log.writeCounted("info", "clamd client timed out", { peer: event.peer }, {});
      case "limited":
        return log.writeCounted("info", "client limited", { client: event.client, policies: event.policies.join(" ") }, {});
      case "quota-unknown":
        return log.writeCounted("warn", "quota unknown", { client: event.client }, {});
      case "deprecated-endpoint":
        return log.writeCounted("info", "DEPRECATED ENDPOINT: Migrate from /scan to /v2/scan", {}, {});
      case "notice":
        return log.write(event.level, event.message);
    }
  };
}

function accessRefused(log: Log, { requestId, reason, detail }: EventOf<"access-refused">): void {
  const fields = { id: requestId, reason, ...(detail === null ? {} : { detail: cut(detail, maxDetailLength) }) };
  // No client is to blame for it.
  if (reason === "unavailable") log.writeCounted("warn", "not let in", fields, { reason });
  else log.write("debug", "not let in", fields);
}

type Scan = EventOf<"scanned"> | EventOf<"scan-failed">;

/** Of one request; a form or a directory may have thousands. */
const mostHeldOfOne = 8;
const mostHeld = 4_096;
const none: readonly Scan[] = [];

/** Scans whose request has no answer yet: their line says how it was answered, and is written before the client knows. */
function holdScans(log: Log) {
  const held = new Map<string, Scan[]>();
  return {
    hold(event: Scan): void {
      const level = event.kind === "scanned" ? levelOf(event) : failureLevels[event.code];
      if (!log.isOn(level)) return;
      const ofOne = held.get(event.requestId);
      if (ofOne === undefined) held.set(event.requestId, [event]);
      else if (ofOne.push(event) > mostHeldOfOne) this.write(event.requestId);
      if (held.size <= mostHeld) return;
      const [oldest = ""] = held.keys();
      this.write(oldest);
    },
    write(requestId: string): void {
      for (const one of this.release(requestId)) scan(log, one, null);
    },
    release(requestId: string): readonly Scan[] {
      const ofOne = held.get(requestId);
      if (ofOne === undefined) return none;
      held.delete(requestId);
      return ofOne;
    },
  };
}

function answered(
  log: Log,
  { requestId, givenId, client, method, route, status }: EventOf<"answered">,
  scans: readonly Scan[],
): void {
  const answer = { client, method, route, status };
  for (const one of scans) scan(log, givenId === null ? one : { ...one, requestId: givenId }, answer);
  if (scans.length > 0) return;
  const fields = { id: givenId ?? requestId, ...answer, method: method === null ? null : cut(method, maxNameLength) };
  if (status >= 400) log.writeCounted("warn", "refused", fields, { route, status });
  else if (log.isOn("debug")) log.write("debug", "answered", fields);
}

type Answer = Pick<EventOf<"answered">, "client" | "method" | "route" | "status">;

function scan(log: Log, event: Scan, answer: Answer | null): void {
  if (event.kind === "scanned") scanned(log, event, answer);
  else scanFailed(log, event, answer);
}

function levelOf({ verdict }: EventOf<"scanned">): LogLevel {
  return verdict.kind === "clean" ? "info" : "warn";
}

/** Text by hand: this line is made for each scan, and takes less than half of the time that it takes from an object by JSON.stringify. */
function scanned(log: Log, event: EventOf<"scanned">, answer: Answer | null): void {
  const { requestId, via, name, sha256, size, verdict, isAllowed, source, backend, seconds } = event;
  const level = levelOf(event);
  if (!log.isOn(level)) return;
  const body = `"id":${jsonString(requestId)},"via":"${via}","name":${jsonString(cut(name, maxNameLength))},"digest":"${sha256}","size":${size}`;
  const result = `${verdictPairs(verdict)},"allowed":${isAllowed},"source":"${source}"`;
  // Nobody scanned it where a verdict was remembered, as `source` says.
  const scannedBy = backend === null ? "" : `,"backend":${jsonString(backend)}`;
  const pairs = `${body},${result}${scannedBy},"seconds":${rounded(seconds)}${answer === null ? "" : answerPairs(answer)}`;
  log.write(level, "scanned", pairs, verdict.kind !== "clean");
}

function verdictPairs(verdict: Verdict): string {
  if (verdict.kind === "clean") return `"verdict":"clean"`;
  return escapeControlsInJson(JSON.stringify(verdictFields(verdict)).slice(1, -1));
}

function answerPairs({ client, method, route, status }: Answer): string {
  return `,"client":${jsonString(client)},"method":${method === null ? "null" : jsonString(method)},"route":"${route}","status":${status}`;
}

function scanFailed(
  log: Log,
  { via, requestId, name, code, detail, seconds }: EventOf<"scan-failed">,
  answer: Answer | null,
): void {
  const fields = {
    id: requestId,
    via,
    name: cut(name, maxNameLength),
    code,
    detail: cut(detail, maxDetailLength),
    seconds: rounded(seconds),
    ...answer,
  };
  log.writeCounted(failureLevels[code], "scan failed", fields, { via, code });
}

function downloadDenied(log: Log, { requestId, peer, host, detail }: EventOf<"download-denied">): void {
  const fields = { id: requestId, peer, host: cut(host, maxNameLength), detail: cut(detail, maxDetailLength) };
  log.writeCounted("warn", "download denied", fields, {});
}

const clamdRefusals = {
  peer: "clamd peer refused",
  connections: "clamd connection refused",
  command: "clamd command refused",
  unknown: "unknown clamd command",
} as const satisfies Record<ClamdRefusal, string>;

function clamdRefused(log: Log, { reason, peer, detail }: EventOf<"clamd-refused">): void {
  const fields = { peer, detail: cut(detail, maxCommandLength) };
  log.writeCounted(reason === "unknown" ? "debug" : "warn", clamdRefusals[reason], fields, {});
}

function download(log: Log, event: EventOf<"download">): void {
  const level = downloadLevels[event.outcome];
  if (!log.isOn(level)) return;
  const fields = {
    id: event.requestId,
    client: event.peer,
    method: cut(event.method, maxNameLength),
    url: event.url === null ? null : cut(event.url, maxDetailLength),
    status: event.status,
    outcome: event.outcome,
    code: event.code,
    detail: event.detail === null ? null : cut(event.detail, maxDetailLength),
    mode: event.mode,
    cache: event.cache,
    collapsed: event.isCollapsed,
    size: event.size,
    released: event.releasedBytes,
    downloadSeconds: rounded(event.downloadSeconds),
    scanSeconds: rounded(event.scanSeconds),
    seconds: rounded(event.seconds),
  };
  const { outcome, code } = event;
  // Nothing of an object was given: a client has as many of them as it likes.
  if (outcome === "failed" || outcome === "gone") log.writeCounted(level, "download", fields, { outcome, code });
  else log.write(level, "download", fields, outcome === "blocked");
}

function icap(log: Log, event: EventOf<"icap">): void {
  const { answer, verdict, code } = event;
  const level = icapLevels[answer];
  if (!log.isOn(level)) return;
  // Who it was is nobody's concern as long as all is well.
  const isNotable = code !== null || (verdict !== null && verdict.kind !== "clean");
  const fields = {
    id: event.requestId,
    peer: event.peer,
    tls: event.isTls,
    client: event.client,
    user: isNotable && event.user !== null ? cut(event.user, maxNameLength) : null,
    method: event.method,
    service: cut(event.service, maxNameLength),
    httpMethod: event.httpMethod === null ? null : cut(event.httpMethod, maxNameLength),
    httpStatus: event.httpStatus,
    url: event.url === null ? null : cut(event.url, maxDetailLength),
    size: event.size,
    digest: event.sha256,
    ...(verdict === null ? {} : verdictFields(verdict)),
    allowedFor: event.relaxedFor,
    answer,
    code,
    detail: event.detail === null ? null : cut(event.detail, maxDetailLength),
    preview: event.previewBytes,
    ieof: event.isInPreview,
    allow204: event.allows204,
    partial: event.isPartial,
    echoed: event.echoedBytes,
    released: event.releasedBytes,
    seconds: rounded(event.seconds),
  };
  if (code !== null) log.writeCounted(level, "icap", fields, { answer, code });
  else log.write(level, "icap", fields, answer === "block");
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
