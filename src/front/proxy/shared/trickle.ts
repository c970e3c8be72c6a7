/** Keeps an impatient client with a few bytes of the object's own beginning, too few to be of use to a virus (download-proxy.md 2.3, H1-H6). */

import { setTimeout as delay } from "node:timers/promises";
import { untilAborted } from "../../../core/until-aborted.ts";
import type { ClientExchange } from "../client-exchange.ts";
import { copyOf, type DeliverParts, deliver, give, headerOptions, recordOutcome, type Serving, sendBody } from "../deliver.ts";
import type { DownloadHead, Outcome, Passed } from "../download.ts";
import { objectHeaders } from "../response-headers.ts";
import type { Share } from "./shared-downloads.ts";

export interface TricklePace {
  /** Nothing before that; shorter than the shortest patience in front. */
  readonly afterMs: number;
  /** Between two bytes; twice as long once half of them have been sent. */
  readonly intervalMs: number;
  /** In all: below the 68 of EICAR, the shortest thing that is called a virus. */
  readonly maxBytes: number;
}

export const trickleDefaults: TricklePace = { afterMs: 10_000, intervalMs: 10_000, maxBytes: 64 };

export interface TrickleParts extends DeliverParts {
  readonly trickle: TricklePace;
}

/** Answers from a share in a download, a few bytes of which may go out before. Rejects as `deliver`. */
export async function serveTrickling(serving: Serving, share: Share, parts: TrickleParts): Promise<void> {
  const { exchange, record, request } = serving;
  const { address } = request.keys;
  let endRun = () => {};
  let outcome: Outcome | null = null;
  try {
    const sent = await trickleUntilSettled(serving, share, parts, () => {
      endRun = parts.cutTrickles.run(address);
    });
    if (sent === 0) return await deliver(serving, await untilAborted(share.outcome, exchange.signal), parts);
    outcome = await share.outcome;
    recordOutcome(serving, outcome);
    if (isWhole(outcome)) await give(serving, copyOf(outcome.head, outcome.body.sha256), parts);
  } finally {
    if (record.releasedBytes > 0 && !isWhole(outcome)) await account(serving, share, outcome, parts);
    endRun();
  }
  if (isWhole(outcome)) {
    await sendBody(exchange, outcome.body, record.releasedBytes, outcome.body.size);
    record.outcome = "delivered";
  } else {
    record.outcome = "cut";
    exchange.cut();
  }
}

/**
 * Resolves when the outcome is there, however it is, with the number of bytes sent. Rejects only where the client has gone.
 * The bytes are a true prefix, and never include the last one.
 * @param onFirst before the first byte.
 */
async function trickleUntilSettled(serving: Serving, share: Share, parts: TrickleParts, onFirst: () => void): Promise<number> {
  const { exchange, record } = serving;
  const pace = parts.trickle;
  const settled = share.outcome.then(
    () => true,
    () => true,
  );
  let sent = 0;
  let waitMs = pace.afterMs;
  for (;;) {
    const waiting = new AbortController();
    const signal = AbortSignal.any([exchange.signal, waiting.signal]);
    const isSettled = await Promise.race([settled, pause(waitMs, signal)]);
    waiting.abort();
    exchange.signal.throwIfAborted();
    if (isSettled) return sent;
    const { head, prefix, receivedBytes } = share.progress;
    waitMs = sent * 2 >= pace.maxBytes ? 2 * pace.intervalMs : pace.intervalMs;
    if (head === null || !mayTrickle(head, exchange) || sent >= pace.maxBytes || sent >= prefix.length) continue;
    const size = head.declaredBytes ?? receivedBytes;
    if (sent + 1 >= Math.min(size, receivedBytes)) continue;
    if (sent === 0) {
      onFirst();
      // Or nginx keeps the bytes to itself (H5).
      const lines = [...objectHeaders(head, head.declaredBytes, headerOptions(serving, parts)), "X-Accel-Buffering", "no"];
      exchange.begin(head.status, lines);
    }
    record.releasedBytes += 1;
    await exchange.send([prefix.slice(sent, sent + 1)]);
    sent += 1;
  }
}

/** Once a status is sent it cannot be taken back, so only the one that will most likely be it. A client that cannot tell a cut body from a whole one (H4) gets a head only where the length is known. */
function mayTrickle({ status, declaredBytes }: DownloadHead, { knowsChunks }: ClientExchange): boolean {
  return status === 200 && (declaredBytes !== null || knowsChunks);
}

async function pause(ms: number, signal: AbortSignal): Promise<false> {
  await delay(ms, undefined, { signal }).catch(() => {}); // no longer needed
  return false;
}

/** What has begun can be brought to its end. */
function isWhole(outcome: Outcome | null): outcome is Passed {
  return outcome?.kind === "passed" && (outcome.head.declaredBytes ?? outcome.body.size) === outcome.body.size;
}

/** The bytes that are out are of a copy that nobody has found clean, so what comes next is no rest of it; and it is not to be asked for at once. */
async function account(serving: Serving, share: Share, outcome: Outcome | null, parts: TrickleParts): Promise<void> {
  const { exchange, request } = serving;
  const { head } = share.progress;
  if (head !== null) await give(serving, copyOf(head, null), parts);
  // A client that goes by itself is no cut.
  if (exchange.signal.aborted) return;
  parts.cutTrickles.add(request.keys.address, outcome?.kind === "blocked" ? outcome.result.report : null);
}
