/** Runs one order: all clients at once, for a time or a number of requests. */

import { openClients } from "./clients.ts";
import type { Latency, LoadOrder, LoadResult } from "./load.ts";
import { percentile } from "./statistics.ts";

/** Rejects at the first request that fails: a rate with errors in it is no rate. */
export async function runLoad({ load, clients: count, seconds, most }: LoadOrder, run: string): Promise<LoadResult> {
  const clients = await openClients(load, count, run);
  const latencies: number[] = [];
  const firstBytes: number[] = [];
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  const endsAt = startedAt + seconds * 1000;
  let started = 0;
  const limit = most ?? Number.POSITIVE_INFINITY;
  try {
    await Promise.all(
      clients.map(async (client) => {
        for (let now = performance.now(); now < endsAt && started < limit; ) {
          started += 1;
          const firstByte = await client.once();
          const after = performance.now();
          latencies.push(after - now);
          if (firstByte !== null) firstBytes.push(firstByte);
          now = after;
        }
      }),
    );
  } finally {
    for (const client of clients) client.close();
  }
  const elapsed = (performance.now() - startedAt) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return {
    count: latencies.length,
    seconds: elapsed,
    bytes: latencies.length * bytesOf(load),
    cpuSeconds: (user + system) / 1e6,
    latency: latencyOf(latencies),
    firstByte: latencyOf(firstBytes),
  };
}

function bytesOf(load: LoadOrder["load"]): number {
  return load.kind === "download" ? load.bytes : load.body.bytes;
}

function latencyOf(values: readonly number[]): Latency {
  const sorted = values.toSorted((a, b) => a - b);
  return { p50: percentile(sorted, 50), p99: percentile(sorted, 99), max: percentile(sorted, 100) };
}
