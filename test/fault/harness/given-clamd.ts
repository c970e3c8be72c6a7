/** The settings of a gateway that is given its clamd servers. */

export interface GivenClamdOptions {
  readonly ports: readonly number[];
  readonly slots?: number;
}

export function givenClamd({ ports, slots = 4 }: GivenClamdOptions): Record<string, string> {
  return {
    CLAMD_PORT: ports.map((port) => `tcp://127.0.0.1:${port}`).join(","),
    CLAMD_SLOTS: String(slots),
    VERDICT_CACHE: "memory:",
  };
}
