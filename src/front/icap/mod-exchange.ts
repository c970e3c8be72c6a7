/** One REQMOD or RESPMOD: its message is scanned, and its client gets the verdict's answer or what the operator has chosen for failures. */

import { hash } from "node:crypto";
import { chunkHead, continueBytes, type EncapsulatedPage, formatHead, type Lines, threatLines } from "../../codec/icap/answer.ts";
import { IcapFault } from "../../codec/icap/fault.ts";
import { contentLengthOf, type HttpHead, readHttpHead, shownUrl } from "../../codec/icap/http-head.ts";
import type { IcapEvent, IcapMessage, IcapReader, IcapRequest } from "../../codec/icap/reader.ts";
import { hasToken, mayBeginRequest } from "../../codec/icap/request-head.ts";
import { clientNetwork } from "../../codec/ip-address.ts";
import { ClamgateError, toClamgateError } from "../../core/errors.ts";
import type { SpooledBody } from "../../core/spool.ts";
import { type TricklePace, trickleUntilSettled } from "../../core/trickle.ts";
import type { ClientSocket } from "./client-socket.ts";
import { type FailureStatus, failureWord, statusOf } from "./failures.ts";
import type { IcapFrontOptions } from "./front-options.ts";
import { MessageBody, malformedOf } from "./message-body.ts";
import type { ModRecord } from "./mod-record.ts";
import { blockPage, failurePage } from "./pages.ts";
import { isPartialContent, type ScanResult, scanMessage } from "./scan-message.ts";

export interface ModParts {
  readonly request: IcapRequest;
  readonly reader: IcapReader;
  readonly client: ClientSocket;
  readonly record: ModRecord;
  readonly options: IcapFrontOptions;
  readonly isDraining: () => boolean;
  /** The reader's next event. Throws IcapFault, `client-slow` or `client-gone`. */
  readonly nextEvent: (timeoutMs: number) => Promise<IcapEvent>;
  /** As `nextEvent`; null where more must come: then the client's `change`. */
  readonly event: () => IcapEvent | null;
}

type Scanned = Extract<ScanResult, { kind: "scanned" }>;

const lineEnd = "\r\n";

/** Resolves with whether the connection goes on; it has been ended where it does not. Never rejects. */
export function serveMod(parts: ModParts): Promise<boolean> {
  return new ModExchange(parts).run();
}

class ModExchange {
  readonly #parts: ModParts;
  #message: IcapMessage = { requestHead: null, responseHead: null, hasBody: false, preview: null };
  #body: MessageBody;
  /** By the head of the message whose body it is. */
  #declaredBytes: number | null = null;
  #waitMs: number;
  #released = 0;
  /** Of a body that may trickle: what its address is remembered by when that is cut. */
  #urlKey: string | null = null;

  constructor(parts: ModParts) {
    this.#parts = parts;
    this.#waitMs = parts.options.idleTimeoutMs;
    this.#body = this.#makeBody();
  }

