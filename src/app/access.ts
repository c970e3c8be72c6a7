/** Who may ask, under its settings. */

import { type Access, createAccess } from "../auth/access.ts";
import type { AuthMethod } from "../auth/client.ts";
import { openKeys } from "../auth/keys.ts";
import { isLoopbackHost } from "../codec/ip-address.ts";
import type { Config } from "../config/settings.ts";
import type { Emit } from "../core/events.ts";
import { settingFault } from "./setting-fault.ts";

export interface OpenAccess extends Access {
  /** Reads API_KEYS_FILE now. Never rejects. */
  reload(): Promise<void>;
  close(): void;
}

const methodOf = { keys: "key", mtls: "mtls" } as const satisfies Record<Config["AUTH"][number], AuthMethod>;

/** Null where nobody is asked. Rejects with an Error for the operator. */
export async function openAccess({ AUTH, API_KEYS_FILE: path }: Config, emit: Emit): Promise<OpenAccess | null> {
  if (AUTH.length === 0 || path === null) return null;
  const keys = await openKeys({ path, emit }).catch((error: unknown) => {
    throw settingFault("API_KEYS_FILE", `${path} cannot be used`, error);
  });
  const access = createAccess({ methods: new Set(AUTH.map((word) => methodOf[word])), keys, now: Date.now });
  return { ...access, reload: () => keys.look(), close: () => keys.close() };
}

/** Null where the machine's own users alone reach the ports, or somebody is asked who he is. */
export function openDoorWarning({ AUTH, HOST }: Config): string | null {
  if (AUTH.length > 0 || isLoopbackHost(HOST)) return null;
  return `AUTH=none and HOST=${HOST}: whoever reaches the ports may use them; see docs/access.md for keys`;
}
