/** Who may ask, and how much, under its settings. */

import { type Access, createAccess } from "../auth/access.ts";
import type { AuthMethod } from "../auth/client.ts";
import { createReadToken, type ReadToken } from "../auth/json-web-token.ts";
import { KeySet } from "../auth/key-set.ts";
import { entriesOf, type Keys, openKeys } from "../auth/keys.ts";
import { createLimiter } from "../auth/limiter.ts";
import { isLoopbackHost } from "../codec/ip-address.ts";
import type { Config } from "../config/settings.ts";
import type { Clock } from "../core/clock.ts";
import type { Emit } from "../core/events.ts";
import type { Priority } from "../core/queues/fair-queue.ts";
import { openQuotas } from "./caches.ts";
import { openKeySetSource } from "./key-set-source.ts";
import { settingFault } from "./setting-fault.ts";

export interface OpenAccess extends Access {
  /** As `PoolOptions.priorityOf`. */
  readonly priorityOf: (client: string) => Priority;
  /** Reads API_KEYS_FILE now. Never rejects. */
  reload(): Promise<void>;
  close(): Promise<void>;
}

export interface OpenAccessOptions {
  readonly config: Config;
  readonly emit: Emit;
  readonly clock: Clock;
}

const methodOf = { keys: "key", jwt: "jwt", mtls: "mtls" } as const satisfies Record<Config["AUTH"][number], AuthMethod>;

/** Null where nobody is asked. Rejects with an Error for the operator. */
export async function openAccess({ config, emit, clock }: OpenAccessOptions): Promise<OpenAccess | null> {
  if (config.AUTH.length === 0) return null;
  const opened = new AsyncDisposableStack();
  try {
    const keys = config.API_KEYS_FILE === null ? null : await openKeyFile(config.API_KEYS_FILE, emit);
    if (keys !== null) opened.defer(async () => keys.close());
    const entries = keys ?? entriesOf([]);
    const quotas = opened.adopt(await openQuotas(config, emit), (made) => made.close());
    const access = createAccess({
      methods: new Set(config.AUTH.map((word) => methodOf[word])),
      keys: entries,
      readToken: openTokens(config, clock, opened),
      limiter: createLimiter({ quotas, emit, clock, now: Date.now }),
      now: Date.now,
    });
    return {
      ...access,
      priorityOf: (client) => entries.byId(client)?.client.priority ?? "interactive",
      reload: async () => keys?.look(),
      close: () => opened.disposeAsync(),
    };
  } catch (error) {
    await opened.disposeAsync();
    throw error;
  }
}

function openKeyFile(path: string, emit: Emit): Promise<Keys> {
  return openKeys({ path, emit }).catch((error: unknown) => {
    throw settingFault("API_KEYS_FILE", `${path} cannot be used`, error);
  });
}

function openTokens(config: Config, clock: Clock, opened: AsyncDisposableStack): ReadToken | null {
  const { AUTH, JWT_ISSUER: issuer, JWT_AUDIENCE: audience, JWT_JWKS: url, JWT_DEFAULT_SCOPES: defaultScopes } = config;
  if (!AUTH.includes("jwt") || issuer === null || audience === null || url === null) return null;
  const source = opened.adopt(openKeySetSource(url, clock), (made) => made.close());
  const keys = new KeySet({ load: source.load, clock });
  return createReadToken({ issuer, audience, keys, defaultScopes, now: Date.now });
}

/** Null where the machine's own users alone reach the ports, or somebody is asked who he is. */
export function openDoorWarning({ AUTH, HOST }: Config): string | null {
  if (AUTH.length > 0 || isLoopbackHost(HOST)) return null;
  return `AUTH=none and HOST=${HOST}: whoever reaches the ports may use them; see docs/access.md for keys`;
}