  async run(): Promise<boolean> {
    const { client, record } = this.#parts;
    const result = await this.#scanMessage();
    if (result.kind === "scanned") {
      record.sha256 = result.report?.sha256 ?? null;
      record.verdict = this.#body.size > 0 ? result.verdict : null;
      record.relaxedFor = result.decision.relaxedFor;
    }
    try {
      return await this.#answer(result);
    } catch (thrown) {
      // An answer that has begun cannot become another one.
      record.answer = client.signal.aborted ? "gone" : "cut";
      if (record.answer === "cut") this.#note(toClamgateError(thrown));
      client.reset();
      return false;
    } finally {
      if (result.kind === "scanned") await result.body?.[Symbol.asyncDispose]();
      record.size = this.#body.size;
      record.releasedBytes = this.#released;
      if (this.#message.preview !== null) record.previewBytes = this.#body.previewBytes;
      record.isInPreview = this.#body.isInPreview;
    }
  }

  async #scanMessage(): Promise<ScanResult> {
    const { request, client, record, options } = this.#parts;
    try {
      const event = await this.#parts.nextEvent(this.#waitMs);
      if (event.type !== "message") throw new Error(`a request was followed by ${event.type}`);
      this.#message = event.message;
      if (this.#hasNothing()) throw new IcapFault(418, "there is no head, no body, and 204 is not allowed");
    } catch (thrown) {
      return { kind: "failed", error: toClamgateError(malformedOf(thrown)) };
    }
    const requestHead = readHttpHead(this.#message.requestHead);
    const responseHead = readHttpHead(this.#message.responseHead);
    const head = request.method === "REQMOD" ? requestHead : responseHead;
    record.httpMethod = requestHead.method;
    record.httpStatus = responseHead.status;
    record.url = shownUrl(requestHead);
    record.isPartial = isPartialContent(head);
    this.#declaredBytes = contentLengthOf(head);
    this.#body = this.#makeBody();
    const scanning = scanMessage(this.#body, {
      scan: options.scan,
      policy: options.policy,
      maxParts: options.maxParts,
      requestId: record.requestId,
      name: record.url ?? "",
      client: clientNetwork(record.client ?? record.peer),
      signal: client.signal,
      head,
      isRequest: request.method === "REQMOD",
      isPartial: record.isPartial,
    });
    if (options.trickle !== null && this.#mayTrickle(requestHead, responseHead)) await this.#trickle(scanning, options.trickle);
    return await scanning;
  }

  #makeBody(): MessageBody {
    const { reader, client, options, event } = this.#parts;
    const declared = this.#declaredBytes;
    return new MessageBody({
      next: event,
      change: () => client.change(this.#waitMs),
      proceed: async () => {
        await client.write(continueBytes);
        reader.proceed();
      },
      isTooLarge: declared !== null && declared > options.maxBytes,
      mayTrickle: options.trickle !== null,
    });
  }

  /** RFC 3507 §4.8.2: there is nothing that could be sent back. */
  #hasNothing(): boolean {
    const { requestHead, responseHead, hasBody, preview } = this.#message;
    return requestHead === null && responseHead === null && !hasBody && preview === null && !this.#parts.record.allows204;
  }

  #answer(result: ScanResult): Promise<boolean> {
    if (result.kind === "failed") return this.#fail(result.error);
    if (!result.decision.isAllowed) return this.#block(result);
    const fault = this.#faultOfWhole();
    return fault === null ? this.#allow(result) : this.#fail(fault);
  }

  /**
   * What is wrong with a message that would be clean. A sender may take a file for chunks that it has not made itself, and then the file
   * decides what of it we see: its length, or what stands behind it, tells.
   */
  #faultOfWhole(): ClamgateError | null {
    const { reader, client, request } = this.#parts;
    if (this.#body.state === "unread" && this.#message.hasBody) return null;
    const behind = reader.rest.length === 0 ? client.early : Buffer.concat([reader.rest, client.early]);
    if (!mayBeginRequest(behind)) return malformed("bytes stand behind the end of the message");
    const declared = request.method === "REQMOD" ? this.#declaredBytes : null;
    if (this.#body.state !== "whole" || declared === null || declared === this.#body.size) return null;
    return malformed(`the request has Content-Length ${declared} and a body of ${this.#body.size} bytes`);
  }

  async #allow(scanned: Scanned): Promise<boolean> {
    const { record } = this.#parts;
    const { relaxedFor } = scanned.decision;
    const lines: Lines = relaxedFor === null ? [] : [["X-Clamgate-Allowed", relaxedFor]];
    if (this.#released > 0) return await this.#echoRest(scanned);
    if (this.#maySay204()) {
      const keeps = await this.#finishReading();
      record.answer = "204";
      await this.#parts.client.write(this.#head(204, { lines, encapsulated: null, scanned, keeps }));
      return this.#finish(keeps);
    }
    // Too large to be kept, so there is nothing to send back.
    if (scanned.body === null && this.#body.size > 0) return await this.#block(scanned);
    return await this.#echo(scanned, lines);
  }

  /** RFC 3507 §4.6: where the client has kept the message. Squid fails otherwise, or delivers a head without its body. */
  #maySay204(): boolean {
    return this.#parts.record.allows204 || this.#body.state === "preview" || this.#body.isInPreview;
  }

  async #echo(scanned: Scanned, lines: Lines): Promise<boolean> {
    const { client, record } = this.#parts;
    record.answer = "echo";
    const keeps = this.#keeps();
    const start = this.#head(200, { lines, encapsulated: this.#composition(), scanned, keeps });
    const pieces: (string | Uint8Array)[] = [start, this.#echoedHead() ?? ""];
    if (this.#message.hasBody) await this.#sendBody(scanned.body, 0, pieces);
    else await client.write(...pieces);
    return this.#finish(keeps);
  }

  async #echoRest(scanned: Scanned): Promise<boolean> {
    this.#parts.record.answer = "echo";
    await this.#sendBody(scanned.body, this.#released, []);
    return this.#finish(this.#keeps());
  }

  /** To the end of the message. What is small goes out in one write. */
  async #sendBody(body: SpooledBody | null, start: number, before: readonly (string | Uint8Array)[]): Promise<void> {
    const { client, record } = this.#parts;
    let pieces = [...before];
    if (body !== null) {
      for await (const chunk of body.read({ start })) {
        if (record.echoedBytes > 0) {
          await client.write(...pieces);
          pieces = [];
        }
        pieces.push(chunkHead(chunk.length), chunk, lineEnd);
        record.echoedBytes += chunk.length;
      }
    }
    await client.write(...pieces, chunkHead(0), this.#body.trailers, lineEnd);
  }

  async #block(scanned: Scanned): Promise<boolean> {
    const { record } = this.#parts;
    if (this.#released > 0) return this.#cut();
    const isInfected = scanned.verdict.kind === "infected";
    const threat = {
      type: isInfected ? 0 : 2,
      names: scanned.names,
      description: isInfected ? "Infected" : "Unscannable",
    } as const;
    const keeps = await this.#finishReading();
    record.answer = "block";
    return await this.#sendPage(blockPage(threat, record.requestId), { lines: threatLines(threat), scanned, keeps });
  }

  async #fail(error: ClamgateError): Promise<boolean> {
    const { client, record, options, request } = this.#parts;
    this.#note(error);
    if (error.code === "client-gone") {
      record.answer = "gone";
      client.reset();
      return false;
    }
    if (this.#released > 0) return this.#cut();
    const word = failureWord(options.onError, request.service);
    if (word === "reset") {
      record.answer = "reset";
      await client.resetAfterAnswers();
      return false;
    }
    const isReadable = error.code !== "client-slow" && error.code !== "malformed" && error.code !== "stopping";
    const keeps = isReadable ? await this.#finishReading() : "closes";
    if (word === "page") {
      record.answer = "page";
      return await this.#sendPage(failurePage(record.requestId, options.retryAfterSeconds), { lines: [], scanned: null, keeps });
    }
    const status = statusOf(error);
    record.answer = `${status}`;
    const closes = keeps === "keeps" ? "closes" : keeps;
    await client.write(this.#head(status, { lines: [], encapsulated: "null-body=0", scanned: null, keeps: closes }));
    return this.#finish(closes);
  }

  /** Bytes of it are out, so nothing but its end can be told. Whoever asks for it again is answered in full. */
  #cut(): boolean {
    const { client, record, options } = this.#parts;
    if (this.#urlKey !== null) options.cutUrls.set(this.#urlKey, true);
    record.answer = "cut";
    client.reset();
    return false;
  }

  async #sendPage(page: EncapsulatedPage, answer: Omit<AnswerParts, "encapsulated">): Promise<boolean> {
    await this.#parts.client.write(this.#head(200, { ...answer, encapsulated: page.encapsulated }) + page.bytes);
    return this.#finish(answer.keeps);
  }

  #head(status: 200 | 204 | FailureStatus, { lines, encapsulated, scanned, keeps }: AnswerParts): string {
    const { options, record } = this.#parts;
    const istag = options.istag(scanned?.report?.engine.tag ?? null);
    return formatHead({ status, istag, requestId: record.requestId, closes: keeps !== "keeps", lines, encapsulated });
  }

  /** The head that goes back: the message's own, byte for byte. */
  #echoedHead(): Buffer | null {
    return this.#parts.request.method === "REQMOD" ? this.#message.requestHead : this.#message.responseHead;
  }

