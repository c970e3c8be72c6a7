/** Answers from a scanned copy that equal requests share; an impatient client may get a few bytes of it before (download-proxy.md 2.3, P70). */

import type { BlockedAddresses } from "./blocked-addresses.ts";
import { sendBody } from "./deliver.ts";
import { type Download, type DownloadParts, type Outcome, startDownload } from "./download.ts";
import type { DownloadSlots, Release } from "./download-slots.ts";
import { type DripPace, dripUntilSettled } from "./drip.ts";
import { valuesOf } from "./header-lines.ts";
import { objectHeaders } from "./object-headers.ts";
import { conclude, fetchFor, headerOptions, note, orderFor, outcomeOf, type Serving } from "./serving.ts";
import type { SharedDownloads } from "./shared-downloads.ts";
import { originOf } from "./target.ts";

export interface ServeSharedParts extends DownloadParts {
  readonly shared: SharedDownloads;
  readonly slots: DownloadSlots;
  readonly blocked: BlockedAddresses;
  readonly drip: DripPace;
}

/** Rejects with what the client is to be told, or with the reason for which what has begun must be cut. */
export async function serveShared(serving: Serving, parts: ServeSharedParts): Promise<void> {
  const { exchange, record, asked, keys } = serving;
  // Another source has a gate of its own. What one of them may have remembered is of no concern to the other.
  const key = `${keys.request} ${asked.isCacheOn} ${asked.source.id}`;
  const ticket = parts.shared.join(key, (signal) => begin(serving, signal, parts));
  try {
    record.isCollapsed = ticket.isCollapsed;
    const isPart = valuesOf(exchange.request.rawHeaders, "range").length > 0;
    const isDripping = asked.mode === "drip" && !isPart && !parts.blocked.has(keys.object);
    if (isDripping) await serveDripping(serving, ticket.download, parts);
    else await conclude(serving, await outcomeOf(ticket.download, serving));
  } finally {
    await ticket[Symbol.asyncDispose]();
  }
}

function begin(serving: Serving, signal: AbortSignal, parts: ServeSharedParts): Download {
  let release: Release = () => {};
  const order = orderFor(serving, signal, async () => {
    release = parts.slots.takeDownload(originOf(serving.asked.target));
    return await fetchFor(serving, "GET", signal);
  });
  const download = startDownload(order, parts);
  const end = () => release();
  download.outcome.then(end, end);
  return download;
}

async function serveDripping(serving: Serving, download: Download, { drip, blocked }: ServeSharedParts): Promise<void> {
  const { exchange, record, keys } = serving;
  const client = {
    knowsChunks: exchange.knowsChunks,
    signal: exchange.signal,
    begin(head: Outcome["head"]) {
      // Or nginx keeps the bytes to itself (H5).
      const lines = [...objectHeaders(head, head.declaredBytes, headerOptions(serving)), "X-Accel-Buffering", "no"];
      exchange.begin(head.status, lines);
    },
    async send(byte: Uint8Array) {
      record.releasedBytes += byte.length;
      await exchange.send([byte]);
    },
  };
  const sent = await dripUntilSettled(download, client, drip);
  if (sent === 0) return await conclude(serving, await outcomeOf(download, serving));
  try {
    const outcome = await download.outcome;
    note(serving, outcome);
    if (outcome.kind === "passed" && (outcome.head.declaredBytes ?? outcome.body.size) === outcome.body.size) {
      await sendBody(exchange, outcome, sent, outcome.body.size);
      record.outcome = "delivered";
      return;
    }
  } catch (error) {
    if (!exchange.signal.aborted) blocked.add(keys.object);
    throw error;
  }
  blocked.add(keys.object);
  record.outcome = "cut";
  exchange.cut();
}
