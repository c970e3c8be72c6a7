/** What one client of ICAP is told of its message: that it may pass, a page in its place, or what the operator has chosen for failures. */

import { chunkHead, type EncapsulatedPage, formatHead, type Lines, threatLines } from "../../codec/icap/answer.ts";
import type { IcapMessage, IcapReader, IcapRequest } from "../../codec/icap/reader.ts";
import { hasToken } from "../../codec/icap/request-head.ts";
import { type ClamgateError, toClamgateError } from "../../core/errors.ts";
import type { SpooledBody } from "../../core/spool.ts";
import type { ClientSocket } from "./client-socket.ts";
import { type FailureStatus, failureWord, statusOf } from "./failures.ts";
import type { IcapFrontOptions } from "./front-options.ts";
import type { MessageBody } from "./message-body.ts";
import { type ModRecord, noteFailure } from "./mod-record.ts";
import { blockPage, failurePage } from "./pages.ts";
import type { ScanResult } from "./scan-message.ts";

export interface ModAnswerOptions {
  readonly request: IcapRequest;
  readonly message: IcapMessage;
  readonly body: MessageBody;
  readonly reader: IcapReader;
  readonly client: ClientSocket;
  readonly record: ModRecord;
  readonly options: IcapFrontOptions;
  readonly isDraining: () => boolean;
}

export type Scanned = Extract<ScanResult, { kind: "scanned" }>;

const lineEnd = "\r\n";

/** Each answer resolves with whether the connection goes on: it has been ended where it does not. It rejects where an answer that has begun cannot be ended. */
export class ModAnswer {
  readonly #parts: ModAnswerOptions;
  #released = 0;

  constructor(parts: ModAnswerOptions) {
    this.#parts = parts;
  }

  /** Bytes of the body that went back before its verdict. */
  get released(): number {
    return this.#released;
  }

  async allow(scanned: Scanned): Promise<boolean> {
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
    if (scanned.body === null && this.#parts.body.size > 0) return await this.block(scanned);
    return await this.#echo(scanned, lines);
  }

  /** RFC 3507 §4.6: where the client has kept the message. Squid fails otherwise, or delivers a head without its body. */
  #maySay204(): boolean {
    return this.#parts.record.allows204 || this.#parts.body.state === "preview" || this.#parts.body.isInPreview;
  }

  async #echo(scanned: Scanned, lines: Lines): Promise<boolean> {
    const { client, record } = this.#parts;
    record.answer = "echo";
    const keeps = this.#keeps();
    const start = this.#head(200, { lines, encapsulated: this.#composition(), scanned, keeps });
    const pieces: (string | Uint8Array)[] = [start, this.#echoedHead() ?? ""];
    if (this.#parts.message.hasBody) await this.#sendBody(scanned.body, 0, pieces);
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
    await client.write(...pieces, chunkHead(0), this.#parts.body.trailers, lineEnd);
  }

  /** A page in the place of what was found, or of what could not be looked into. */
  async block(scanned: Scanned): Promise<boolean> {
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

  /** As the operator has it for failures. */
  async fail(error: ClamgateError): Promise<boolean> {
    const { client, record, options, request } = this.#parts;
    noteFailure(record, error);
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

  /** One more byte of the body before its verdict. */
  async trickle(byte: Uint8Array): Promise<void> {
    const isFirst = this.#released === 0;
    this.#released += byte.length;
    const encapsulated = this.#composition();
    const start = isFirst ? this.#head(200, { lines: [], encapsulated, scanned: null, keeps: this.#keeps() }) : "";
    const head = isFirst ? (this.#echoedHead() ?? "") : "";
    await this.#parts.client.write(start, head, chunkHead(byte.length), byte, lineEnd);
  }

  /** Bytes of it are out, so nothing but its end can be told. */
  #cut(): boolean {
    const { client, record } = this.#parts;
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
    return this.#parts.request.method === "REQMOD" ? this.#parts.message.requestHead : this.#parts.message.responseHead;
  }

  #composition(): string {
    const kind = this.#parts.request.method === "REQMOD" ? "req" : "res";
    const head = this.#echoedHead();
    const body = `${this.#parts.message.hasBody ? `${kind}-body` : "null-body"}=${head?.length ?? 0}`;
    return head === null ? body : `${kind}-hdr=0, ${body}`;
  }

  #keeps(): Keeps {
    const { request, isDraining } = this.#parts;
    return hasToken(request.fields, "connection", "close") || isDraining() ? "closes" : "keeps";
  }

  /** Some clients read only when they have written all: what nobody needs is read before the answer, within bounds. */
  async #finishReading(): Promise<Keeps> {
    const { options, body, message } = this.#parts;
    if (body.state === "broken") return "closes";
    if (body.state !== "unread" || !message.hasBody) return this.#keeps();
    try {
      const { maxBytes, patienceMs: maxMs, clock } = options;
      return (await body.discard({ maxBytes, maxMs, clock })) ? this.#keeps() : "resets";
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
