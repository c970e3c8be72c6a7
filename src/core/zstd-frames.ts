/** The frames of a zstd body (RFC 8878 §3.1), told by their headers alone as the bytes pass. */

const frameMagic = 0xfd2fb528;
/** The lowest four bits are free. */
const skippableMagic = 0x184d2a50;

/** By the frame header descriptor's two-bit fields (§3.1.1.1.1). */
const contentSizeBytes = [0, 2, 4, 8] as const;
const dictionaryIdBytes = [0, 1, 2, 4] as const;

type Stage = "magic" | "descriptor" | "skippable-size" | "block-header";

const stageBytes = { magic: 4, descriptor: 1, "skippable-size": 4, "block-header": 3 } as const satisfies Record<Stage, number>;

export class ZstdFrames {
  #stage: Stage = "magic";
  /** The bytes of the stage that have come. */
  readonly #part = Buffer.alloc(4);
  #length = 0;
  #skip = 0;
  #hasChecksum = false;
  #frames = 0;
  #isBroken = false;

  /**
   * Whether what was fed is one frame with content, whole, and besides it none but whole frames to be skipped: some readers take a second one
   * for more of the same, and others never see it.
   */
  get isSole(): boolean {
    return this.#frames === 1 && this.#stage === "magic" && this.#length === 0 && this.#skip === 0 && !this.#isBroken;
  }

  /** Whether the bytes are frames at all is for a decoder to say. */
  feed(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && !this.#isBroken; ) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, bytes.length - at);
        this.#skip -= skipped;
        at += skipped;
      } else {
        this.#part[this.#length] = bytes[at] ?? 0;
        this.#length += 1;
        at += 1;
        if (this.#length === stageBytes[this.#stage]) this.#read();
      }
    }
  }

  #read(): void {
    const value = this.#part.readUIntLE(0, this.#length);
    this.#length = 0;
    switch (this.#stage) {
      case "magic":
        if (value === frameMagic) this.#stage = "descriptor";
        else if (value - (value % 16) === skippableMagic) this.#stage = "skippable-size";
        else this.#isBroken = true;
        return;
      case "skippable-size":
        this.#skip = value;
        this.#stage = "magic";
        return;
      case "descriptor": {
        const isSingleSegment = (value & 0x20) !== 0;
        const contentSize = value >> 6 === 0 && isSingleSegment ? 1 : (contentSizeBytes[value >> 6] ?? 0);
        this.#skip = (isSingleSegment ? 0 : 1) + (dictionaryIdBytes[value & 3] ?? 0) + contentSize;
        this.#hasChecksum = (value & 4) !== 0;
        this.#frames += 1;
        this.#stage = "block-header";
        return;
      }
      case "block-header": {
        const isLast = (value & 1) !== 0;
        const isRepeatedByte = ((value >> 1) & 3) === 1;
        this.#skip = (isRepeatedByte ? 1 : value >> 3) + (isLast && this.#hasChecksum ? 4 : 0);
        if (isLast) this.#stage = "magic";
        return;
      }
    }
  }
}
