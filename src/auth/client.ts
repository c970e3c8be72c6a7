/** A client that has shown who it is: what it may do, how much of it, and how a request finds it. */

import type { Priority } from "../core/queues/fair-queue.ts";
import type { Scope } from "../core/scope.ts";

export { type Priority, priorities } from "../core/queues/fair-queue.ts";

/** So many in each window, as `100/1s`. */
export interface Rate {
  /** At least 1. */
  readonly amount: number;
  /** At least 1. */
  readonly windowMs: number;
}

/** Null: no such limit. */
export interface Limits {
  readonly requests: Rate | null;
  /** Of bodies. */
  readonly bytes: Rate | null;
  /** Requests at once; at least 1. */
  readonly concurrent: number | null;
}

/** Like a limit, for days instead of seconds, and kept over a restart. */
export interface Quota {
  readonly bytes: Rate;
}

export type AuthMethod = "key" | "jwt" | "mtls";

export interface Client {
  /** Of its entry in API_KEYS_FILE, or what its token names it by. Safe in a log; no secret. */
  readonly id: string;
  /** For people. */
  readonly name: string;
  readonly method: AuthMethod;
  readonly scopes: ReadonlySet<Scope>;
  readonly limits: Limits;
  readonly quota: Quota | null;
  readonly priority: Priority;
}

export const noLimits: Limits = { requests: null, bytes: null, concurrent: null };

export function hasScope({ scopes: held }: Pick<Client, "scopes">, scope: Scope): boolean {
  return held.has(scope) || held.has("admin");
}

const known = Symbol("client");

/** A request of any server. A field of its own costs nothing where nobody is asked who he is; a WeakMap would cost each request a look-up. */
type Request = object & { [known]?: Client };

/** To be called once, when the client has been let in. */
export function setClient(request: Request, client: Client): void {
  request[known] = client;
}

/** Null where nobody was asked: AUTH=none, or a route that is open to all. */
export function clientBehind(request: Request): Client | null {
  return request[known] ?? null;
}
