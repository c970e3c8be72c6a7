/** A decoder of LZMA and LZMA2, for headers of 7z archives: small, and slow enough to be asked for little. */

/** The bytes are not what an encoder writes, or hold less than they ought to. */
export class LzmaError extends Error {
  override readonly name = "LzmaError";
}

export interface LzmaProperties {
  readonly literalContextBits: number;
  readonly literalPositionBits: number;
  readonly positionBits: number;
}

export interface LzmaInput {
  readonly packed: Uint8Array;
  /** Exactly so many bytes are unpacked. */
  readonly size: number;
  /** Awaited every few thousand bytes. */
  readonly breathe: () => Promise<void>;
}

const bytesPerBreath = 4096;
const statesOfLiterals = 7;
const shortestMatch = 2;

/** Null for a byte that names none. */
export function lzmaProperties(byte: number): LzmaProperties | null {
  if (byte >= 9 * 5 * 5) return null;
  return {
    literalContextBits: byte % 9,
    literalPositionBits: Math.floor(byte / 9) % 5,
    positionBits: Math.floor(byte / 45),
  };
}

/** Rejects with LzmaError, or with what `breathe` throws. */
export async function unpackLzma(properties: LzmaProperties, { packed, size, breathe }: LzmaInput): Promise<Buffer> {
  const decoder = new LzmaDecoder(Buffer.alloc(size), breathe);
  decoder.reset(properties);
  await decoder.decode(packed, size);
  return decoder.output;
}

/** The same. Chunks as xz has them (xz file format 5.3.1): dictionary, state and properties may begin anew with each. */
export async function unpackLzma2({ packed, size, breathe }: LzmaInput): Promise<Buffer> {
  const decoder = new LzmaDecoder(Buffer.alloc(size), breathe);
  let properties: LzmaProperties | null = null;
  for (let at = 0; decoder.length < size; ) {
    const control = byteAt(packed, at);
    const chunkBytes = byteAt(packed, at + 1) * 256 + byteAt(packed, at + 2) + 1;
    if (control === 0) throw new LzmaError("the chunks end too early");
    if (control < 0x80) {
      if (control > 2) throw new LzmaError("no such chunk");
      decoder.copy(packed.subarray(at + 3, at + 3 + chunkBytes), chunkBytes);
      at += 3 + chunkBytes;
      continue;
    }
    const packedBytes = byteAt(packed, at + 3) * 256 + byteAt(packed, at + 4) + 1;
    const hasProperties = control >= 0xc0;
    if (hasProperties) properties = lzmaProperties(byteAt(packed, at + 5));
    if (properties === null) throw new LzmaError("a chunk without properties");
    if (control >= 0xa0) decoder.reset(properties);
    const start = at + (hasProperties ? 6 : 5);
    await decoder.decode(packed.subarray(start, start + packedBytes), ((control & 0x1f) << 16) + chunkBytes);
    at = start + packedBytes;
  }
  return decoder.output;
}

/** As the LZMA specification has it (lzma-specification.txt); the output is the dictionary. */
class LzmaDecoder {
  readonly output: Buffer;
  length = 0;
  readonly #breathe: () => Promise<void>;
  #properties: LzmaProperties = { literalContextBits: 0, literalPositionBits: 0, positionBits: 0 };
  #state = 0;
  /** The distances of the last four matches. */
  #distances: [number, number, number, number] = [0, 0, 0, 0];
  #models = createModels(0);
  readonly #range = new RangeDecoder();

  constructor(output: Buffer, breathe: () => Promise<void>) {
    this.output = output;
    this.#breathe = breathe;
  }

  reset(properties: LzmaProperties): void {
    this.#properties = properties;
    this.#state = 0;
    this.#distances = [0, 0, 0, 0];
    this.#models = createModels(properties.literalContextBits + properties.literalPositionBits);
  }

