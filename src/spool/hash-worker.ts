/** The thread that hashes: `hash-thread.ts` starts it and talks to it. */

import { createHash, type Hash } from "node:crypto";
import { parentPort } from "node:worker_threads";

/** Each but the last is answered, in the order of the orders. */
export type HashOrder =
  | { readonly kind: "update"; readonly id: number; readonly bytes: Uint8Array }
  | { readonly kind: "digest"; readonly id: number }
  | { readonly kind: "abandon"; readonly id: number };

export interface HashReply {
  readonly id: number;
  /** Of the whole; empty for an update. */
  readonly sha256: string;
}

const hashes = new Map<number, Hash>();

parentPort?.on("message", (order: HashOrder) => {
  const { id } = order;
  const hash = hashes.get(id) ?? createHash("sha256");
  switch (order.kind) {
    case "update":
      hashes.set(id, hash.update(order.bytes));
      return reply({ id, sha256: "" });
    case "digest":
      hashes.delete(id);
      return reply({ id, sha256: hash.digest("hex") });
    case "abandon":
      hashes.delete(id);
  }
});

function reply(message: HashReply): void {
  parentPort?.postMessage(message);
}
