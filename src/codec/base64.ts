/** Base64 (RFC 2045 §6.8) as it comes, as far as all decoders read the same from it; what some skip and others stop at is refused. */

import { ProtocolError } from "./protocol-error.ts";

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const equals = 0x3d;

/** The value of each character; 255 where it has none. Neither blanks nor the alphabet of URLs, which Node reads too. */
const values = Buffer.alloc(256, 255);
for (const [value, character] of [...Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")].entries())
  values[character] = value;

export class Base64Decoder {
  /** Of the group of four that is being read. */
  #bits = 0;
  #characters = 0;
  #padding = 0;
  #isReturn = false;

  /** May be empty. Throws ProtocolError. */
  feed(chunk: Uint8Array): Uint8Array {
    const decoded = Buffer.allocUnsafe(Math.ceil(chunk.length / 4) * 3 + 3);
    let length = 0;
    for (const byte of chunk) {
      const value = values[byte] ?? 255;
      if (value === 255 || this.#isReturn) {
        this.#readOther(byte);
        if (byte !== equals || this.#characters < 4) continue;
      } else if (this.#padding > 0) {
        throw new ProtocolError("a base64 body goes on behind its padding");
      } else {
        this.#bits = this.#bits * 64 + value;
        this.#characters += 1;
        if (this.#characters < 4) continue;
      }
      decoded[length] = this.#bits >> 16;
      decoded[length + 1] = (this.#bits >> 8) & 0xff;
      decoded[length + 2] = this.#bits & 0xff;
      length += 3 - this.#padding;
      this.#bits = 0;
      this.#characters = 0;
    }
    return decoded.subarray(0, length);
  }

  /** Throws ProtocolError where the body cannot end here. */
  finish(): void {
    if (this.#isReturn) throw strayReturn();
    if (this.#characters > 0) throw new ProtocolError("a base64 body ends within four characters");
  }

  /** A line end, or padding: counted like a character, so that a group is complete with it. */
  #readOther(byte: number): void {
    if (this.#isReturn && byte !== lineFeed) throw strayReturn();
    this.#isReturn = byte === carriageReturn;
    if (byte === equals) {
      if (this.#characters < 2) throw new ProtocolError("a base64 body has padding that stands for nothing");
      this.#bits *= 64;
      this.#characters += 1;
      this.#padding += 1;
    } else if (byte !== lineFeed && byte !== carriageReturn) {
      throw new ProtocolError("a base64 body has a character that is not of its alphabet");
    } else if (this.#characters > 0) {
      // Who decodes line by line would lose what is left.
      throw new ProtocolError("a base64 line ends within four characters");
    }
  }
}

function strayReturn(): ProtocolError {
  return new ProtocolError("a base64 body has a CR without its LF");
}
