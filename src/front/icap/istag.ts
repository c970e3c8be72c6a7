/** ISTag: what answers depend on, as one short name (RFC 3507 §4.7). Clients forget what they have kept when it changes. */

import { hash } from "node:crypto";
import type { EngineVersion } from "../../core/verdict.ts";

export interface IstagOptions {
  readonly engineVersion: () => EngineVersion | null;
  /** Policy and settings that change answers. */
  readonly settings: unknown;
}

/** At most 29 characters, of letters, digits and dashes, the same on every gateway with the same signatures and settings. @param tag of the engine that made a verdict; the present one where there is none. */
export type Istag = (tag?: string | null) => string;

export function createIstag({ engineVersion, settings }: IstagOptions): Istag {
  const suffix = hash("sha256", JSON.stringify(settings), "hex").slice(0, 8);
  return (tag = null) => {
    // A verdict of several engines' making has no tag of its own.
    const isOne = tag !== null && /^[0-9A-Za-z]{1,16}$/.test(tag);
    return `cg1-${isOne ? tag : (engineVersion()?.tag.slice(0, 16) ?? "none")}-${suffix}`;
  };
}
