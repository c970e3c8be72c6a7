/** Where the clamd door listens, and how it answers there: one item of `CLAMD_LISTEN` (clamd-front.md D35). */

import type { OnError } from "./answer.ts";

export type ListenAddress = {
  readonly onError: OnError;
} /** @param isOptional set where the machine may be without it, as without IPv6. */ & (
  | { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly isOptional?: true }
  /** Absolute path of the socket, and its permissions. */
  | { readonly kind: "unix"; readonly path: string; readonly mode: number }
);

/** As an operator would write it, without its options. */
export function describeListenAddress(address: ListenAddress): string {
  if (address.kind === "unix") return `unix://${address.path}`;
  return address.host.includes(":") ? `tcp://[${address.host}]:${address.port}` : `tcp://${address.host}:${address.port}`;
}
