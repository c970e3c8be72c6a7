/** Looks at processes while a load runs: how large they become, and how long a clamd takes to answer PING. */

import { readdir } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { pingClamd } from "../../bench/subjects/ping-clamd.ts";
import type { GatewayProcess } from "../e2e/gateway-process.ts";

export interface Peaks {
  readonly residentBytes: number;
  readonly descriptors: number;
}

/** Looks again and again until the work is done. Rejects when the work does. */
export async function during<T>(work: Promise<T>, look: () => Promise<void>, everyMs: number): Promise<T> {
  let isOver = false;
  const over = work.finally(() => {
    isOver = true;
  });
  over.catch(() => {}); // it is awaited below
  while (!isOver) {
    await look();
    await delay(everyMs); // the rhythm of the looks
  }
  return await over;
}

const residentEveryMs = 50;
/** Counting ten thousand of them is work for the kernel. */
const looksPerCount = 10;

export async function peaksDuring<T>(
  gateway: GatewayProcess,
  work: Promise<T>,
): Promise<{ readonly peaks: Peaks; readonly result: T }> {
  let residentBytes = 0;
  let descriptors = 0;
  let looks = 0;
  const look = async () => {
    residentBytes = Math.max(residentBytes, await gateway.residentBytes());
    if (looks % looksPerCount === 0) descriptors = Math.max(descriptors, (await readdir(`/proc/${gateway.pid}/fd`)).length);
    looks += 1;
  };
  const result = await during(work, look, residentEveryMs);
  return { peaks: { residentBytes, descriptors }, result };
}

const pingEveryMs = 50;

/** Adds to `times` how many milliseconds each PING took; infinity for one without a PONG. */
export async function pingsDuring<T>(socketPath: string, work: Promise<T>, times: number[]): Promise<T> {
  const look = async () => {
    const askedAt = performance.now();
    const isPong = await pingClamd(socketPath);
    times.push(isPong === true ? performance.now() - askedAt : Number.POSITIVE_INFINITY);
  };
  return await during(work, look, pingEveryMs);
}
