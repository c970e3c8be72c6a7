/** Answers a client with the outcome of a download, from the very bytes that were scanned: whole, the part that was asked for, or the head alone (P40-P47). */

import type { Copy, GivenCopies, KnownCopies } from "../../core/given-copies.ts";
import type { SpooledBody } from "../../core/spool.ts";
import type { UrlVerdict } from "../../core/verdict-cache.ts";
import { batchBytes, type ClientExchange } from "./client-exchange.ts";
import type { DownloadHead, Outcome, Passed } from "./download.ts";
import type { DownloadRecord } from "./download-record.ts";
import type { DownloadRequest } from "./download-request.ts";
import { blockedAnswer, preconditionFailed, unsatisfiable } from "./own-answer.ts";
import { type ObjectHeadersOptions, objectHeaders, verdictLines } from "./response-headers.ts";
import { isSelective, type Selection, select, validatorsOf } from "./selection.ts";
import type { CutTrickles } from "./shared/cut-trickles.ts";

/** One understood request on its way to its answer. */
export interface Serving {
  readonly exchange: ClientExchange;
  readonly record: DownloadRecord;
  readonly request: DownloadRequest;
  /** The verdict that is remembered of the address, where it may be. */
  readonly known: UrlVerdict | null;
}

export interface DeliverParts {
  readonly givenCopies: GivenCopies;
  readonly cutTrickles: CutTrickles;
  readonly passSetCookie: boolean;
}

/** Nothing has been sent. Rejects where the client goes, or the spool fails; what has begun must be cut then. */
export async function deliver(serving: Serving, outcome: Outcome, parts: DeliverParts): Promise<void> {
  const { exchange, record } = serving;
  recordOutcome(serving, outcome);
  switch (outcome.kind) {
    case "bodiless":
      deliverBodiless(serving, outcome.head, outcome.head.status === 205 ? 0 : null, parts);
      return;
    case "blocked":
      record.outcome = "blocked";
      return await exchange.answer(blockedAnswer(outcome.result.report.verdict, record.cache));
    case "passed": {
      const { head, body } = outcome;
      const copy = copyOf(head, body.sha256);
      const given = isPartOfFile(outcome) ? give(serving, copy, parts) : null;
      const selection = selectionOf(serving, outcome, copy, given instanceof Promise ? await given : given, parts);
      await deliverSelection(serving, outcome, selection, parts);
      record.outcome = "delivered";
    }
  }
}

/** The head of an answer that has no body. */
export function deliverBodiless(serving: Serving, head: DownloadHead, bytes: number | null, parts: DeliverParts): void {
  serving.record.outcome = "bodiless";
  serving.exchange.begin(head.status, objectHeaders(head, bytes, headerOptions(serving, parts)));
  serving.exchange.end();
}

/** To the end of the response. */
export async function sendBody(exchange: ClientExchange, body: SpooledBody, start: number, end: number): Promise<void> {
  const { bytes } = body;
  if (bytes === null) for await (const chunk of body.read({ start, end })) await exchange.sendOwn([chunk]);
  else for (let at = start; at < end; at += batchBytes) await exchange.send([bytes.subarray(at, Math.min(end, at + batchBytes))]);
  exchange.end();
}

export function headerOptions({ request }: Serving, { passSetCookie }: DeliverParts): ObjectHeadersOptions {
  return { passSetCookie, gatewayId: request.source.headers.gatewayId, isRewritten: request.rewrite.length > 0 };
}

/** Before the first byte of a copy that a client may take for the file, or for a part of it; of a trickle, before the rest of it. */
export function give({ request }: Serving, copy: Copy, { givenCopies }: DeliverParts): ReturnType<GivenCopies["give"]> {
  return givenCopies.give(request.keys.address, copy, !isSelective(request.lines));
}

export function copyOf({ lines }: DownloadHead, sha256: Copy["sha256"]): Copy {
  return { sha256, validators: validatorsOf(lines) };
}

/** For the log, and for the headers that tell of the cache. */
export function recordOutcome({ record, known }: Serving, outcome: Outcome): void {
  record.downloadMs = outcome.downloadMs;
  record.scanMs = outcome.scanMs;
  if (outcome.kind === "bodiless") return;
  record.size = outcome.kind === "passed" ? outcome.body.size : outcome.size;
  if (outcome.kind === "passed" && known !== null && known.sha256 === outcome.body.sha256) record.cache = "hit";
}

async function deliverSelection(serving: Serving, outcome: Passed, selection: Selection, parts: DeliverParts): Promise<void> {
  const { exchange, record } = serving;
  const { head, body } = outcome;
  switch (selection.kind) {
    case "failed":
      return await exchange.answer(preconditionFailed());
    case "unsatisfiable":
      return await exchange.answer(unsatisfiable(body.size));
    case "whole":
    case "part": {
      const { start, end } = selection.kind === "part" ? selection : { start: 0, end: body.size };
      const lines = objectHeaders(head, end - start, headerOptions(serving, parts));
      if (selection.kind === "part") lines.push("Content-Range", `bytes ${start}-${end - 1}/${body.size}`);
      lines.push(...verdictLines(outcome, record.cache));
      exchange.begin(selection.kind === "part" ? 206 : head.status, lines);
      return await sendBody(exchange, body, start, end);
    }
  }
}

/** Errors are no parts of the file: whoever keeps them as such would keep anything. Nor is there a part of nothing. */
function isPartOfFile({ head, body }: Passed): boolean {
  return isSuccess(head) && body.size > 0;
}

function isSuccess({ status }: DownloadHead): boolean {
  return status >= 200 && status <= 299;
}

const nothingElse: KnownCopies = { isSole: () => true, isSoleWith: () => true };

function selectionOf(
  { request }: Serving,
  { head, body }: Passed,
  copy: Copy,
  given: KnownCopies | null,
  { cutTrickles }: DeliverParts,
): Selection {
  if (!isSuccess(head)) return { kind: "whole" };
  const isSliceable = head.status === 200 && request.rewrite.length === 0;
  // Of which copy is known when the trickle has ended.
  const isUnknown = cutTrickles.isRunning(request.keys.address);
  const known = body.size === 0 ? nothingElse : given;
  return select(request.lines, { copy, lines: head.lines, size: body.size, isSliceable }, isUnknown ? null : known);
}
