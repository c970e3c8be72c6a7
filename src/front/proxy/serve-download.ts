/** Answers the requests of the download proxy, one at a time: reads what is asked, what is known of it, and chooses the way to the answer. */

import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { ActiveSet } from "../../core/active-set.ts";
import { ClamgateError, toClamgateError } from "../../core/errors.ts";
import type { GivenCopies } from "../../core/given-copies.ts";
import type { UrlVerdict, UrlVerdictKey } from "../../core/verdict-cache.ts";
import { soleValue } from "../../egress/header-lines.ts";
import { malformed } from "../../egress/refusal.ts";
import { originOf, urlOf } from "../../egress/target.ts";
import { hasUnknownExpectation } from "../../http/expectations.ts";
import { ClientExchange, forgetBody } from "./client-exchange.ts";
import { deliverBodiless } from "./deliver.ts";
import { type DownloadParts, isBodiless } from "./download.ts";
import { type AddressKeys, addressKeys } from "./download-address.ts";
import { type DownloadRecord, downloadEvent, openRecord } from "./download-record.ts";
import { type Asked, type DownloadRequestOptions, readDownload } from "./download-request.ts";
import { blockedAnswer, cutAnswer, errorAnswer, preconditionFailed, unknownExpectation, wrongMethod } from "./own-answer.ts";
import { objectHeaders } from "./response-headers.ts";
import { isSelective, preconditionOf } from "./selection.ts";
import { fetchFor, headerOptions, type Serving, say } from "./serving.ts";
import { createDownloadSlots, type SlotLimits } from "./shared/download-slots.ts";
import { serveShared } from "./shared/serve-shared.ts";
import { createSharedDownloads } from "./shared/shared-downloads.ts";
import type { DripPace } from "./shared/trickle.ts";
import { createCutDrips } from "./shared/trickle.ts";
import { createKnownPieces, tagKeyBytes } from "./verified/known-pieces.ts";
import { serveVerified } from "./verified/serve-verified.ts";
import { streamablePieces } from "./verified/verified-stream.ts";

export interface ProxyFrontOptions extends DownloadRequestOptions, DownloadParts {
  /** `MAX_FILE_SIZE`, which `scan` enforces as well. */
  readonly maxBytes: number;
  readonly drip: DripPace;
  readonly givenCopies: GivenCopies;
  readonly slots: SlotLimits;
  readonly passSetCookie: boolean;
  /** A client that takes nothing of its answer for as long is cut. */
  readonly clientIdleTimeoutMs: number;
  /** Sent with each 503. */
  readonly retryAfterSeconds: number;
  /** While true, every answer says `X-Clamgate-Signatures: test-only`. */
  readonly isTestOnly: () => boolean;
  readonly uniqueId: () => string;
}

export interface ProxyFront {
  /** Never rejects; resolves when the answer has been handed over. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** For requests that come from now on. */
  useSources(sources: Pick<DownloadRequestOptions, "source" | "routes">): void;
  /** Whoever has no answer yet gets 503; what is half sent is cut. */
  stop(): void;
}

interface Remembered {
  readonly known: UrlVerdict;
  /** Under which it is. */
  readonly key: UrlVerdictKey;
}

const cutTtlMs = 10 * 60_000;
const cutEntries = 10_000;

