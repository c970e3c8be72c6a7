/** The head of a delivered object: the origin's end-to-end headers, its length, and what the scan has to say (download-proxy.md P40, P45-P48). */

import { type HeaderLines, pairs } from "../../egress/header-lines.ts";
import type { DownloadHead, Outcome } from "./download.ts";
import type { CacheResult } from "./own-answer.ts";
import { type ResponseHeadersOptions, responseHeaders } from "./response-headers.ts";

export interface ObjectHeadersOptions extends ResponseHeadersOptions {
  /** The body is not the origin's: a tag can no longer promise its bytes, and a digest no longer fits. */
  readonly isRewritten: boolean;
}

/** @param bytes null: chunked, or said by nobody. */
export function objectHeaders(head: DownloadHead, bytes: number | null, options: ObjectHeadersOptions): string[] {
  const passed = responseHeaders(head.lines, options);
  const lines = options.isRewritten ? rewritten(passed) : passed;
  if (bytes !== null) lines.push("Content-Length", String(bytes));
  // A part is served to whoever asks, from the copy of its own request. Nobody is invited: each part costs a whole download (P45).
  lines.push("Accept-Ranges", "none");
  return lines;
}

/** Only ever sent after the verdict (P48). */
export function verdictLines({ body, judgement }: Extract<Outcome, { kind: "passed" }>, cache: CacheResult): string[] {
  const { verdict } = judgement.report;
  const { relaxedFor } = judgement.decision;
  const lines = ["X-Clamgate-Verdict", verdict.kind, "X-Clamgate-Cache", cache, "X-Clamgate-Sha256", body.sha256];
  if (relaxedFor !== null) lines.push("X-Clamgate-Allowed", relaxedFor);
  return lines;
}

const ofTheBytes: ReadonlySet<string> = new Set(["content-md5", "digest", "repr-digest", "content-digest"]);

function rewritten(lines: HeaderLines): string[] {
  const kept: string[] = [];
  for (const [name, value] of pairs(lines)) {
    const lower = name.toLowerCase();
    if (ofTheBytes.has(lower)) continue;
    kept.push(name, lower === "etag" && value.startsWith('"') ? `W/${value}` : value);
  }
  return kept;
}
