/** What becomes of one encapsulated message: its body is read to its end and scanned, as it came, unpacked, and part by part. */

import { contentLengthOf, type HttpHead } from "../../codec/icap/http-head.ts";
import { isCoded, readCodings } from "../../core/content-coding.ts";
import { ClamgateError, toClamgateError } from "../../core/errors.ts";
import type { Scan } from "../../core/scan.ts";
import { type Decision, decide, type Policy } from "../../core/scan.ts";
import { type Codings, type Finding, type ScannedLayers, scanLayers, worstOf } from "../../core/scan-layers.ts";
import type { SpooledBody } from "../../core/spool.ts";
import { namesOf, type ScanReport, type Unscannable, type Verdict } from "../../core/verdict.ts";
import { scanForm } from "./form.ts";
import type { MessageBody } from "./message-body.ts";

export type ScanResult =
  /** There is a verdict, or nothing to have one on. */
  | {
      readonly kind: "scanned";
      readonly verdict: Verdict;
      readonly decision: Decision;
      /** Of what was found, the most telling first; more than the verdict names where several parts are infected. */
      readonly names: readonly string[];
      /** Null where no engine was asked. */
      readonly report: ScanReport | null;
      /** Null where there is none, or where it was too large to be kept. To be disposed. */
      readonly body: SpooledBody | null;
    }
  | { readonly kind: "failed"; readonly error: ClamgateError };

export interface ScanMessageOptions {
  readonly scan: Scan;
  readonly policy: Policy;
  readonly maxParts: number;
  readonly requestId: string;
  /** For the log. */
  readonly name: string;
  /** As `ScanOptions.client`. */
  readonly client: string;
  readonly signal: AbortSignal;
  /** Of the message whose body it is. */
  readonly head: HttpHead;
  /** A request's body may be a form. */
  readonly isRequest: boolean;
  readonly isPartial: boolean;
}

const clean: Verdict = { kind: "clean" };
const tooLarge: Unscannable = { kind: "unscannable", reason: "too-large", heuristic: null };
const unsupported: Unscannable = { kind: "unscannable", reason: "unsupported", heuristic: null };

/** Never rejects. */
export async function scanMessage(message: MessageBody, options: ScanMessageOptions): Promise<ScanResult> {
  /** The body as it came, for a verdict that scanLayers does not return with. */
  let kept: SpooledBody | null = null;
  const keeping: Scan = async (source, asked) => {
    const scanned = await options.scan(source, asked);
    kept ??= scanned.body.hold();
    return scanned;
  };
  try {
    if (!(await message.begins())) return decided(clean, null);
    const layers = await scanAll(keeping, message, options);
    return { kind: "scanned", ...layers, body: kept };
  } catch (thrown) {
    const error = toClamgateError(thrown);
    if (error.code === "too-large") return decided(tooLarge, kept);
    if (error.code === "undecodable") return decided(unsupported, kept);
    await (kept as SpooledBody | null)?.[Symbol.asyncDispose]();
    return { kind: "failed", error };
  }

  function decided(verdict: Verdict, body: SpooledBody | null): ScanResult {
    return { kind: "scanned", verdict, decision: decide(verdict, options.policy), names: namesOf(verdict), report: null, body };
  }
}

interface Found {
  readonly verdict: Verdict;
  readonly decision: Decision;
  readonly names: readonly string[];
  readonly report: ScanReport;
}

async function scanAll(scan: Scan, message: MessageBody, options: ScanMessageOptions): Promise<Found> {
  const { head, requestId, name, client, signal } = options;
  const codings = codingsOf(options);
  const expectedBytes = contentLengthOf(head);
  const asked = {
    via: "icap",
    requestId,
    name,
    client,
    signal,
    codings: codings === "too-many" ? null : codings,
    ...(expectedBytes === null ? {} : { expectedBytes }),
    ...(codings === "too-many" ? { insteadOfClean: unsupported } : {}),
  } as const;
  const layers = await scanLayers(scan, message, asked);
  try {
    const whole: Finding = { report: layers.report, decision: layers.decision };
    if (!options.isRequest || !whole.decision.isAllowed) return found([whole], null, options);
    const form = await formIn(layers, asked, options);
    return found([whole, ...(form?.findings ?? [])], form?.fault ?? null, options);
  } finally {
    await layers[Symbol.asyncDispose]();
  }
}

function formIn(layers: ScannedLayers, asked: Parameters<typeof scanLayers>[2], options: ScanMessageOptions) {
  const { scan, maxParts, head } = options;
  const { insteadOfClean: _, ...plain } = asked;
  return scanForm(layers, { scan, maxParts, layers: plain, contentTypes: head.values("content-type") });
}

/** The worst counts, and all infections are named. */
function found(findings: readonly Finding[], fault: Unscannable | null, { policy }: ScanMessageOptions): Found {
  const [whole] = findings;
  if (whole === undefined) throw new RangeError("nothing was found of nothing");
  const { report, decision } = findings.length === 1 ? whole : worstOf(whole, findings);
  if (decision.isAllowed && fault !== null) {
    return { verdict: fault, decision: decide(fault, policy), names: namesOf(fault), report: { ...report, verdict: fault } };
  }
  const { verdict } = report;
  if (verdict.kind !== "infected") return { verdict, decision, names: namesOf(verdict), report };
  const infections = findings.filter((one) => one.report.verdict.kind === "infected");
  const names = infections.flatMap((one) => namesOf(one.report.verdict));
  return { verdict, decision, names: [...new Set(names)], report };
}

/** A part of a file cannot be decoded by itself. */
function codingsOf({ head, isPartial }: ScanMessageOptions): Codings | null | "too-many" {
  if (isPartial) return null;
  const lines = head.values("content-encoding");
  try {
    return isCoded(lines) ? readCodings(lines) : null;
  } catch (error) {
    if (error instanceof ClamgateError && error.code === "undecodable") return "too-many";
    throw error;
  }
}

/** 206, or one that says so in another way: the file is never seen whole. */
export function isPartialContent(head: HttpHead): boolean {
  const isByteranges = head.values("content-type").some((value) => /^multipart\/byteranges\b/i.test(value));
  return head.status === 206 || isByteranges || head.values("content-range").length > 0;
}
