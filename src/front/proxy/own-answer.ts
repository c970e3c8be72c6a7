/** What the gateway itself says to a downloading client: `{"detail": …}` and its status, nothing of an origin (download-proxy.md P6, P7, S16). */

import type { ClamgateError } from "../../core/errors.ts";
import type { Verdict } from "../../core/verdict.ts";
import { downloadStatus } from "./download-status.ts";
import type { HeaderLines } from "./header-lines.ts";

export interface OwnAnswer {
  readonly status: number;
  readonly lines: HeaderLines;
  readonly body: string;
}

export type CacheResult = "hit" | "miss" | "off";

/** Names of signatures beyond this are left out: headers have limits. */
const maxNames = 20;

/** P6: the seed's 44 bytes, which its clients may look for. A body that no engine can look at is 413 where it is too large for it. */
export function blockedAnswer(verdict: Verdict, cache: CacheResult): OwnAnswer {
  const isTooLarge = verdict.kind === "unscannable" && verdict.reason === "too-large";
  const [status, detail] = isTooLarge ? [413, "The download is too large"] : [409, "This resource contains a virus!"];
  const names = namesOf(verdict).slice(0, maxNames).map(visible);
  return ownAnswer(status, detail, [
    "X-Clamgate-Verdict",
    verdict.kind,
    "X-Clamgate-Cache",
    cache,
    ...(names.length === 0 ? [] : ["X-Clamgate-Signature", names.join(", ")]),
  ]);
}

export function errorAnswer({ code, publicMessage }: ClamgateError, retryAfterSeconds: number): OwnAnswer {
  const status = downloadStatus[code];
  return ownAnswer(status, publicMessage, status === 503 ? ["Retry-After", String(retryAfterSeconds)] : []);
}

/** P8 */
export function wrongMethod(): OwnAnswer {
  return ownAnswer(405, "Method Not Allowed", ["Allow", "GET, HEAD"]);
}

/** RFC 9110 §10.1.1 */
export function unknownExpectation(): OwnAnswer {
  return ownAnswer(417, "Only 100-continue can be expected");
}

/** RFC 9110 §15.5.17 */
export function unsatisfiable(size: number): OwnAnswer {
  return ownAnswer(416, "The range is not within the file", ["Content-Range", `bytes */${size}`]);
}

export function ownAnswer(status: number, detail: string, lines: HeaderLines = []): OwnAnswer {
  const body = JSON.stringify({ detail });
  return { status, lines: ["Content-Type", "application/json", "Cache-Control", "no-store", ...lines], body };
}

function namesOf(verdict: Verdict): readonly string[] {
  switch (verdict.kind) {
    case "clean":
      return [];
    case "infected":
      return verdict.signatures;
    case "unscannable":
      return [verdict.heuristic ?? `Heuristics.Clamgate.${verdict.reason}`];
  }
}

/** A name comes from a signature file; one that no header may carry must not turn a virus into a fault of ours. */
function visible(name: string): string {
  return name.slice(0, 200).replace(/[^\x20-\x7e]/g, "?");
}
