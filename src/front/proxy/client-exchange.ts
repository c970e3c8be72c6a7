/** One request of a client and its response, byte by byte: what has begun either ends whole or is reset (download-proxy.md H2, H3). */

import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { clientNetwork, parseIpAddress } from "../../codec/ip-address.ts";
import { freeChunk } from "../../core/chunk-source.ts";
import { ClamgateError } from "../../core/errors.ts";
import { type HeaderLines, pairs } from "../../egress/header-lines.ts";
import { clientGone } from "../../http/client-gone.ts";
import { resetConnection } from "../../http/connections.ts";
import { answerEarly } from "../../http/linger.ts";
import { RequestBody } from "../../http/request-body.ts";
import type { OwnAnswer } from "./own-answer.ts";

export interface ClientExchangeOptions {
  /** A client that is offered 256 KiB, and has not taken them after as long, has gone. */
  readonly idleTimeoutMs: number;
  /** Header lines of ours that every answer has. */
  readonly marks: HeaderLines;
}

/** What goes in one write: whether a client moves is seen only when all of it has left. */
export const batchBytes = 256 * 1024;

/** For a client that is answered before it has sent all of a body that nobody wants. */
const lingerBounds = { maxMs: 10_000, idleMs: 2_000, maxBytes: 1024 * 1024 };

export class ClientExchange {
  readonly request: IncomingMessage;
  /** To be written to by this exchange alone. */
  readonly response: ServerResponse;
  /** Aborts when the client has gone, or the gateway stops. */
  readonly signal: AbortSignal;
  /** The client's address in its one spelling, so that it can be compared. */
  readonly peer: string;
  /** Whose turn it is wherever clients take turns, and who is counted. */
  readonly client: string;
  readonly #options: ClientExchangeOptions;
  readonly #ending = new AbortController();
  /** 0 before there was an answer. */
  status = 0;

  constructor(request: IncomingMessage, response: ServerResponse, options: ClientExchangeOptions) {
    this.request = request;
    this.response = response;
    const address = request.socket.remoteAddress ?? "";
    this.peer = parseIpAddress(address)?.text ?? address;
    this.client = clientNetwork(address);
    this.#options = options;
    this.signal = this.#ending.signal;
    clientGone(request, response, this.#ending);
  }

  /** Ends every wait with the reason. */
  stop(reason: unknown): void {
    this.#ending.abort(reason);
  }

  get hasBegun(): boolean {
    return this.response.headersSent;
  }

  /** False for HTTP/1.0: a body without a length ends with the connection, and so does one that was cut. */
  get knowsChunks(): boolean {
    return this.request.httpVersionMajor > 1 || this.request.httpVersionMinor > 0;
  }

  /** As its head says. Read or not, it must not stay in the connection's way. */
  get hasBody(): boolean {
    const { "content-length": length = "0", "transfer-encoding": coding } = this.request.headers;
    return coding !== undefined || length !== "0";
  }

  get isHead(): boolean {
    return this.request.method === "HEAD";
  }

  /** @param lines complete; without a Content-Length the body is chunked. */
  begin(status: number, lines: HeaderLines): void {
    this.status = status;
    this.response.writeHead(status, [...lines, ...this.#options.marks]);
  }

  /** In few system calls where the client takes so much. Waits while it is slow. Rejects with the signal's reason, or with `client-slow`. */
  async send(parts: readonly Uint8Array[]): Promise<void> {
    for (const batch of batchesOf(parts)) if (!this.#write(batch)) await this.#drained();
  }

  /** As `send`, of memory that is nobody else's and that the caller leaves to us. */
  async sendOwn(parts: readonly Uint8Array[]): Promise<void> {
    for (const batch of batchesOf(parts)) {
      if (!this.#write(batch)) await this.#drained();
      // What waits to be written is still read.
      if (this.response.writableLength === 0) for (const part of batch) freeChunk(part);
    }
  }

  /** The body is whole: never called for anything else. */
  end(): void {
    this.response.end();
  }

  /** The answer has been handed over. Calls back when the client has taken it, or has gone; one that has stopped reading is cut. */
  whenTaken(callback: () => void): void {
    if (this.response.closed) {
      callback();
      return;
    }
    const { socket } = this.request;
    // What the system has of it is on its way.
    const isUntaken = this.response.writableLength > 0;
    const patience = isUntaken ? setTimeout(() => socket.destroy(), this.#options.idleTimeoutMs) : undefined;
    this.response.once("close", () => {
      clearTimeout(patience);
      callback();
    });
  }

  /** What has been sent is not a whole, and must look like none to anybody. */
  cut(): void {
    const { socket } = this.response;
    if (socket !== null) resetConnection(socket);
  }

  /** Nothing may have begun. HEAD gets its headers only. Never rejects. */
  async answer({ status, body, lines }: OwnAnswer): Promise<void> {
    this.status = status;
    const headers: OutgoingHttpHeaders = {};
    for (const [name, value] of pairs([...lines, ...this.#options.marks])) headers[name.toLowerCase()] = value;
    await answerEarly(this.request, this.response, { status, headers, body }, lingerBounds);
  }

  /** In one system call where the client takes so much; false where it does not. */
  #write(parts: readonly Uint8Array[]): boolean {
    this.signal.throwIfAborted();
    let isFlowing = true;
    // Not the response: it would collect the chunks of a body without a length, and tell of the drain before it is waited for.
    const { socket } = this.response;
    socket?.cork();
    for (const part of parts) isFlowing = this.response.write(part);
    socket?.uncork();
    return isFlowing;
  }

  #drained(): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        clearTimeout(timer);
        this.response.off("drain", onDrain);
        this.signal.removeEventListener("abort", onAbort);
        settle();
      };
      const onDrain = () => end(resolve);
      const onAbort = () => end(() => reject(this.signal.reason));
      const onIdle = () => end(() => reject(new ClamgateError("client-slow", "The client does not take its answer")));
      const timer = setTimeout(onIdle, this.#options.idleTimeoutMs);
      this.response.on("drain", onDrain);
      this.signal.addEventListener("abort", onAbort);
    });
  }
}

/** In their order, as many together as it takes for `batchBytes`. */
function* batchesOf(parts: readonly Uint8Array[]): Generator<readonly Uint8Array[], void, undefined> {
  let batch: Uint8Array[] = [];
  let bytes = 0;
  for (const part of parts) {
    batch.push(part);
    bytes += part.length;
    if (bytes < batchBytes) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield batch;
}

const maxForgottenBytes = 64 * 1024;
const forgetIdleTimeoutMs = 30_000;

/**
 * A body that came with a GET: little of it is read and forgotten, so that the connection can go on (download-proxy.md P50). False when
 * there is more of it. Rejects with `client-gone`, `client-slow` or the signal's reason.
 */
export async function forgetBody({ request, response, signal }: ClientExchange): Promise<boolean> {
  if (Number(request.headers["content-length"] ?? 0) > maxForgottenBytes) return false;
  let bytes = 0;
  const options = { idleTimeoutMs: forgetIdleTimeoutMs, minBytesPerSecond: 0, signal, response };
  for await (const chunk of new RequestBody(request, options)) {
    bytes += chunk.length;
    if (bytes > maxForgottenBytes) return false;
  }
  return true;
}
