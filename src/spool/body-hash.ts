/** The SHA-256 of bodies that come in pieces. */

import { createHash } from "node:crypto";

export interface BodyHash {
  /** One piece at a time. Resolves when its memory may change again. Rejects with `internal`. */
  update(bytes: Uint8Array): Promise<void>;
  /** Once, after the last piece: lower-case hexadecimal. Rejects with `internal`. */
  digest(): Promise<string>;
  /** For a body that is given up; without effect after the digest. */
  abandon(): void;
}

export interface BodyHasher {
  begin(): BodyHash;
  /** Memory whose pieces need not be copied to be hashed. */
  allocate(bytes: number): Uint8Array;
}

/** In this thread, at once. */
export const hashHere: BodyHasher = {
  begin() {
    const hash = createHash("sha256");
    return {
      update: async (bytes) => void hash.update(bytes),
      digest: async () => hash.digest("hex"),
      abandon() {},
    };
  },
  allocate: (bytes) => Buffer.allocUnsafeSlow(bytes),
};
