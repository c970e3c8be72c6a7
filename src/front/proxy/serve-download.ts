/** Answers the requests of the download proxy: reads what is asked, looks at what is known of it, and chooses the way to the answer. */

import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Access } from "../../auth/access.ts";
import { setClient } from "../../auth/client.ts";
import { splitKeys } from "../../auth/credentials.ts";
import { refusalOf } from "../../auth/refusals.ts";
import { ClamgateError, toClamgateError } from "../../core/errors.ts";
import { ActiveSet } from "../../core/queues/active-set.ts";
import type { TricklePace } from "../../core/trickle.ts";
import { untilAborted } from "../../core/until-aborted.ts";
import type { UrlVerdict, UrlVerdictKey } from "../../core/verdict-cache.ts";
import { type HeaderLines, soleValue } from "../../egress/header-lines.ts";
import { malformed } from "../../egress/refusal.ts";
import { originOf, urlOf } from "../../egress/target.ts";
import { hasUnknownExpectation } from "../../http/expectations.ts";
import { RequestHead } from "../../http/request-head.ts";
import { ClientExchange, forgetBody } from "./client-exchange.ts";
import { type DeliverParts, deliver, deliverBodiless, type Serving } from "./deliver.ts";
import { type DownloadParts, fetchObject, isBodiless } from "./download.ts";
import { type AddressKeys, addressKeys } from "./download-address.ts";
import { type DownloadRecord, downloadEvent, openRecord } from "./download-record.ts";
import { type DownloadRequest, type DownloadRequestOptions, type ReadDownload, readDownload } from "./download-request.ts";
import {
  blockedAnswer,
  cutAnswer,
  errorAnswer,
  preconditionFailed,
  refusalAnswer,
  unknownExpectation,
  wrongMethod,
} from "./own-answer.ts";
import { isSelective, preconditionOf } from "./selection.ts";
import { createCutTrickles } from "./shared/cut-trickles.ts";
import { createDownloadSlots, type SlotLimits } from "./shared/download-slots.ts";
import { createSharedDownloads } from "./shared/shared-downloads.ts";
import { serveTrickling } from "./shared/trickle.ts";
import { createKnownPieces, tagKeyBytes } from "./verified/known-pieces.ts";
import { serveVerified, streamablePieces } from "./verified/verified-stream.ts";

export interface ProxyFrontOptions
  extends DownloadRequestOptions,
    Omit<DownloadParts, "pieces">,
    Omit<DeliverParts, "cutTrickles"> {
  readonly trickle: TricklePace;
  readonly slots: SlotLimits;
  /** A client that takes nothing of its answer for as long is cut. */
  readonly clientIdleTimeoutMs: number;
  /** Sent with each 503. */
  readonly retryAfterSeconds: number;
  /** While true, every answer says `X-Clamgate-Signatures: test-only`. */
  readonly isTestOnly: () => boolean;
  readonly uniqueId: () => string;
  /** Who may ask; null: everybody. */
  readonly access: Access | null;
}

export interface ProxyFront {
  handle(request: IncomingMessage, response: ServerResponse): void;
  /** For requests that come from now on. */
  useSources(sources: Pick<DownloadRequestOptions, "source" | "routes">): void;
  /** Resolves when the requests that are there now are over: their answers have been taken, or their clients have gone. */
  idle(): Promise<void>;
  /** Whoever has no answer yet gets 503; what is half sent is cut. */
  stop(): void;
}

interface Running {
  readonly exchange: ClientExchange;
  readonly whenOver: (() => void)[];
}

interface Remembered {
  readonly known: UrlVerdict;
  /** Under which it is. */
  readonly key: UrlVerdictKey;
}

const cutTtlMs = 10 * 60_000;
const cutEntries = 10_000;

