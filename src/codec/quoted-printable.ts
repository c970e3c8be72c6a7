/** Quoted-printable (RFC 2045 §6.7) as it comes, as far as Go's, Python's, Perl's and Java's decoders read the same from it; the rest is refused. */

import { ProtocolError } from "./protocol-error.ts";

const tab = 0x09;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;
const equals = 0x3d;

/** What the last byte was: "return" a CR, "escape" a `=`, "digit" the first of two, "soft-return" a CR behind the `=`. */
type State = "text" | "blank" | "return" | "escape" | "digit" | "soft-return";

export class QuotedPrintableDecoder {
  #state: State = "text";
  #digit = 0;

  /** May be empty. Throws ProtocolError. */
  feed(chunk: Uint8Array): Uint8Array {
    // A CR is given out with its LF.
    const decoded = Buffer.allocUnsafe(chunk.length + 1);
    let length = 0;
    for (const byte of chunk) {
      switch (this.#state) {
        case "text":
        case "blank":
          if (byte === equals) this.#state = "escape";
          else if (byte === carriageReturn || byte === lineFeed) {
            this.#refuseBlank();
            this.#state = byte === lineFeed ? "text" : "return";
            if (byte === lineFeed) decoded[length++] = byte;
          } else {
            decoded[length++] = plainByte(byte);
            this.#state = byte === space || byte === tab ? "blank" : "text";
          }
          break;
        case "return":
          // Some take it for a line end, some for a character.
          if (byte !== lineFeed) throw new ProtocolError("a quoted-printable body has a CR without its LF");
          decoded[length++] = carriageReturn;
          decoded[length++] = lineFeed;
          this.#state = "text";
          break;
        case "escape":
          if (byte === lineFeed) this.#state = "text";
          else if (byte === carriageReturn) this.#state = "soft-return";
          else {
            this.#digit = hexDigit(byte);
            this.#state = "digit";
          }
          break;
        case "digit":
          decoded[length++] = this.#digit * 16 + hexDigit(byte);
          this.#state = "text";
          break;
        case "soft-return":
          if (byte !== lineFeed) throw badEscape();
          this.#state = "text";
          break;
      }
    }
    return decoded.subarray(0, length);
  }

  /** Throws ProtocolError where the body cannot end here. */
  finish(): void {
    switch (this.#state) {
      case "text":
        return;
      case "blank":
        this.#refuseBlank();
        return;
      case "return":
        throw new ProtocolError("a quoted-printable body has a CR without its LF");
      case "escape":
      case "digit":
      case "soft-return":
        throw badEscape();
    }
  }

  /** Go and Perl drop it, Python keeps it. */
  #refuseBlank(): void {
    if (this.#state === "blank") throw new ProtocolError("a quoted-printable line ends in a blank");
  }
}

/** Lower-case digits are read by all, though RFC 2045 does not want them. */
function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  if (letter >= 0x61 && letter <= 0x66) return letter - 0x61 + 10;
  throw badEscape();
}

/** A `=` that encodes nothing: some keep it, some drop it. */
function badEscape(): ProtocolError {
  return new ProtocolError("a quoted-printable escape is neither two hexadecimal digits nor a line end");
}

function plainByte(byte: number): number {
  const isPlain = byte === tab || byte >= 0x80 || (byte >= space && byte <= 0x7e);
  if (!isPlain) throw new ProtocolError("a quoted-printable body contains a raw control character");
  return byte;
}
