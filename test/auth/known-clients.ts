/** Clients with keys that tests know, and the access that lets them in. */

import { createHash } from "node:crypto";
import { type Access, type AccessDecision, createAccess } from "../../src/auth/access.ts";
import type { AuthMethod } from "../../src/auth/client.ts";
import { parseKeyFile } from "../../src/auth/key-file.ts";
import { entriesOf } from "../../src/auth/keys.ts";
import { createLimiter } from "../../src/auth/limiter.ts";
import type { QuotaStore } from "../../src/core/quota-store.ts";

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

/** One that takes no tokens, so that it decides at once. */
export interface AccessAtOnce extends Access {
  decide(...asked: Parameters<Access["decide"]>): AccessDecision;
}

const noQuotas: QuotaStore = { charge: async () => null, close: async () => {} };

export function accessFor(
  entries: readonly unknown[],
  { methods = ["key"], now = Date.now }: KnownClientsOptions = {},
): AccessAtOnce {
  const file = parseKeyFile(JSON.stringify({ keys: entries }));
  if (file.kind === "faults") throw new Error(file.faults.join("; "));
  const limiter = createLimiter({ quotas: noQuotas, emit: () => {}, clock: () => performance.now(), now });
  const keys = entriesOf(file.entries);
  const access = createAccess({ methods: new Set(methods), keys, readToken: null, limiter, now });
  return {
    ...access,
    decide(head, scope) {
      const decision = access.decide(head, scope);
      if (decision instanceof Promise) throw new Error("it has read a token");
      return decision;
    },
  };
}
