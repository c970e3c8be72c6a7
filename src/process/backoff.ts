/** How long to wait before the next start of a child that keeps ending. */

export interface BackoffOptions {
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
  /** From 0 to below 1. */
  readonly random: () => number;
}

export interface Backoff {
  /** Milliseconds: doubles with every call up to the maximum, of which half to all is taken, so that several gateways spread out. */
  next(): number;
  reset(): void;
}

export function exponentialBackoff({ firstDelayMs, maxDelayMs, random }: BackoffOptions): Backoff {
  let fullMs = firstDelayMs;
  return {
    next: () => {
      const delayMs = Math.min(fullMs, maxDelayMs);
      fullMs = Math.min(delayMs * 2, maxDelayMs);
      return Math.round(delayMs * (0.5 + random() / 2));
    },
    reset: () => {
      fullMs = firstDelayMs;
    },
  };
}
