/** The body of one encapsulated message, pulled from its client as far as somebody reads; the rest of it is asked for when it is wanted. */

import { IcapFault } from "../../codec/icap/fault.ts";
import type { IcapEvent } from "../../codec/icap/reader.ts";
import { ChunkSource } from "../../core/chunk-source.ts";
import type { Clock } from "../../core/clock.ts";
import { ClamgateError } from "../../core/errors.ts";

export interface MessageBodyOptions {
  /** The reader's next event; null where more must come. Throws IcapFault or `client-gone`. */
  readonly next: () => IcapEvent | null;
  /** Resolves when there may be one. Rejects with `client-slow`. */
  readonly change: (timeoutMs: number) => Promise<void>;
  /** Says 100 Continue, and has the reader go on. */
  readonly proceed: () => Promise<void>;
  /** A body that says itself that it is larger than may be scanned is not asked for. */
  readonly isTooLarge: boolean;
  /** Whether some of its bytes may go back before the verdict. */
  readonly mayTrickle: boolean;
  /** For each next byte. */
  readonly waitMs: number;
}

export interface DiscardBounds {
  readonly maxBytes: number;
  readonly maxMs: number;
  readonly clock: Clock;
}

/**
 * unread: more of it comes; preview: more of it comes only if we ask; whole; broken: nothing more can be read, or framing is lost.
 */
export type BodyState = "unread" | "preview" | "whole" | "broken";

/** Bytes that are kept of its beginning, for a trickle. */
const prefixBytes = 64;
const nothing = Buffer.alloc(0);

/** Single use, one reader. Leaving it early leaves the connection as it is. */
export class MessageBody extends ChunkSource {
  readonly #options: MessageBodyOptions;
  readonly #prefix: Buffer;
  #waitMs: number;
  #state: BodyState = "unread";
  #size = 0;
  #previewBytes = 0;
  #isInPreview = false;
  #hasProceeded = false;
  #trailers: Buffer = nothing;
  #first: Uint8Array | null = null;
  #proceeding: Promise<void> | null = null;
  #failure: { readonly thrown: unknown } | null = null;

  constructor(options: MessageBodyOptions) {
    super();
    this.#options = options;
    this.#waitMs = options.waitMs;
    this.#prefix = options.mayTrickle ? Buffer.alloc(prefixBytes) : nothing;
  }

  get state(): BodyState {
    return this.#state;
  }

  /** Bytes that have come. */
  get size(): number {
    return this.#size;
  }

  /** All of it came in the preview. */
  get isInPreview(): boolean {
    return this.#isInPreview;
  }

  /** Whether we have asked for the rest of it. */
  get hasProceeded(): boolean {
    return this.#hasProceeded;
  }

  get previewBytes(): number {
    return this.#previewBytes;
  }

  get trailers(): Buffer {
    return this.#trailers;
  }

  /** Its first bytes, at most 64; none of a body that may not trickle. */
  get prefix(): Uint8Array {
    return this.#prefix.subarray(0, this.#size);
  }

  /** Reads to its first byte; false where it has none. */
  async begins(): Promise<boolean> {
    this.#first = await this.#read();
    return this.#first !== null;
  }

  take(): Uint8Array | null | undefined {
    const first = this.#first;
    this.#first = null;
    if (first !== null) return first;
    if (this.#failure !== null) throw this.#failure.thrown;
    if (this.#state === "whole") return null;
    try {
      return this.#takeEvent();
    } catch (thrown) {
      this.#failure = { thrown };
      throw thrown;
    }
  }

  async ready(): Promise<void> {
    try {
      await (this.#proceeding ?? this.#options.change(this.#waitMs));
    } catch (thrown) {
      this.#state = "broken";
      this.#failure = { thrown };
    }
    this.#proceeding = null;
  }

  leave(): void {}

  /** Reads what is left and drops it; false where it is more than may be dropped, or takes longer. Throws as reading does. */
  async discard({ maxBytes, maxMs, clock }: DiscardBounds): Promise<boolean> {
    const limit = this.#size + maxBytes;
    const endsAt = clock() + maxMs;
    this.#waitMs = maxMs;
    while ((await this.#read()) !== null) if (this.#size > limit || clock() >= endsAt) return false;
    return true;
  }

  async #read(): Promise<Uint8Array | null> {
    for (;;) {
      const chunk = this.take();
      if (chunk !== undefined) return chunk;
      await this.ready();
    }
  }

  #takeEvent(): Uint8Array | null | undefined {
    const event = this.#next();
    switch (event?.type) {
      case undefined:
        return undefined;
      case "data":
        if (this.#size < this.#prefix.length) this.#prefix.set(event.bytes.subarray(0, prefixBytes - this.#size), this.#size);
        this.#size += event.bytes.length;
        return event.bytes;
      case "preview-end":
        this.#state = "preview";
        this.#previewBytes = this.#size;
        if (this.#options.isTooLarge) throw new ClamgateError("too-large", "The body is larger than the limit");
        this.#state = "unread";
        this.#hasProceeded = true;
        this.#proceeding = this.#options.proceed();
        return undefined;
      case "end":
        this.#state = "whole";
        this.#isInPreview = event.isInPreview;
        if (event.isInPreview) this.#previewBytes = this.#size;
        this.#trailers = event.trailers;
        return null;
      case "request":
      case "message":
        throw new ClamgateError("internal", "Internal error", { detail: `a body met the event ${event.type}` });
    }
  }

  #next(): IcapEvent | null {
    try {
      return this.#options.next();
    } catch (thrown) {
      this.#state = "broken";
      throw malformedOf(thrown);
    }
  }
}

/** A fault of the client's as the error that it is for everybody else. */
export function malformedOf(thrown: unknown): unknown {
  if (!(thrown instanceof IcapFault)) return thrown;
  return new ClamgateError("malformed", "The request is not well-formed", { detail: thrown.message, cause: thrown });
}
