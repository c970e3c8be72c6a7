/** One ICAP connection: its requests one after the other, each answered before the next is read (RFC 3507 §4.2). */

import { formatHead, formatOptions } from "../../codec/icap/answer.ts";
import { IcapFault } from "../../codec/icap/fault.ts";
import { type IcapEvent, IcapReader, type IcapRequest } from "../../codec/icap/reader.ts";
import { hasToken } from "../../codec/icap/request-head.ts";
import { freeChunk } from "../../core/chunk-source.ts";
import { ClamgateError, toClamgateError } from "../../core/errors.ts";
import type { ClientSocket } from "./client-socket.ts";
import { type FailureStatus, failureWord } from "./failures.ts";
import type { IcapFrontOptions } from "./front-options.ts";
import { serveMod } from "./mod-exchange.ts";
import { type ModRecord, openRecord, type Peer } from "./mod-record.ts";

export class IcapConnection {
  readonly #client: ClientSocket;
  readonly #peer: Peer;
  readonly #options: IcapFrontOptions;
  readonly #reader = new IcapReader();
  /** What the reader was given last, and may have handed on a view of. */
  #fed: Buffer | null = null;
  #served = 0;
  #isIdle = true;
  #isDraining = false;

  constructor(client: ClientSocket, peer: Peer, options: IcapFrontOptions) {
    this.#client = client;
    this.#peer = peer;
    this.#options = options;
  }

