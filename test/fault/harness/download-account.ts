/** The account of a run of downloads: what each client truly received, byte by byte, held against what the file is. */

import assert from "node:assert/strict";
import { eicar, marker } from "../../live/clamd.ts";
import type { Exchange } from "./counting-client.ts";
import type { Subject } from "./subjects.ts";

export interface DownloadTotals {
  readonly opened: number;
  readonly delivered: number;
  readonly refused: number;
  readonly cut: number;
  readonly left: number;
  /** Neither a whole answer, nor a cut one, nor left. */
  readonly unanswered: number;
  readonly slowestMs: number;
  readonly statuses: Readonly<Record<string, number>>;
}

export interface DownloadAccount {
  /**
   * @param file what an honest origin would have sent; null where the origin is none.
   * @param before the clean file that this address had until then: a stream that is cut may have begun with bytes of it.
   */
  request(file: Subject | null, send: () => Promise<Exchange>, before?: Subject): Promise<Exchange>;
  totals(): DownloadTotals;
  readonly faults: {
    /** I1: a byte of an infected file, or more of one than the mode allows before its verdict. */
    readonly releasedInfected: string[];
    /** I1: a whole answer that is less than the file. */
    readonly completedShort: string[];
    /** I2: a clean file of an honest origin that was neither delivered nor refused. */
    readonly cleanCut: string[];
    /** I3: other bytes than the file's. */
    readonly otherBytes: string[];
  };
}

export interface DownloadAccountOptions {
  /** Bytes that may go out before a verdict: 0, or the budget of a trickle. */
  readonly mayRelease: number;
  /** Whether a clean file may be cut: where something else than the gateway ends its answers. */
  readonly mayCut?: boolean;
}

export function openDownloadAccount({ mayRelease, mayCut = false }: DownloadAccountOptions): DownloadAccount {
  const counts = { opened: 0, delivered: 0, refused: 0, cut: 0, left: 0, unanswered: 0, slowestMs: 0 };
  const statuses: Record<string, number> = {};
  const faults: DownloadAccount["faults"] = { releasedInfected: [], completedShort: [], cleanCut: [], otherBytes: [] };

  function judge(file: Subject | null, { answer, cutBody }: Exchange, before: Subject | undefined): void {
    const isDelivered = answer !== null && answer.status >= 200 && answer.status < 300;
    const body = answer?.body ?? cutBody ?? Buffer.alloc(0);
    const label = `${file?.name ?? "no file"}: ${answer?.status ?? "cut"}, ${body.length} of ${file?.bytes.length} bytes`;
    // A trickle is shorter than any malware; what is longer holds none.
    const mayBeTrickle = answer === null && body.length <= mayRelease;
    if (!mayBeTrickle && (body.includes(marker) || body.includes(eicar))) faults.releasedInfected.push(label);
    // Bytes that the clean file had at the same place have been scanned, in it.
    const isScanned = before !== undefined && !isDelivered && isBeginningOf(body, before);
    const isReleased = answer === null && body.length > mayRelease && !isScanned;
    if (file === null) {
      if (isReleased) faults.releasedInfected.push(label);
      if (isDelivered) faults.completedShort.push(label);
      return;
    }
    // What a refusal says is its own, and nothing of the file.
    const isRefusal = answer !== null && !isDelivered;
    const isLeaking = isRefusal && body.length > mayRelease && isBeginningOf(body, file);
    if (file.truth !== "clean" && (isDelivered || isReleased || isLeaking)) faults.releasedInfected.push(label);
    if (isDelivered && answer.status !== 206 && body.length < file.bytes.length) faults.completedShort.push(label);
    if (!isScanned && !isRefusal && !isBeginningOf(body, file)) faults.otherBytes.push(label);
  }

  return {
    async request(file, send, before) {
      counts.opened += 1;
      const exchange = await send();
      const { answer, hasLeft, cutBody, elapsedMs } = exchange;
      counts.slowestMs = Math.max(counts.slowestMs, elapsedMs);
      // A reset that overtakes the head discards it.
      const isCut = cutBody !== null || exchange.fault?.includes("ECONNRESET") === true;
      const status = String(answer?.status ?? (hasLeft ? "left" : isCut ? "cut" : `unanswered: ${exchange.fault}`));
      statuses[status] = (statuses[status] ?? 0) + 1;
      if (answer !== null) counts[answer.status < 300 ? "delivered" : "refused"] += 1;
      else if (hasLeft) counts.left += 1;
      else if (isCut) counts.cut += 1;
      else counts.unanswered += 1;
      judge(file, exchange, before);
      if (file?.truth === "clean" && isCut && answer === null && !hasLeft && !mayCut)
        faults.cleanCut.push(`${file.name}: ${status}`);
      return exchange;
    },
    totals: () => ({ ...counts, statuses: { ...statuses } }),
    faults,
  };
}

/** I1, I2 and I3 of every run of downloads. */
export function assertDownloadInvariants({ faults, totals }: DownloadAccount, { withinMs }: { readonly withinMs: number }): void {
  assert.deepEqual(faults.releasedInfected, [], "I1: bytes of infected files were given out");
  assert.deepEqual(faults.completedShort, [], "I1: less than the file looks whole");
  assert.deepEqual(faults.otherBytes, [], "I3: other bytes than the file's");
  assert.deepEqual(faults.cleanCut, [], "I2: clean files that were cut");
  const { opened, delivered, refused, cut, left, unanswered, slowestMs, statuses } = totals();
  assert.equal(unanswered, 0, `I2: requests without an answer: ${JSON.stringify(statuses)}`);
  assert.equal(delivered + refused + cut + left, opened, `I2: answers = requests: ${JSON.stringify(statuses)}`);
  assert.ok(slowestMs <= withinMs, `I2: the slowest answer took ${slowestMs.toFixed(0)} ms`);
}

function isBeginningOf(body: Buffer, { bytes }: Subject): boolean {
  return body.equals(bytes.subarray(0, body.length));
}
