/** One event of every kind, for tests that must not forget one. */

import type { GatewayEvent } from "../../src/core/events.ts";
import type { EngineVersion } from "../../src/core/verdict.ts";

export type ScannedEvent = Extract<GatewayEvent, { readonly kind: "scanned" }>;

export const version: EngineVersion = {
  engine: "1.4.6",
  database: 27800,
  databaseTime: new Date("2026-01-02T03:04:05Z"),
  databaseDate: "Fri Jan  2 03:04:05 2026",
  tag: "abc123",
};

export const scanned: ScannedEvent = {
  kind: "scanned",
  via: "rest",
  requestId: "r-1",
  name: "report.pdf",
  sha256: "ab".repeat(32),
  size: 1234,
  verdict: { kind: "clean" },
  isAllowed: true,
  source: "engine",
  backend: "local",
  queueSeconds: 0.25,
  scanSeconds: 0.004,
  seconds: 0.2543214321,
};

export const everyEvent: { readonly [K in GatewayEvent["kind"]]: Extract<GatewayEvent, { readonly kind: K }> } = {
  scanned,
  "scan-failed": {
    kind: "scan-failed",
    via: "proxy",
    requestId: "r-2",
    name: "big.iso",
    code: "scan-timeout",
    detail: "no answer within 60 s",
    seconds: 60,
  },
  "backend-up": { kind: "backend-up", backend: "local", version },
  "backend-down": { kind: "backend-down", backend: "local", reason: "connection refused" },
  "child-started": { kind: "child-started", child: "clamd", pid: 42 },
  "child-line": { kind: "child-line", child: "clamd", line: "SelfCheck: Database status OK." },
  "child-exited": { kind: "child-exited", child: "clamd", reason: "signal SIGKILL", restartInMs: 500 },
  "signatures-loaded": { kind: "signatures-loaded", set: "epoch-3", files: 4, isTestOnly: false, seconds: 12.5 },
  "signatures-rejected": { kind: "signatures-rejected", set: "epoch-4", reason: "malformed database" },
  "signature-file-kept-out": { kind: "signature-file-kept-out", file: "bad.ndb", reason: "Malformed database" },
  "signatures-checked": { kind: "signatures-checked", outcome: "up-to-date", detail: "exit code 0", seconds: 1.5 },
  "cache-failed": { kind: "cache-failed", operation: "get", detail: "database is locked" },
  "scan-awaited": { kind: "scan-awaited", outcome: "lapsed", seconds: 3.0000004 },
  download: {
    kind: "download",
    requestId: "r-3",
    method: "GET",
    url: "https://files.example/a.whl",
    status: 200,
    outcome: "delivered",
    code: null,
    detail: null,
    mode: "drip",
    cache: "miss",
    isCollapsed: false,
    size: 5000,
    releasedBytes: 3,
    downloadSeconds: 1.5,
    scanSeconds: 0.25,
    seconds: 2.0000004,
  },
  "download-denied": {
    kind: "download-denied",
    requestId: "r-4",
    peer: "192.0.2.7",
    host: "inside.example",
    detail: "a private address",
  },
  "deprecated-endpoint": { kind: "deprecated-endpoint" },
  notice: { kind: "notice", level: "info", message: "listening" },
};
