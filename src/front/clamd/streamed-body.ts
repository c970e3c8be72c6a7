/** The life of one body behind INSTREAM: it is received, scanned and answered, and what is left of it behind an early answer is skipped (clamd-front.md D6-D8, D27, D28). */

import {
  errorLine,
  errorName,
  type Frame,
  foundLine,
  framed,
  type OnError,
  okLine,
  readTimedOut,
} from "../../codec/clamd/answer.ts";
import { ChunkSource } from "../../core/chunk-source.ts";
import type { Clock } from "../../core/clock.ts";
import { ClamgateError, type ErrorCode, toClamgateError } from "../../core/errors.ts";
import { findings, type Scan, type ScannedBody } from "../../core/scan.ts";
import type { LingerBounds } from "./wire.ts";

export interface Peer {
  /** As `ScanOptions.client`. */
  readonly client: string;
  /** For the log: `address@port`, or `local`. */
  readonly name: string;
}

export interface StreamedBodyParts {
  readonly scan: Scan;
  /** The limit of one body, which `scan` enforces; one that says it is larger is refused before its data has come. */
  readonly maxBytes: number;
  readonly uniqueId: () => string;
  readonly clock: Clock;
}

export interface StreamedBodyOptions {
  readonly peer: Peer;
  readonly onError: OnError;
  readonly frame: Frame;
  /** Ends the scan when the client has gone. */
  readonly signal: AbortSignal;
  readonly parts: StreamedBodyParts;
  /** Called when it is full no more. */
  readonly onRoom: () => void;
  /** Called once the scan has ended. @param text is null where the connection ends in place of an answer. */
  readonly onAnswer: (body: StreamedBody, text: string | null) => void;
}

/** How the rest of a body is read on whose answer is known already. @param maxBytes of one body. */
export function restBounds(maxBytes: number): LingerBounds {
  return { maxMs: 60_000, idleMs: 5_000, maxBytes: 4 * maxBytes };
}

export class StreamedBody {
  readonly #options: StreamedBodyOptions;
  readonly #incoming: IncomingBody;
  #announcedBytes = 0;
  #isStarted = false;
  #isWhole = false;
  /** Known before the end of the body, for which it waits in a session. */
  #answer: { readonly text: string | null; readonly since: number } | null = null;
  #skippedBytes = 0;

  constructor(options: StreamedBodyOptions) {
    this.#options = options;
    this.#incoming = new IncomingBody(options.onRoom);
  }

  /** True while no more should be received. */
  get isFull(): boolean {
    return this.#incoming.isFull;
  }

  get isWhole(): boolean {
    return this.#isWhole;
  }

  /** Set while what is left of it is skipped. */
  get answer(): { readonly text: string | null } | null {
    return this.#answer;
  }

  append(bytes: Buffer, announcedBytes: number): void {
    if (this.#answer !== null) {
      this.#skippedBytes += bytes.length;
      return;
    }
    if (announcedBytes > this.#options.parts.maxBytes) {
      // Also how a client that has lost step shows: what it takes for data is read as a length (Cisco-Talos/clamav#1488).
      const detail = `${announcedBytes - this.#announcedBytes} bytes announced behind ${this.#announcedBytes}`;
      this.#incoming.fail(new ClamgateError("too-large", "The body is larger than the limit", { detail }));
    }
    this.#announcedBytes = announcedBytes;
    this.#incoming.append(bytes);
  }