export function createProxyFront(options: ProxyFrontOptions): ProxyFront {
  const { clock, emit } = options;
  const slots = createDownloadSlots(options.slots);
  const { trustedPeers } = options;
  let sources: DownloadRequestOptions = { source: options.source, routes: options.routes, trustedPeers };
  const isShared = () => [sources.source, ...sources.routes].some(({ mode }) => mode === "drip");
  const cutDrips = createCutDrips({ ...options, ttlMs: cutTtlMs, maxEntries: cutEntries, isShared });
  const pieces = createKnownPieces(randomBytes(tagKeyBytes));
  const parts = { ...options, slots, cutDrips, shared: createSharedDownloads() };
  const running = new ActiveSet<ClientExchange>();
  let stopped: ClamgateError | null = null;
  const told = new Set<string>();

  return {
    async handle(request, response) {
      const record = openRecord(options.uniqueId(), request.method ?? "", clock());
      const exchange = new ClientExchange(request, response, {
        idleTimeoutMs: options.clientIdleTimeoutMs,
        marks: options.isTestOnly() ? ["X-Clamgate-Signatures", "test-only"] : [],
      });
      const ended = running.add(exchange);
      if (stopped !== null) exchange.stop(stopped);
      try {
        exchange.signal.throwIfAborted();
        await serve(exchange, record);
      } catch (thrown) {
        await fail(exchange, record, thrown);
      }
      ended();
      emit(downloadEvent(record, exchange.status, clock()));
    },
    useSources(next) {
      sources = { ...next, trustedPeers };
    },
    stop() {
      stopped = new ClamgateError("stopping", "The gateway is stopping");
      for (const exchange of running.items()) exchange.stop(stopped);
    },
  };

  async function serve(exchange: ClientExchange, record: DownloadRecord): Promise<void> {
    const { request } = exchange;
    if (request.method !== "GET" && request.method !== "HEAD") return await say(exchange, wrongMethod());
    if (hasUnknownExpectation(request)) return await say(exchange, unknownExpectation());
    if (!(await forgetBody(exchange))) throw new ClamgateError("too-large", "The body of the request is too large");
    if (exchange.knowsChunks && soleValue(request.rawHeaders, "host").kind === "absent") throw malformed("Host is missing");
    const asked = readDownload(request.rawHeaders, request.url ?? "", exchange.peer, sources);
    record.url = urlOf(asked.target).split("?", 1).join("");
    record.host = asked.target.host;
    record.mode = asked.mode;
    warn(asked, exchange);
    const release = slots.takeClient(exchange.client);
    try {
      await serveAsked(exchange, record, asked);
    } finally {
      release();
    }
  }

  async function serveAsked(exchange: ClientExchange, record: DownloadRecord, asked: Asked): Promise<void> {
    const keys = addressKeys(asked.target, exchange.request.rawHeaders, asked.source.headers, asked.rewrite);
    record.cache = asked.isCacheOn ? "miss" : "off";
    const cut = await cutDrips.get(keys.address);
    if (cut !== null) {
      record.outcome = "blocked";
      return await say(exchange, cutAnswer(cut.found?.verdict ?? null, record.cache));
    }
    const tag = options.engineVersion()?.tag ?? null;
    const remembered = asked.isCacheOn && tag !== null ? await recall(keys, tag) : null;
    const known = remembered?.known ?? null;
    exchange.signal.throwIfAborted();
    if (known?.verdict.kind === "infected") {
      record.cache = "hit";
      record.outcome = "blocked";
      return await say(exchange, blockedAnswer(known.verdict, record.cache));
    }
    const { passSetCookie, maxBytes, givenCopies } = options;
    const serving: Serving = { exchange, record, asked, keys, known, pieces, givenCopies, cutDrips, passSetCookie, maxBytes };
    if (exchange.isHead) return await serveHead(serving);
    const isWhole = !isSelective(exchange.request.rawHeaders);
    const proof = asked.mode === "verified-stream" && isWhole ? streamablePieces(known, pieces) : null;
    if (proof !== null && remembered !== null) {
      if (await serveVerified(serving, { ...remembered, proof }, parts)) return;
    }
    await serveShared(serving, parts);
  }

  /** P44: nothing to scan, nothing invented. */
  async function serveHead(serving: Serving): Promise<void> {
    const { exchange, record, asked } = serving;
    const release = slots.takeDownload(originOf(asked.target));
    try {
      const { status, rawHeaders, declaredBytes, discard } = await fetchFor(serving, "HEAD", exchange.signal);
      discard();
      const isFailed = status === 200 && preconditionOf(exchange.request.rawHeaders, rawHeaders).kind === "failed";
      if (isFailed) return await say(exchange, preconditionFailed());
      const bytes = asked.rewrite.length > 0 || isBodiless(status) ? null : declaredBytes;
      const head = { status, lines: rawHeaders, declaredBytes: bytes };
      deliverBodiless(exchange, head, objectHeaders(head, bytes, headerOptions(serving)));
      record.outcome = "bodiless";
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
    await say(exchange, errorAnswer(error, options.retryAfterSeconds));
  }

  /** What an operator should mend, once each. */
  function warn({ mode, oddCacheScan }: Asked, { knowsChunks }: ClientExchange): void {
    if (oddCacheScan !== null) tellOnce("Cache-Scan is there with a value that is neither true nor false: it counts as false");
    if (mode === "drip" && !knowsChunks)
      tellOnce("requests come as HTTP/1.0, where drip helps only with known lengths: let the web server speak HTTP/1.1 to us");
  }

  function tellOnce(message: string): void {
    if (told.has(message)) return;
    told.add(message);
    emit({ kind: "notice", level: "warn", message });
  }
}
