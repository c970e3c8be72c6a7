/** Has the gateway's code compiled before it is measured: the first thousands of requests cost several times the later ones. */

import type { LoadProcess } from "./load-process.ts";

const requests = 4_000;
const mostSeconds = 10;
const bytes = 1024;

/** Repeated bodies first, which are fast with any database, then unique ones. */
export async function warmUp(load: LoadProcess, gatewayUrl: string, key?: string): Promise<void> {
  for (const [isUnique, most] of [
    [false, requests],
    [true, requests / 2],
  ] as const) {
    const body = { kind: "random", bytes, isUnique } as const;
    await load.run({
      load: { kind: "upload", url: `${gatewayUrl}/v2/scan`, body, ...(key === undefined ? {} : { key }) },
      clients: 16,
      seconds: mostSeconds,
      most,
    });
  }
}