  #composition(): string {
    const kind = this.#parts.request.method === "REQMOD" ? "req" : "res";
    const head = this.#echoedHead();
    const body = `${this.#message.hasBody ? `${kind}-body` : "null-body"}=${head?.length ?? 0}`;
    return head === null ? body : `${kind}-hdr=0, ${body}`;
  }

  #keeps(): Keeps {
    const { request, isDraining } = this.#parts;
    return hasToken(request.fields, "connection", "close") || isDraining() ? "closes" : "keeps";
  }

  /** Some clients read only when they have written all: what nobody needs is read before the answer, within bounds. */
  async #finishReading(): Promise<Keeps> {
    const { options } = this.#parts;
    if (this.#body.state === "broken") return "closes";
    if (this.#body.state !== "unread" || !this.#message.hasBody) return this.#keeps();
    const endsAt = options.clock() + options.patienceMs;
    this.#waitMs = options.patienceMs;
    try {
      const isWhole = await this.#body.discard(options.maxBytes, () => options.clock() >= endsAt);
      return isWhole ? this.#keeps() : "resets";
    } catch (thrown) {
      if (toClamgateError(thrown).code === "client-gone") throw thrown;
      return "resets";
    }
  }

  #finish(keeps: Keeps): boolean {
    const { client, reader } = this.#parts;
    switch (keeps) {
      case "keeps":
        reader.restart();
        return true;
      case "closes":
        client.end();
        return false;
      case "resets":
        client.endAndReset();
        return false;
    }
  }

  #note(error: ClamgateError): void {
    const { record } = this.#parts;
    record.code = error.code;
    record.detail = error.message;
  }

  /** Web proxies alone: whoever may be told 204 is none, or has no need of it. */
  #mayTrickle(requestHead: HttpHead, responseHead: HttpHead): boolean {
    const { request, record, options } = this.#parts;
    const { responseHead: head, hasBody } = this.#message;
    if (request.method !== "RESPMOD" || record.allows204 || head === null || !hasBody) return false;
    if (responseHead.status !== 200 || requestHead.target === null) return false;
    this.#urlKey = hash("sha256", `${requestHead.values("host").join()} ${requestHead.target}`, "hex");
    return options.cutUrls.get(this.#urlKey) === null;
  }

  async #trickle(scanning: Promise<ScanResult>, pace: TricklePace): Promise<void> {
    const { client } = this.#parts;
    const body = this.#body;
    const source = {
      arrived: () => (this.#message.preview === null || body.hasProceeded ? { prefix: body.prefix, bytes: body.size } : null),
      send: async (byte: Uint8Array) => {
        const isFirst = this.#released === 0;
        this.#released += byte.length;
        const encapsulated = this.#composition();
        const start = isFirst ? this.#head(200, { lines: [], encapsulated, scanned: null, keeps: this.#keeps() }) : "";
        const head = isFirst ? (this.#echoedHead() ?? "") : "";
        await client.write(start, head, chunkHead(byte.length), byte, lineEnd);
      },
    };
    // A client that has gone is heard of from the scan.
    await trickleUntilSettled(scanning, source, pace, client.signal).catch(() => {});
  }
}

/** What becomes of the connection behind the answer: `resets` where the client sends what nobody will read. */
type Keeps = "keeps" | "closes" | "resets";

interface AnswerParts {
  readonly lines: Lines;
  /** Null in a 204 alone. */
  readonly encapsulated: string | null;
  /** What the verdict was made with is the ISTag; the present one where there is none. */
  readonly scanned: Scanned | null;
  readonly keeps: Keeps;
}

function malformed(detail: string): ClamgateError {
  return new ClamgateError("malformed", "The request is not well-formed", { detail });
}