export function createProxyFront(options: ProxyFrontOptions): ProxyFront {
  const { clock, emit, trustedPeers, maxBytes, access } = options;
  let sources: DownloadRequestOptions = { source: options.source, routes: options.routes, trustedPeers };
  const isShared = () => [sources.source, ...sources.routes].some(({ mode }) => mode === "trickle");
  const cutTrickles = createCutTrickles({ ...options, ttlMs: cutTtlMs, maxEntries: cutEntries, isShared });
  const pieces = createKnownPieces(randomBytes(tagKeyBytes));
  const slots = createDownloadSlots(options.slots);
  const parts = { ...options, slots, cutTrickles, pieces };
  const shared = createSharedDownloads(parts);
  const running = new ActiveSet<Running>();
  const warned = new Set<string>();
  let stopped: ClamgateError | null = null;

  return {
    handle(request, response) {
      const exchange = new ClientExchange(request, response, {
        idleTimeoutMs: options.clientIdleTimeoutMs,
        marks: options.isTestOnly() ? ["X-Clamgate-Signatures", "test-only"] : [],
      });
      const one: Running = { exchange, whenOver: [] };
      const remove = running.add(one);
      if (stopped !== null) exchange.stop(stopped);
      void serve(exchange, () => {
        remove();
        for (const resolve of one.whenOver) resolve();
      });
    },
    useSources(next) {
      sources = { ...next, trustedPeers };
    },
    async idle() {
      await Promise.all(running.items().map((one) => new Promise<void>((resolve) => one.whenOver.push(resolve))));
    },
    stop() {
      stopped = new ClamgateError("stopping", "The gateway is stopping");
      for (const { exchange } of running.items()) exchange.stop(stopped);
    },
  };

  /** Never rejects. */
  async function serve(exchange: ClientExchange, onOver: () => void): Promise<void> {
    const record = openRecord({
      requestId: options.uniqueId(),
      peer: exchange.peer,
      method: exchange.request.method ?? "",
      startedAt: clock(),
    });
    try {
      exchange.signal.throwIfAborted();
      await serveDownload(exchange, record);
    } catch (thrown) {
      await fail(exchange, record, thrown);
    }
    emit(downloadEvent(record, exchange.status, clock()));
    exchange.whenTaken(onOver);
  }

  async function serveDownload(exchange: ClientExchange, record: DownloadRecord): Promise<void> {
    const { request: incoming } = exchange;
    if (incoming.method !== "GET" && !exchange.isHead) return await exchange.answer(wrongMethod());
    if (hasUnknownExpectation(incoming)) return await exchange.answer(unknownExpectation());
    const lines = access === null ? incoming.rawHeaders : await letIn(exchange, record, access);
    if (lines === null) return;
    if (!exchange.hasBody) incoming.resume();
    else if (!(await forgetBody(exchange))) throw new ClamgateError("too-large", "The body of the request is too large");
    const request = readRequest(exchange, record, lines);
    const release = slots.takeClient(exchange.client);
    try {
      const cut = cutTrickles.get(request.keys.address);
      const knownCut = cut instanceof Promise ? await cut : cut;
      if (knownCut !== null) {
        record.outcome = "blocked";
        return await exchange.answer(cutAnswer(knownCut.found?.verdict ?? null, record.cache));
      }
      const tag = options.engineVersion()?.tag ?? null;
      const remembered = request.isCacheOn && tag !== null ? await recall(request.keys, tag) : null;
      const known = remembered?.known ?? null;
      exchange.signal.throwIfAborted();
      if (known?.verdict.kind === "infected") {
        record.cache = "hit";
        record.outcome = "blocked";
        return await exchange.answer(blockedAnswer(known.verdict, record.cache));
      }
      // Each in its own client's turn, and none of them in a slot or behind another one's: a name may have no server that answers.
      const lookUp = request.source.lookUp(request.target, exchange.client, exchange.signal);
      if (lookUp !== null) await lookUp;
      const serving: Serving = { exchange, record, request, known };
      if (exchange.isHead) return await serveHead(serving);
      const isWhole = !isSelective(request.lines);
      const proof = request.mode === "verified-stream" && isWhole ? streamablePieces(known, pieces) : null;
      if (proof !== null && remembered !== null && (await serveVerified(serving, { ...remembered, proof }, parts))) return;
      const share = shared.join(request);
      try {
        if (request.mode === "trickle" && isWhole) await serveTrickling(serving, share, parts);
        else await deliver(serving, await untilAborted(share.outcome, exchange.signal), parts);
      } finally {
        record.isCollapsed = share.isCollapsed;
        await share.leave();
      }
    } finally {
      release();
    }
  }

  /** The header lines without the client's key, which no origin may see. Null where it was answered: it is not let in. */
  async function letIn(exchange: ClientExchange, record: DownloadRecord, asked: Access): Promise<HeaderLines | null> {
    const { request } = exchange;
    const { ours, others } = splitKeys(request.rawHeaders);
    const decision = await asked.decide(new RequestHead(request, [], ours), "mirror");
    if (decision.client !== null) setClient(request, decision.client);
    record.who = decision.client?.id ?? null;
    if (decision.kind === "let-in") return others;
    emit({ kind: "access-refused", requestId: record.requestId, reason: decision.reason, detail: decision.detail });
    await exchange.answer(refusalAnswer(refusalOf(decision.reason, "mirror")));
    return null;
  }

  /** @throws ClamgateError `malformed` or `forbidden` */
  function readRequest(exchange: ClientExchange, record: DownloadRecord, lines: HeaderLines): DownloadRequest {
    const { request, client, peer, knowsChunks } = exchange;
    if (knowsChunks && soleValue(lines, "host").kind === "absent") throw malformed("Host is missing");
    const read = readDownload({ id: record.requestId, client, peer, lines, requestTarget: request.url ?? "" }, sources);
    const { source, target, rewrite, isCacheOn } = read;
    const name = urlOf(target).split("?", 1).join("");
    record.url = name;
    record.host = target.host;
    record.mode = read.mode;
    record.cache = isCacheOn ? "miss" : "off";
    warn(read, exchange);
    return { ...read, name, keys: addressKeys(target, lines, source.headers, rewrite) };
  }

  /** P44: nothing to scan, nothing invented. */
  async function serveHead(serving: Serving): Promise<void> {
    const { exchange, request } = serving;
    const release = slots.takeDownload(originOf(request.target));
    try {
      const { status, rawHeaders, declaredBytes, discard } = await fetchObject(request, "HEAD", maxBytes, exchange.signal);
      discard();
      const isFailed = status === 200 && preconditionOf(request.lines, rawHeaders).kind === "failed";
      if (isFailed) return await exchange.answer(preconditionFailed());
      const bytes = request.rewrite.length > 0 || isBodiless(status) ? null : declaredBytes;
      deliverBodiless(serving, { status, lines: rawHeaders, declaredBytes: bytes }, bytes, parts);
    } finally {
      release();
    }
  }

  /** What is infected without a condition is so whatever the client has of it already, and however fresh it wants it (P43). */
  async function recall({ request, object }: AddressKeys, tag: string): Promise<Remembered | null> {
    const { urlVerdicts } = options;
    const all: Remembered[] = [];
    for (const address of new Set([request, object])) {
      const key = { address, tag };
      const known = urlVerdicts.peek(key) ?? (urlVerdicts.get === undefined ? null : await urlVerdicts.get(key));
      if (known !== null) all.push({ known, key });
    }
    return all.find(({ known }) => known.verdict.kind === "infected") ?? all[0] ?? null;
  }

  async function fail(exchange: ClientExchange, record: DownloadRecord, thrown: unknown): Promise<void> {
    // Whatever broke afterwards, this is why.
    const error = toClamgateError(exchange.signal.aborted ? exchange.signal.reason : thrown);
    record.error = error;
    if (error.code === "forbidden") {
      const { requestId, host } = record;
      emit({ kind: "download-denied", requestId, peer: exchange.peer, host: host ?? "", detail: error.message });
    }
    if (error.code === "client-gone" || exchange.hasBegun) {
      record.outcome = error.code === "client-gone" ? "gone" : "cut";
      return exchange.cut();
    }
    record.outcome = "failed";
    await exchange.answer(errorAnswer(error, options.retryAfterSeconds));
  }

  /** What an operator should mend, once each. */
  function warn({ mode, oddCacheScan }: ReadDownload, { knowsChunks }: ClientExchange): void {
    if (oddCacheScan !== null) warnOnce("Cache-Scan is there with a value that is neither true nor false: it counts as false");
    if (mode === "trickle" && !knowsChunks)
      warnOnce("requests come as HTTP/1.0, where trickle helps only with known lengths: let the web server speak HTTP/1.1 to us");
  }

  function warnOnce(message: string): void {
    if (warned.has(message)) return;
    warned.add(message);
    emit({ kind: "notice", level: "warn", message });
  }
}
