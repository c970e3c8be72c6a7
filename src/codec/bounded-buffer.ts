/** A few bytes that must be held until their end has come: grows by doubling, up to a bound, so that bytes that come one by one are not copied again each time. */

import { ProtocolError } from "./protocol-error.ts";

const firstBytes = 256;
const nothing = Buffer.alloc(0);

export class BoundedBuffer {
  readonly #maxBytes: number;
  readonly #what: string;
  #bytes: Buffer = nothing;
  #length = 0;

  /** @param what names the held thing in the error, as "a part's header". */
  constructor(maxBytes: number, what: string) {
    this.#maxBytes = maxBytes;
    this.#what = what;
  }

  get length(): number {
    return this.#length;
  }

  /** Throws ProtocolError when more than `maxBytes` would be held. */
  append(bytes: Uint8Array): void {
    const length = this.#length + bytes.length;
    if (length > this.#maxBytes) throw new ProtocolError(`${this.#what} is longer than ${this.#maxBytes} bytes`);
    if (length > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(firstBytes, length, 2 * this.#bytes.length));
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = length;
  }

  /** A view that is valid until the next call of any method. */
  view(from = 0, to = this.#length): Buffer {
    return this.#bytes.subarray(from, to);
  }

  clear(): void {
    this.#length = 0;
  }
}
