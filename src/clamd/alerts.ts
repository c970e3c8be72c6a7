/** Which lines a clamd's conf lacks, as its answers to the probes show: asked at the connection, after each reload, and now and then. */

import type { Clock } from "../core/clock.ts";
import type { AlertProbe } from "./alert-probes.ts";
import type { ProveBody } from "./proof.ts";

export interface Alerts {
  /** What was last shown to be missing; null before the first time, and after `forget`. */
  lacking(): readonly string[] | null;
  /**
   * Asks anew where the tag is another one than last time, or some time has passed. Rejects as `exchange`, or with an Error where an answer
   * tells nothing; what was known is known on.
   * @param tag of the version that has just been proved.
   */
  ask(tag: string, signal: AbortSignal): Promise<readonly string[]>;
  /** Another clamd, or another conf, may answer from now on. */
  forget(): void;
}

export interface AlertsOptions {
  /** How it is asked. */
  readonly proveBody: ProveBody;
  readonly probes: readonly AlertProbe[];
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/** A clamd that was started anew between two proofs, so quickly that none has failed, may have another conf. One that lacks something is likely to get it. */
const renewMs = 60_000;
const renewLackingMs = 5_000;

export function watchAlerts({ proveBody, probes, timeoutMs, clock }: AlertsOptions): Alerts {
  let known: { readonly tag: string; readonly at: number; readonly lacking: readonly string[] } | null = null;

  /** One at a time: a clamd has few threads, and they are for scans. */
  async function findLacking(signal: AbortSignal): Promise<readonly string[]> {
    const lacking: string[] = [];
    for (const { line, bytes, isShownBy } of probes) {
      const reply = await proveBody(bytes, { timeoutMs, signal });
      if (reply.kind !== "verdict") throw new Error(`no verdict of the body that shows ${line}`);
      if (!isShownBy(reply)) lacking.push(line);
    }
    return lacking;
  }

  return {
    lacking: () => known?.lacking ?? null,
    async ask(tag, signal) {
      const at = clock();
      const isNew = known !== null && at - known.at < (known.lacking.length === 0 ? renewMs : renewLackingMs);
      if (known?.tag === tag && isNew) return known.lacking;
      const lacking = await findLacking(signal);
      known = { tag, at, lacking };
      return lacking;
    },
    forget() {
      known = null;
    },
  };
}