  /** To the end of the connection. Never rejects. */
  async run(): Promise<void> {
    try {
      while (await this.#serveNext());
    } catch (thrown) {
      const { message } = toClamgateError(thrown);
      if (!this.#client.signal.aborted)
        this.#options.emit({ kind: "notice", level: "error", message: `an ICAP connection failed: ${message}` });
      this.#client.reset();
    }
  }

  /** The present request is the last one. */
  drain(): void {
    this.#isDraining = true;
    if (this.#isIdle && this.#client.early.length === 0) this.#client.end();
  }

  /** Its request ends now, as a failure. */
  stop(): void {
    this.drain();
    this.#client.stop(new ClamgateError("stopping", "The gateway is stopping"));
  }

  async #serveNext(): Promise<boolean> {
    const request = await this.#nextRequest();
    if (request === null) return false;
    this.#served += 1;
    const { uniqueId, clock, emit, services } = this.#options;
    const record = openRecord(request, this.#peer, uniqueId());
    const startedAt = clock();
    try {
      if (services !== null && !services.has(request.service)) return await this.#refuseService(request, record);
      if (request.method === "OPTIONS") return await this.#serveOptions(request, record);
      return await serveMod({
        request,
        record,
        reader: this.#reader,
        client: this.#client,
        options: this.#options,
        isDraining: () => this.#isDraining,
        nextEvent: (timeoutMs) => this.#nextEvent(timeoutMs),
        event: () => this.#event(),
      });
    } finally {
      record.seconds = (clock() - startedAt) / 1000;
      emit(record);
    }
  }

  /** Null where the connection has ended. */
  async #nextRequest(): Promise<IcapRequest | null> {
    const { clock, headTimeoutMs, idleTimeoutMs } = this.#options;
    const firstMs = this.#served === 0 ? headTimeoutMs : idleTimeoutMs;
    const openedAt = clock();
    let headSince: number | null = null;
    try {
      for (;;) {
        const event = this.#reader.next();
        if (event?.type === "request") {
          this.#isIdle = false;
          return event.request;
        }
        if (this.#reader.isWithinRequest) headSince ??= clock();
        this.#isIdle = headSince === null;
        if (this.#isIdle && this.#isDraining) break;
        const leftMs = headSince === null ? openedAt + firstMs - clock() : headSince + headTimeoutMs - clock();
        const chunk = this.#client.take();
        if (chunk === null) break;
        if (chunk === undefined) await this.#client.change(leftMs);
        else this.#feed(chunk);
      }
    } catch (thrown) {
      return await this.#refuseHead(thrown);
    }
    this.#client.end();
    return null;
  }

  /** Whatever ICAP_ON_ERROR says: nobody knows what was asked. */
  async #refuseHead(thrown: unknown): Promise<null> {
    const status = thrown instanceof IcapFault ? thrown.status : 408;
    if (this.#isIdle && status === 408) {
      this.#client.end();
      return null;
    }
    const record = openRecord(null, this.#peer, this.#options.uniqueId());
    record.code = status === 408 ? "client-slow" : "malformed";
    record.detail = toClamgateError(thrown).message;
    if (thrown instanceof IcapFault) record.detail = thrown.message;
    await this.#sayStatus(status, record, true);
    this.#options.emit(record);
    return null;
  }

  async #nextEvent(timeoutMs: number): Promise<IcapEvent> {
    for (;;) {
      const event = this.#event();
      if (event !== null) return event;
      await this.#client.change(timeoutMs);
    }
  }

  /** Null where more must come: then the client's `change`. */
  #event(): IcapEvent | null {
    for (;;) {
      const event = this.#reader.next();
      if (event !== null) return event;
      const chunk = this.#client.take();
      if (chunk === undefined) return null;
      if (chunk === null) throw new ClamgateError("client-gone", "The request ended before it was whole");
      this.#feed(chunk);
    }
  }

  /** With it the bytes before are read for good: what was taken of them has been copied, or asked for the next. */
  #feed(chunk: Buffer): void {
    this.#reader.receive(chunk);
    if (this.#fed !== null) freeChunk(this.#fed);
    this.#fed = chunk;
  }

  async #serveOptions(request: IcapRequest, record: ModRecord): Promise<boolean> {
    const options = this.#options;
    const refusal = await this.#skipBody(record);
    if (refusal !== null) return await this.#sayStatus(refusal, record, true);
    const isStatus = failureWord(options.onError, request.service) === "status";
    if (isStatus && !options.isReady()) return await this.#sayStatus(503, record, true);
    const closes = this.#closes(request);
    const { requestId } = record;
    const { maxConnections, preview } = options;
    record.answer = "options";
    await this.#client.write(formatOptions({ istag: options.istag(), requestId, closes, maxConnections, preview }));
    return this.#finish(closes);
  }

  async #refuseService(request: IcapRequest, record: ModRecord): Promise<boolean> {
    let hasBody = true;
    try {
      const event = await this.#nextEvent(this.#options.idleTimeoutMs);
      hasBody = event.type !== "message" || event.message.hasBody;
      if (!hasBody) await this.#nextEvent(this.#options.idleTimeoutMs);
    } catch {
      // The service is not there, whatever else is wrong.
    }
    return await this.#sayStatus(404, record, hasBody || this.#closes(request));
  }

  /** The status of what is wrong with it; null where nothing is. */
  async #skipBody(record: ModRecord): Promise<FailureStatus | null> {
    try {
      for (;;) {
        const event = await this.#nextEvent(this.#options.idleTimeoutMs);
        if (event.type === "preview-end") this.#reader.proceed();
        if (event.type === "end") return null;
      }
    } catch (thrown) {
      const error = toClamgateError(thrown);
      record.detail = thrown instanceof IcapFault ? thrown.message : error.message;
      record.code = thrown instanceof IcapFault ? "malformed" : error.code;
      if (error.code === "client-gone") throw error;
      return thrown instanceof IcapFault ? thrown.status : error.code === "client-slow" ? 408 : 500;
    }
  }

  async #sayStatus(status: FailureStatus, record: ModRecord, closes: boolean): Promise<boolean> {
    const { requestId } = record;
    record.answer = `${status}`;
    const encapsulated = "null-body=0";
    await this.#client.write(formatHead({ status, istag: this.#options.istag(), requestId, closes, encapsulated }));
    return this.#finish(closes);
  }

  #closes({ fields }: IcapRequest): boolean {
    return this.#isDraining || hasToken(fields, "connection", "close");
  }

  #finish(closes: boolean): boolean {
    if (closes) this.#client.end();
    else this.#reader.restart();
    return !closes;
  }
}
