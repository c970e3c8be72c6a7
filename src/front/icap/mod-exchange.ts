/** One REQMOD or RESPMOD: its message is scanned, and what comes of that decides what its client is told. */

import { hash } from "node:crypto";
import { continueBytes } from "../../codec/icap/answer.ts";
import { IcapFault } from "../../codec/icap/fault.ts";
import { contentLengthOf, type HttpHead, readHttpHead, shownUrl } from "../../codec/icap/http-head.ts";
import type { IcapEvent, IcapMessage, IcapReader, IcapRequest } from "../../codec/icap/reader.ts";
import { mayBeginRequest } from "../../codec/icap/request-head.ts";
import { clientNetwork } from "../../codec/ip-address.ts";
import { ClamgateError, toClamgateError } from "../../core/errors.ts";
import { type TricklePace, trickleUntilSettled } from "../../core/trickle.ts";
import type { ClientSocket } from "./client-socket.ts";
import type { IcapFrontOptions } from "./front-options.ts";
import { MessageBody, malformedOf } from "./message-body.ts";
import { ModAnswer } from "./mod-answer.ts";
import { type ModRecord, noteFailure } from "./mod-record.ts";
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

/** Of a request whose heads could not be read. */
const noMessage: IcapMessage = { requestHead: null, responseHead: null, hasBody: false, preview: null };

/** Resolves with whether the connection goes on; it has been ended where it does not. Never rejects. */
export async function serveMod(parts: ModParts): Promise<boolean> {
  let message = noMessage;
  let fault: ClamgateError | null = null;
  try {
    message = await nextMessage(parts);
  } catch (thrown) {
    fault = toClamgateError(malformedOf(thrown));
  }
  return await new ModExchange(parts, message).run(fault);
}

async function nextMessage({ nextEvent, options, record }: ModParts): Promise<IcapMessage> {
  const event = await nextEvent(options.idleTimeoutMs);
  if (event.type !== "message") throw new Error(`a request was followed by ${event.type}`);
  const { requestHead, responseHead, hasBody, preview } = event.message;
  // RFC 3507 §4.8.2: there is nothing that could be sent back.
  if (requestHead === null && responseHead === null && !hasBody && preview === null && !record.allows204)
    throw new IcapFault(418, "there is no head, no body, and 204 is not allowed");
  return event.message;
}

class ModExchange {
  readonly #parts: ModParts;
  readonly #message: IcapMessage;
  readonly #requestHead: HttpHead;
  readonly #responseHead: HttpHead;
  /** Of the message whose body it is. */
  readonly #head: HttpHead;
  readonly #body: MessageBody;
  readonly #answer: ModAnswer;
  /** Of a body that may trickle: what its address is remembered by when that is cut. */
  #urlKey: string | null = null;

  constructor(parts: ModParts, message: IcapMessage) {
    this.#parts = parts;
    this.#message = message;
    this.#requestHead = readHttpHead(message.requestHead);
    this.#responseHead = readHttpHead(message.responseHead);
    this.#head = parts.request.method === "REQMOD" ? this.#requestHead : this.#responseHead;
    this.#body = this.#makeBody();
    this.#answer = new ModAnswer({ ...parts, message, body: this.#body });
  }

