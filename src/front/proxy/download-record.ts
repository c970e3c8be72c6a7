/** What is known of one request to the proxy, gathered on its way for the one line that the log has of it (download-proxy.md P77). */

import type { ClamgateError } from "../../core/errors.ts";
import type { DownloadMode, DownloadOutcome, GatewayEvent } from "../../core/events.ts";
import type { CacheResult } from "./own-answer.ts";

export interface DownloadRecord {
  readonly requestId: string;
  readonly peer: string;
  readonly method: string;
  readonly startedAt: number;
  /** The id of a client that has shown who it is. */
  who: string | null;
  /** Without its query. */
  url: string | null;
  host: string | null;
  mode: DownloadMode;
  cache: CacheResult;
  outcome: DownloadOutcome;
  error: ClamgateError | null;
  isCollapsed: boolean;
  size: number;
  releasedBytes: number;
  downloadMs: number;
  scanMs: number;
}

export function openRecord({
  requestId,
  peer,
  method,
  startedAt,
}: Pick<DownloadRecord, "requestId" | "peer" | "method" | "startedAt">): DownloadRecord {
  return {
    requestId,
    peer,
    method,
    startedAt,
    who: null,
    url: null,
    host: null,
    mode: "strict",
    cache: "off",
    outcome: "failed",
    error: null,
    isCollapsed: false,
    size: 0,
    releasedBytes: 0,
    downloadMs: 0,
    scanMs: 0,
  };
}

export function downloadEvent(record: DownloadRecord, status: number, endedAt: number): GatewayEvent {
  const { requestId, peer, who, method, url, outcome, error, mode, cache, isCollapsed, size, releasedBytes } = record;
  return {
    kind: "download",
    requestId,
    peer,
    who,
    method,
    url,
    status,
    outcome,
    code: error?.code ?? null,
    detail: error?.message ?? null,
    mode,
    cache,
    isCollapsed,
    size,
    releasedBytes,
    downloadSeconds: record.downloadMs / 1000,
    scanSeconds: record.scanMs / 1000,
    seconds: (endedAt - record.startedAt) / 1000,
  };
}
