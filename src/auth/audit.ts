/** The record of what was asked: one line of JSON for each body and each request, before its client knows, and for each change of who may ask. */

import { createHash } from "node:crypto";
import type { AccessRefusal, Emit, GatewayEvent } from "../core/events.ts";
import type { Verdict } from "../core/verdict.ts";

export interface AuditOptions {
  /** A whole line with its line feed; false where it could not be written. */
  readonly write: (line: string) => boolean;
  /** AUDIT_NAMES: of files and addresses, which tell of persons. */
  readonly names: "plain" | "hash" | "none";
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export interface Audit {
  readonly emit: Emit;
  /** Whether all lines were written; where some were not, one that says so is tried. */
  canRecord(): boolean;
  /** Whether the last request over REST is on record, to be asked before its answer is given. */
  wasRecorded(): boolean;
}

type EventOf<K extends GatewayEvent["kind"]> = Extract<GatewayEvent, { readonly kind: K }>;
type Scan = EventOf<"scanned"> | EventOf<"scan-failed">;
type Fields = Readonly<Record<string, unknown>>;

/** Requests whose answer is still to come. Their scans are written without a status where there are more. */
const mostHeld = 4_096;
const mostHeldOfOne = 1_000;
/** What a client may send of it is no more use. */
const longestText = 1_000;

export function createAudit({ write, names, now }: AuditOptions): Audit {
  const held = new Map<string, Scan[]>();
  let refusal: { readonly requestId: string; readonly reason: AccessRefusal } | null = null;
  let lostLines = 0;
  let isLastWhole = true;

  function record(event: string, fields: Fields): void {
    if (!write(lineOf(event, fields))) lostLines += 1;
  }

  function lineOf(event: string, fields: Fields): string {
    return `${JSON.stringify({ time: new Date(now()).toISOString(), event, ...fields })}\n`;
  }

  function named(name: string | null): Fields {
    if (names === "none" || name === null || name === "") return {};
    return { name: names === "plain" ? name.slice(0, longestText) : createHash("sha256").update(name).digest("hex") };
  }

  function hold(scan: Scan): void {
    const ofOne = held.get(scan.requestId) ?? [];
    if (ofOne.length === 0) held.set(scan.requestId, ofOne);
    ofOne.push(scan);
    const [oldest] = held.keys();
    const full = ofOne.length > mostHeldOfOne ? scan.requestId : held.size > mostHeld ? oldest : undefined;
    if (full !== undefined) for (const one of release(full)) recordScan(one, {});
  }

  function release(requestId: string): readonly Scan[] {
    const ofOne = held.get(requestId) ?? [];
    held.delete(requestId);
    return ofOne;
  }

  function recordScan(scan: Scan, request: Fields): void {
    const { requestId: id, via } = scan;
    const judged =
      scan.kind === "scanned"
        ? { sha256: scan.sha256, size: scan.size, ...verdictFields(scan.verdict, scan.isAllowed) }
        : { verdict: null, code: scan.code };
    record("scan", { id, via, ...request, ...named(scan.name), ...judged });
  }

  function answered({ requestId, givenId, client, who, method, route, status }: EventOf<"answered">): void {
    const reason = refusal?.requestId === requestId ? refusal.reason : null;
    refusal = null;
    const request = { id: givenId ?? requestId, who, from: client, method, route, status };
    const scans = release(requestId);
    for (const scan of scans) recordScan(scan, request);
    if (scans.length === 0) record("request", { ...request, via: "rest", ...(reason === null ? {} : { reason }) });
  }

  function download(event: EventOf<"download">): void {
    const { requestId: id, who, peer: from, method, url, status, outcome, code } = event;
    const reason = refusal?.requestId === id ? { reason: refusal.reason } : {};
    refusal = null;
    const request = { who, from, method, status, outcome };
    // A download that others share is scanned once, for the one who began it.
    const scans = release(id);
    for (const scan of scans) recordScan(scan, request);
    if (scans.length === 0) record("request", { id, via: "proxy", ...request, ...named(url), code, ...reason });
  }

  function icap({
    requestId: id,
    peer: from,
    user,
    client,
    url,
    size,
    sha256,
    verdict,
    relaxedFor,
    answer,
    code,
  }: EventOf<"icap">): void {
    const judged = verdict === null ? { verdict } : verdictFields(verdict, verdict.kind === "clean" || relaxedFor !== null);
    record("scan", { id, via: "icap", from, for: client, user, answer, ...named(url), sha256, size, ...judged, code });
  }

  return {
    canRecord() {
      if (lostLines > 0 && write(lineOf("lines-lost", { lines: lostLines }))) lostLines = 0;
      return lostLines === 0;
    },
    wasRecorded: () => isLastWhole,
    emit(event) {
      switch (event.kind) {
        case "scanned":
        case "scan-failed":
          if (event.via === "clamd") recordScan(event, {});
          else if (event.via !== "icap") hold(event);
          return;
        case "access-refused":
          refusal = event;
          return;
        case "answered": {
          const before = lostLines;
          answered(event);
          isLastWhole = lostLines === before;
          return;
        }
        case "download":
          return download(event);
        case "icap":
          return icap(event);
        case "keys-changed":
          return record("keys-changed", { added: event.added, removed: event.removed, changed: event.changed });
        case "key-file-failed":
          if (!event.isRepeated) record("key-file-failed", { reason: event.reason });
          return;
        case "signatures-loaded":
          return record("signatures-loaded", { set: event.set, files: event.files, testOnly: event.isTestOnly });
        case "signatures-rejected":
          return record("signatures-rejected", { set: event.set, reason: event.reason.slice(0, longestText) });
        default:
      }
    },
  };
}

/** By what a body may pass: it was clean, or the operator's policy lets it. Null: it may not. */
function verdictFields(verdict: Verdict, isAllowed: boolean): Fields {
  const allowedBy = isAllowed ? (verdict.kind === "clean" ? "clean" : "policy") : null;
  switch (verdict.kind) {
    case "clean":
      return { verdict: "clean", allowedBy };
    case "infected":
      return { verdict: "infected", signatures: verdict.signatures, allowedBy };
    case "unscannable":
      return { verdict: "unscannable", reason: verdict.reason, allowedBy };
  }
}
