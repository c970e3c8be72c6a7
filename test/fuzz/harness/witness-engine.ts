/** An engine that finds nothing and remembers what it was given. What is not among that nobody has scanned: any virus could be in it. */

import { createHash } from "node:crypto";
import type { ClamdAddress } from "../../../src/clamd/connection.ts";
import { clean, startFakeClamd } from "../../fake/clamd.ts";

export interface WitnessEngine extends AsyncDisposable {
  readonly address: ClamdAddress & { readonly kind: "tcp" };
  /** Whether exactly these bytes were scanned since the last `forget`. */
  hasScanned(bytes: Uint8Array): boolean;
  forget(): void;
}

export async function startWitnessEngine(): Promise<WitnessEngine> {
  const scanned = new Set<string>();
  const clamd = await startFakeClamd({
    scan(body) {
      scanned.add(digestOf(body));
      clamd.bodies.length = 0; // the digests will do
      clamd.commands.length = 0;
      return clean;
    },
  });
  return {
    address: clamd.address,
    hasScanned: (bytes) => scanned.has(digestOf(bytes)),
    forget: () => scanned.clear(),
    [Symbol.asyncDispose]: () => clamd[Symbol.asyncDispose](),
  };
}

function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
