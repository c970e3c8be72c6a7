/** Answers from a scanned copy that equal requests share; an impatient client may get a few bytes of it before (download-proxy.md 2.3, P70). */

import { isAuthorized } from "../../../egress/request-headers.ts";
import { originOf } from "../../../egress/target.ts";
import { type Passed, sendBody } from "../deliver.ts";
import { type Download, type DownloadParts, type Outcome, startDownload } from "../download.ts";
import { objectHeaders } from "../response-headers.ts";
import { isSelective } from "../selection.ts";
import { conclude, copyOf, fetchFor, give, headerOptions, note, orderFor, outcomeOf, type Serving } from "../serving.ts";
import type { DownloadSlots, Release } from "./download-slots.ts";
import type { SharedDownload, SharedDownloads } from "./shared-downloads.ts";
import { isShareable } from "./shared-downloads.ts";
import type { CutDrips } from "./trickle.ts";
import { type DripPace, dripUntilSettled } from "./trickle.ts";

export interface ServeSharedParts extends DownloadParts {
  readonly shared: SharedDownloads;
  readonly slots: DownloadSlots;
  readonly cutDrips: CutDrips;
  readonly drip: DripPace;
}

/** Rejects with what the client is to be told, or with the reason for which what has begun must be cut. */
export async function serveShared(serving: Serving, parts: ServeSharedParts): Promise<void> {
  const { exchange, record, asked, keys } = serving;
  // Another source has a gate of its own. What one of them may have remembered is of no concern to the other.
  const key = `${keys.request} ${asked.isCacheOn} ${asked.source.id}`;
  const ticket = parts.shared.join(key, (signal) => begin(serving, signal, parts));
  try {
    const isDripping = asked.mode === "drip" && !isSelective(exchange.request.rawHeaders);
    if (isDripping) await serveDripping(serving, ticket.download, parts);
    else await conclude(serving, await outcomeOf(ticket.download, serving));
  } finally {
    record.isCollapsed = ticket.isCollapsed();
    await ticket[Symbol.asyncDispose]();
  }
}

function begin(serving: Serving, signal: AbortSignal, parts: ServeSharedParts): SharedDownload {
  const { asked, exchange } = serving;
  const isForAll = Promise.withResolvers<boolean>();
  let release: Release = () => {};
  const order = orderFor(serving, signal, async () => {
    release = parts.slots.takeDownload(originOf(asked.target));
    const response = await fetchFor(serving, "GET", signal);
    const heads = [...response.redirects, response.rawHeaders];
    isForAll.resolve(isShareable(heads, isAuthorized(exchange.request.rawHeaders, asked.source.headers)));
    return response;
  });
  const download = startDownload(order, parts);
  const end = () => {
    release();
    // Where there was no answer, all get the same failure.
    isForAll.resolve(true);
  };
  download.outcome.then(end, end);
  return { ...download, isForAll: isForAll.promise };
}

async function serveDripping(serving: Serving, download: Download, parts: ServeSharedParts): Promise<void> {
  const { exchange, record, keys } = serving;
  let endRun = () => {};
  const client = {
    knowsChunks: exchange.knowsChunks,
    signal: exchange.signal,
    begin(head: Outcome["head"]) {
      // Or nginx keeps the bytes to itself (H5).
      const lines = [...objectHeaders(head, head.declaredBytes, headerOptions(serving)), "X-Accel-Buffering", "no"];
      endRun = parts.cutDrips.run(keys.address);
      exchange.begin(head.status, lines);
    },
    async send(byte: Uint8Array) {
      record.releasedBytes += byte.length;
      await exchange.send([byte]);
    },
  };
  let outcome: Outcome | null = null;
  try {
    const sent = await dripUntilSettled(download, client, parts.drip);
    if (sent === 0) return await conclude(serving, await outcomeOf(download, serving));
    outcome = await download.outcome;
    note(serving, outcome);
    if (isWhole(outcome)) await give(serving, copyOf(outcome.head, outcome.body.sha256));
  } finally {
    if (record.releasedBytes > 0 && !isWhole(outcome)) await account(serving, download, outcome, parts);
    endRun();
  }
  if (!isWhole(outcome)) {
    record.outcome = "cut";
    return exchange.cut();
  }
  await sendBody(exchange, outcome, record.releasedBytes, outcome.body.size);
  record.outcome = "delivered";
}

/** What has begun can be brought to its end. */
function isWhole(outcome: Outcome | null): outcome is Passed {
  return outcome?.kind === "passed" && (outcome.head.declaredBytes ?? outcome.body.size) === outcome.body.size;
}

/** The bytes that are out are of a copy that nobody has found clean, so what comes next is no rest of it; and it is not to be asked for at once. */
async function account(
  serving: Serving,
  download: Download,
  outcome: Outcome | null,
  { cutDrips }: ServeSharedParts,
): Promise<void> {
  const { exchange, keys } = serving;
  const { head } = download.progress();
  if (head !== null) await give(serving, copyOf(head, null));
  // A client that goes by itself is no cut.
  if (exchange.signal.aborted) return;
  cutDrips.add(keys.address, outcome?.kind === "blocked" ? outcome.judgement.report : null);
}