  /** @param fault of its heads. */
  async run(fault: ClamgateError | null): Promise<boolean> {
    const { client, record } = this.#parts;
    const result = fault === null ? await this.#scan() : ({ kind: "failed", error: fault } as const);
    if (result.kind === "scanned") {
      record.sha256 = result.report?.sha256 ?? null;
      record.verdict = this.#body.size > 0 ? result.verdict : null;
      record.relaxedFor = result.decision.relaxedFor;
    }
    try {
      return await this.#tell(result);
    } catch (thrown) {
      // An answer that has begun cannot become another one.
      record.answer = client.signal.aborted ? "gone" : "cut";
      if (record.answer === "cut") noteFailure(record, toClamgateError(thrown));
      client.reset();
      return false;
    } finally {
      if (result.kind === "scanned") await result.body?.[Symbol.asyncDispose]();
      record.size = this.#body.size;
      record.releasedBytes = this.#answer.released;
      if (this.#message.preview !== null) record.previewBytes = this.#body.previewBytes;
      record.isInPreview = this.#body.isInPreview;
    }
  }

  async #scan(): Promise<ScanResult> {
    const { request, client, record, options } = this.#parts;
    record.httpMethod = this.#requestHead.method;
    record.httpStatus = this.#responseHead.status;
    record.url = shownUrl(this.#requestHead);
    record.isPartial = isPartialContent(this.#head);
    const scanning = scanMessage(this.#body, {
      scan: options.scan,
      policy: options.policy,
      maxParts: options.maxParts,
      requestId: record.requestId,
      name: record.url ?? "",
      client: clientNetwork(record.client ?? record.peer),
      signal: client.signal,
      head: this.#head,
      isRequest: request.method === "REQMOD",
      isPartial: record.isPartial,
    });
    if (options.trickle !== null && this.#mayTrickle()) await this.#trickle(scanning, options.trickle);
    return await scanning;
  }

  async #tell(result: ScanResult): Promise<boolean> {
    const { record, options } = this.#parts;
    const goesOn = await this.#decide(result);
    // Whoever asks for it again is answered in full.
    if (record.answer === "cut" && this.#urlKey !== null) options.cutUrls.set(this.#urlKey, true);
    return goesOn;
  }

  #decide(result: ScanResult): Promise<boolean> {
    if (result.kind === "failed") return this.#answer.fail(result.error);
    if (!result.decision.isAllowed) return this.#answer.block(result);
    const fault = this.#faultOfWhole();
    return fault === null ? this.#answer.allow(result) : this.#answer.fail(fault);
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
    const declared = request.method === "REQMOD" ? contentLengthOf(this.#head) : null;
    if (this.#body.state !== "whole" || declared === null || declared === this.#body.size) return null;
    return malformed(`the request has Content-Length ${declared} and a body of ${this.#body.size} bytes`);
  }

  #makeBody(): MessageBody {
    const { reader, client, options, event } = this.#parts;
    const declared = contentLengthOf(this.#head);
    return new MessageBody({
      next: event,
      change: (timeoutMs) => client.change(timeoutMs),
      proceed: async () => {
        await client.write(continueBytes);
        reader.proceed();
      },
      isTooLarge: declared !== null && declared > options.maxBytes,
      mayTrickle: options.trickle !== null,
      waitMs: options.idleTimeoutMs,
    });
  }

  /** Web proxies alone: whoever may be told 204 is none, or has no need of it. */
  #mayTrickle(): boolean {
    const { request, record, options } = this.#parts;
    const { responseHead: head, hasBody } = this.#message;
    if (request.method !== "RESPMOD" || record.allows204 || head === null || !hasBody) return false;
    const { target } = this.#requestHead;
    if (this.#responseHead.status !== 200 || target === null) return false;
    this.#urlKey = hash("sha256", `${this.#requestHead.values("host").join()} ${target}`, "hex");
    return options.cutUrls.get(this.#urlKey) === null;
  }

  async #trickle(scanning: Promise<ScanResult>, pace: TricklePace): Promise<void> {
    const body = this.#body;
    const source = {
      arrived: () => (this.#message.preview === null || body.hasProceeded ? { prefix: body.prefix, bytes: body.size } : null),
      send: (byte: Uint8Array) => this.#answer.trickle(byte),
    };
    // A client that has gone is heard of from the scan.
    await trickleUntilSettled(scanning, source, pace, this.#parts.client.signal).catch(() => {});
  }
}

function malformed(detail: string): ClamgateError {
  return new ClamgateError("malformed", "The request is not well-formed", { detail });
}