  /** To be called when all that has come has been appended: of most bodies that is the whole, and the scan finds it there. */
  arrived(): void {
    if (this.#announcedBytes > 0) this.#start();
  }

  finish(): void {
    this.#isWhole = true;
    this.#incoming.finish();
    if (this.#answer === null) this.#start();
  }

  /** It comes to no end, and is answered so. */
  fail(error: ClamgateError): void {
    this.#incoming.fail(error);
    this.#start();
  }

  /** Nobody waits for its answer any more. */
  giveUp(): void {
    this.#incoming.fail(clientGone());
  }

  /** Drops what is left of it before the answer is given. */
  skip(text: string | null): void {
    this.giveUp();
    this.#answer = { text, since: this.#options.parts.clock() };
  }

  /** True when more of it has been skipped than is for the sake of what may follow. */
  get isRestTooLong(): boolean {
    return this.#skippedBytes > restBounds(this.#options.parts.maxBytes).maxBytes;
  }

  /** When its rest has taken too long, of the clock. */
  restDue(lastByteAt: number): number {
    const { maxMs, idleMs } = restBounds(this.#options.parts.maxBytes);
    return Math.min((this.#answer?.since ?? 0) + maxMs, lastByteAt + idleMs);
  }

  #start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    void this.#scan();
  }

  /** Never rejects. */
  async #scan(): Promise<void> {
    const { peer, frame, signal, parts, onAnswer } = this.#options;
    try {
      const scanned = await parts.scan(this.#incoming, {
        via: "clamd",
        requestId: parts.uniqueId(),
        name: `instream(${peer.name})`,
        client: peer.client,
        signal,
        expectedBytes: this.#announcedBytes,
      });
      await scanned[Symbol.asyncDispose]();
      onAnswer(this, framed(verdictLine(scanned), frame));
    } catch (error) {
      onAnswer(this, this.#failure(toClamgateError(error).code));
    }
  }

  #failure(code: ErrorCode): string | null {
    const { onError, frame } = this.#options;
    switch (onError) {
      case "error":
        return code === "client-slow" ? readTimedOut : framed(errorLine(code), frame);
      case "close":
        return null;
      case "found":
        return framed(foundLine("stream", errorName(code)), frame);
    }
  }
}

/** The one place that says OK of a body. */
function verdictLine(scanned: Pick<ScannedBody, "report" | "decision">): string {
  return scanned.decision.isAllowed ? okLine("stream") : foundLine("stream", findings(scanned)[0] ?? "");
}

export function clientGone(): ClamgateError {
  return new ClamgateError("client-gone", "The client went away");
}

/** Each is a read of the socket, 64 KiB at most. */
const maxPieces = 4;

/** What has been received and not been taken by the scan, and how it ends. */
class IncomingBody extends ChunkSource {
  readonly #onRoom: () => void;
  readonly #pieces: Uint8Array[] = [];
  #waiter: PromiseWithResolvers<void> | null = null;
  #end: { readonly error: unknown } | "whole" | null = null;

  /** @param onRoom called when it is full no more. */
  constructor(onRoom: () => void) {
    super();
    this.#onRoom = onRoom;
  }

  /** True while no more should be received. */
  get isFull(): boolean {
    return this.#end === null && this.#pieces.length >= maxPieces;
  }

  append(piece: Uint8Array): void {
    if (this.#end !== null || piece.length === 0) return;
    this.#pieces.push(piece);
    this.#wake();
  }

  /** All of it has been received. */
  finish(): void {
    this.#end ??= "whole";
    this.#wake();
  }

  /** It comes to no end: whoever reads it gets the error, and what follows is dropped. The first end stays. */
  fail(error: unknown): void {
    if (this.#end !== null) return;
    this.#end = { error };
    this.#pieces.length = 0;
    this.#wake();
  }

  take(): Uint8Array | null | undefined {
    if (this.#end !== null && this.#end !== "whole") throw this.#end.error;
    const wasFull = this.isFull;
    const piece = this.#pieces.shift();
    if (piece === undefined) return this.#end === "whole" ? null : undefined;
    if (wasFull) this.#onRoom();
    return piece;
  }

  ready(): Promise<void> {
    if (this.#pieces.length > 0 || this.#end !== null) return Promise.resolve();
    this.#waiter ??= Promise.withResolvers();
    return this.#waiter.promise;
  }

  /** Who reads no further says so to the conversation, by how the scan ends. */
  leave(): void {}

  #wake(): void {
    this.#waiter?.resolve();
    this.#waiter = null;
  }
}
