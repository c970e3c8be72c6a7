/** Clients with keys that tests know, and the access that lets them in. */

import { createHash } from "node:crypto";
import { type Access, createAccess } from "../../src/auth/access.ts";
import type { AuthMethod } from "../../src/auth/client.ts";
import { parseKeyFile } from "../../src/auth/key-file.ts";
import { entriesOf } from "../../src/auth/keys.ts";

/** Right by its shape. */
export function keyOf(id: string): string {
  return `cgk_${id}_${"s".repeat(43)}`;
}

/** Of an entry for `keyOf(id)`, with what else is given. */
export function entryOf(id: string, fields: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
  const sha256 = createHash("sha256").update(keyOf(id)).digest("hex");
  return { id, name: `client ${id}`, sha256, scopes: ["scan"], ...fields };
}

export interface KnownClientsOptions {
  readonly methods?: readonly AuthMethod[];
  readonly now?: () => number;
}

export function accessFor(entries: readonly unknown[], { methods = ["key"], now = Date.now }: KnownClientsOptions = {}): Access {
  const file = parseKeyFile(JSON.stringify({ keys: entries }));
  if (file.kind === "faults") throw new Error(file.faults.join("; "));
  return createAccess({ methods: new Set(methods), keys: entriesOf(file.entries), now });
}