  copy(bytes: Uint8Array, length: number): void {
    if (bytes.length < length || this.length + length > this.output.length) throw new LzmaError("a chunk does not fit");
    this.output.set(bytes, this.length);
    this.length += length;
  }

  /** Unpacks so many bytes more. */
  async decode(packed: Uint8Array, size: number): Promise<void> {
    const end = this.length + size;
    if (end > this.output.length) throw new LzmaError("a chunk does not fit");
    this.#range.start(packed);
    for (let breathesAt = this.length; this.length < end; ) {
      if (this.length >= breathesAt) {
        await this.#breathe();
        breathesAt = this.length + bytesPerBreath;
      }
      this.#step(end);
    }
  }

  #step(end: number): void {
    const range = this.#range;
    const models = this.#models;
    const position = this.length & ((1 << this.#properties.positionBits) - 1);
    const state = this.#state;
    if (range.bit(models.isMatch, state * 16 + position) === 0) {
      this.#literal();
      return;
    }
    let length: number;
    if (range.bit(models.isRepeated, state) === 0) {
      length = this.#length(models.matchLength, position);
      this.#distances = [this.#distance(length), this.#distances[0], this.#distances[1], this.#distances[2]];
      this.#state = state < statesOfLiterals ? 7 : 10;
    } else {
      if (range.bit(models.isFirst, state) === 0) {
        if (range.bit(models.isFirstLong, state * 16 + position) === 0) {
          this.#state = state < statesOfLiterals ? 9 : 11;
          this.#repeat(1, end);
          return;
        }
      } else this.#recall(state);
      length = this.#length(models.repeatedLength, position);
      this.#state = state < statesOfLiterals ? 8 : 11;
    }
    this.#repeat(length, end);
  }

  /** Moves an older distance to the front. */
  #recall(state: number): void {
    const [first, second, third, fourth] = this.#distances;
    if (this.#range.bit(this.#models.isSecond, state) === 0) this.#distances = [second, first, third, fourth];
    else if (this.#range.bit(this.#models.isThird, state) === 0) this.#distances = [third, first, second, fourth];
    else this.#distances = [fourth, first, second, third];
  }

  #repeat(length: number, end: number): void {
    const distance = this.#distances[0] + 1;
    if (distance > this.length) throw new LzmaError("a match before the beginning");
    if (this.length + length > end) throw new LzmaError("a match beyond the end");
    for (let left = length; left > 0; left -= 1) {
      this.output[this.length] = byteAt(this.output, this.length - distance);
      this.length += 1;
    }
  }

  #literal(): void {
    const { literalContextBits, literalPositionBits } = this.#properties;
    const before = this.length === 0 ? 0 : byteAt(this.output, this.length - 1);
    const position = this.length & ((1 << literalPositionBits) - 1);
    const models = this.#models.literals;
    const base = 0x300 * ((position << literalContextBits) + (before >> (8 - literalContextBits)));
    let symbol = 1;
    if (this.#state >= statesOfLiterals) {
      if (this.#distances[0] >= this.length) throw new LzmaError("a match before the beginning");
      let matched = byteAt(this.output, this.length - this.#distances[0] - 1);
      while (symbol < 0x100) {
        const expected = (matched >> 7) & 1;
        matched <<= 1;
        const bit = this.#range.bit(models, base + ((1 + expected) << 8) + symbol);
        symbol = (symbol << 1) | bit;
        if (expected !== bit) break;
      }
    }
    while (symbol < 0x100) symbol = (symbol << 1) | this.#range.bit(models, base + symbol);
    this.output[this.length] = symbol & 0xff;
    this.length += 1;
    if (this.#state < 4) this.#state = 0;
    else this.#state -= this.#state < 10 ? 3 : 6;
  }

  #length(models: LengthModels, position: number): number {
    const range = this.#range;
    if (range.bit(models.choice, 0) === 0) return shortestMatch + range.tree(models.low, position * 8, 3);
    if (range.bit(models.choice, 1) === 0) return shortestMatch + 8 + range.tree(models.middle, position * 8, 3);
    return shortestMatch + 16 + range.tree(models.high, 0, 8);
  }

  #distance(length: number): number {
    const range = this.#range;
    const models = this.#models;
    const slot = range.tree(models.slots, Math.min(length - shortestMatch, 3) * 64, 6);
    if (slot < 4) return slot;
    const bits = (slot >> 1) - 1;
    const base = (2 | (slot & 1)) * 2 ** bits;
    if (slot < 14) return base + range.reverseTree(models.special, base - slot, bits);
    return base + range.direct(bits - 4) * 16 + range.reverseTree(models.aligned, 0, 4);
  }
}

interface LengthModels {
  readonly choice: Uint16Array;
  readonly low: Uint16Array;
  readonly middle: Uint16Array;
  readonly high: Uint16Array;
}

const evenOdds = 1024;
const models = (count: number) => new Uint16Array(count).fill(evenOdds);

function createModels(literalBits: number) {
  const length = (): LengthModels => ({ choice: models(2), low: models(16 * 8), middle: models(16 * 8), high: models(256) });
  return {
    isMatch: models(12 * 16),
    isRepeated: models(12),
    isFirst: models(12),
    isFirstLong: models(12 * 16),
    isSecond: models(12),
    isThird: models(12),
    literals: models(0x300 << literalBits),
    slots: models(4 * 64),
    special: models(128),
    aligned: models(16),
    matchLength: length(),
    repeatedLength: length(),
  };
}

class RangeDecoder {
  #bytes: Uint8Array = new Uint8Array();
  #at = 0;
  #range = 0;
  #code = 0;

