/** Those beside whom a flood runs: small uploads, and questions whether the gateway lives, each on a connection of its own. */

import { get } from "node:http";
import { steadyTraffic } from "../traffic.ts";
import { type Arrivals, sendArrivals } from "./arrivals.ts";

export interface OthersOrder {
  /** Of the gateway. */
  readonly url: string;
  readonly seconds: number;
  /** Of each. */
  readonly perSecond: number;
}

export interface Others {
  readonly uploads: Arrivals;
  readonly livezMs: readonly number[];
  /** Questions without an answer, in words. */
  readonly unanswered: readonly string[];
}

const uploadBytes = 1024;
const patienceMs = 30_000;

export async function workBeside({ url, seconds, perSecond }: OthersOrder): Promise<Others> {
  const livezMs: number[] = [];
  const unanswered: string[] = [];
  const traffic = steadyTraffic(perSecond, async () => {
    const startedAt = performance.now();
    const fault = await ask(`${url}/livez`);
    if (fault === null) livezMs.push(performance.now() - startedAt);
    else unanswered.push(fault);
  });
  const phases = [{ perSecond, seconds }];
  const uploads = await sendArrivals({ url, phases, connections: 1000, bytes: uploadBytes, infectedEvery: 20 });
  await traffic.stop();
  return { uploads, livezMs, unanswered };
}

/** Resolves with what went wrong. */
function ask(url: string): Promise<string | null> {
  return new Promise((resolve) => {
    const asking = get(url, { agent: false, timeout: patienceMs }, (response) => {
      response.resume().on("end", () => resolve(response.statusCode === 200 ? null : `status ${response.statusCode}`));
    });
    asking.on("timeout", () => asking.destroy(new Error(`nothing for ${patienceMs} ms`)));
    asking.on("error", ({ message }) => resolve(message));
  });
}
