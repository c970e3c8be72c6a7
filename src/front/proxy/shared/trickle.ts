/** Answers an impatient client with the first bytes of the object before its outcome is known (download-proxy.md 2.3, H1-H6). */

import { type TricklePace, type TrickleSource, trickleUntilSettled } from "../../../core/trickle.ts";
import { untilAborted } from "../../../core/until-aborted.ts";
import type { ClientExchange } from "../client-exchange.ts";
import { copyOf, type DeliverParts, deliver, give, headerOptions, recordOutcome, type Serving, sendBody } from "../deliver.ts";
import type { DownloadHead, Outcome, Passed } from "../download.ts";
import { objectHeaders } from "../response-headers.ts";
import type { Share } from "./shared-downloads.ts";

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
    const source = sourceOf(serving, share, parts, () => {
      endRun = parts.cutTrickles.run(address);
    });
    await trickleUntilSettled(share.outcome, source, parts.trickle, exchange.signal);
    exchange.signal.throwIfAborted();
    if (record.releasedBytes === 0) return await deliver(serving, await untilAborted(share.outcome, exchange.signal), parts);
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

/** @param onFirst before the first byte. */
function sourceOf(serving: Serving, share: Share, parts: TrickleParts, onFirst: () => void): TrickleSource {
  const { exchange, record } = serving;
  return {
    arrived() {
      const { head, prefix, receivedBytes } = share.progress;
      if (head === null || !mayTrickle(head, exchange)) return null;
      return { prefix, bytes: Math.min(head.declaredBytes ?? receivedBytes, receivedBytes) };
    },
    async send(byte) {
      const { head } = share.progress;
      if (record.releasedBytes === 0 && head !== null) {
        onFirst();
        // Or nginx keeps the bytes to itself (H5).
        const lines = [...objectHeaders(head, head.declaredBytes, headerOptions(serving, parts)), "X-Accel-Buffering", "no"];
        exchange.begin(head.status, lines);
      }
      record.releasedBytes += 1;
      await exchange.send([byte]);
    },
  };
}

/** Once a status is sent it cannot be taken back, so only the one that will most likely be it. A client that cannot tell a cut body from a whole one (H4) gets a head only where the length is known. */
function mayTrickle({ status, declaredBytes }: DownloadHead, { knowsChunks }: ClientExchange): boolean {
  return status === 200 && (declaredBytes !== null || knowsChunks);
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