  start(bytes: Uint8Array): void {
    if (byteAt(bytes, 0) !== 0) throw new LzmaError("a chunk does not begin with a zero");
    this.#bytes = bytes;
    this.#range = 0xffff_ffff;
    this.#code = 0;
    for (this.#at = 1; this.#at < 5; this.#at += 1) this.#code = ((this.#code << 8) | byteAt(bytes, this.#at)) >>> 0;
  }

  bit(models: Uint16Array, index: number): 0 | 1 {
    const odds = models[index] ?? evenOdds;
    const bound = (this.#range >>> 11) * odds;
    let bit: 0 | 1 = 0;
    if (this.#code < bound) {
      this.#range = bound;
      models[index] = odds + ((2048 - odds) >> 5);
    } else {
      this.#range -= bound;
      this.#code -= bound;
      models[index] = odds - (odds >> 5);
      bit = 1;
    }
    this.#fill();
    return bit;
  }

  tree(models: Uint16Array, base: number, bits: number): number {
    let symbol = 1;
    for (let count = 0; count < bits; count += 1) symbol = (symbol << 1) | this.bit(models, base + symbol);
    return symbol - (1 << bits);
  }

  reverseTree(models: Uint16Array, base: number, bits: number): number {
    let symbol = 1;
    let value = 0;
    for (let count = 0; count < bits; count += 1) {
      const bit = this.bit(models, base + symbol);
      symbol = (symbol << 1) | bit;
      value |= bit << count;
    }
    return value;
  }

  direct(bits: number): number {
    let value = 0;
    for (let count = 0; count < bits; count += 1) {
      this.#range >>>= 1;
      const bit = this.#code >= this.#range ? 1 : 0;
      if (bit === 1) this.#code -= this.#range;
      this.#fill();
      value = value * 2 + bit;
    }
    return value;
  }

  #fill(): void {
    if (this.#range >= 0x100_0000) return;
    this.#range = (this.#range << 8) >>> 0;
    this.#code = ((this.#code << 8) | byteAt(this.#bytes, this.#at)) >>> 0;
    this.#at += 1;
  }
}

function byteAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at];
  if (byte === undefined) throw new LzmaError("the bytes end too early");
  return byte;
}
