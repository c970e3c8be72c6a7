/** The proof that an engine detects: bytes that must be found, and what the name they are found by tells. */

import type { ClamdReply } from "../codec/clamd/reply.ts";

export interface Canary {
  readonly bytes: Uint8Array;
  /**
   * What the reply to the bytes proves: the epoch of the signatures that found them, "" when the name does not tell one,
   * null when it is no proof.
   */
  epochOf(reply: ClamdReply): string | null;
}

/** For a clamd whose signatures are not ours, and whose database directory we may look into. */
export interface ShownEpoch {
  /** Found by a file in the directory; a clamd that has not loaded that file is up all the same. */
  readonly canary: Canary;
  /** What the directory holds; null while that is not known. */
  current(): string | null;
}

/** For a clamd whose signatures are not ours: every database detects EICAR, by one name or another. */
export function eicarCanary(): Canary {
  // In two pieces, so that no scanner takes this file for the test file.
  const bytes = Buffer.from(`X5O!P%@AP[4\\PZX54(P^)7CC)7}$${"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"}`, "latin1");
  return { bytes, epochOf: (reply) => (signatureOf(reply) === null ? null : "") };
}

/** For our own clamd: every set of signatures holds one that finds these bytes and whose name tells the set. */
export function epochCanary(bytes: Uint8Array, epochOfName: (signature: string) => string | null): Canary {
  return {
    bytes,
    epochOf(reply) {
      const signature = signatureOf(reply);
      return signature === null ? null : epochOfName(signature);
    },
  };
}

function signatureOf(reply: ClamdReply): string | null {
  if (reply.kind !== "verdict" || reply.verdict.kind !== "infected") return null;
  return reply.verdict.signatures[0] ?? null;
}
