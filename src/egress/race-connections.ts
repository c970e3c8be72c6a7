/** Happy eyeballs (RFC 8305 §5): one address after the other, the next as soon as one fails or takes its time; the first that connects wins. */

import type { Socket } from "node:net";

export interface RaceOptions {
  /** Rejects with the signal's reason when it is called off. */
  readonly attempt: (address: string, signal: AbortSignal) => Promise<Socket>;
  readonly nextAfterMs: number;
  readonly signal: AbortSignal;
}

/** Rejects with the last error when every address has failed, or with the signal's reason. Losers are called off, late ones destroyed. */
export async function raceConnections(
  addresses: readonly string[],
  { attempt, nextAfterMs, signal }: RaceOptions,
): Promise<Socket> {
  signal.throwIfAborted();
  const losers = new AbortController();
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const waiting = [...addresses];
  let open = 0;
  let winner: Socket | null = null;
  let timer: NodeJS.Timeout | undefined;
  let lastError: unknown = new Error("no address to connect to");

  const next = () => {
    clearTimeout(timer);
    const address = waiting.shift();
    if (address === undefined) {
      if (open === 0) reject(lastError);
      return;
    }
    open += 1;
    if (waiting.length > 0) timer = setTimeout(next, nextAfterMs);
    attempt(address, losers.signal).then(
      (socket) => {
        if (winner !== null || losers.signal.aborted) {
          socket.on("error", () => {}); // nobody is interested
          socket.destroy();
          return;
        }
        winner = socket;
        resolve(socket);
      },
      (error: unknown) => {
        open -= 1;
        lastError = error;
        if (!losers.signal.aborted) next();
      },
    );
  };
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    next();
    return await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
    losers.abort(new Error("another address was quicker, or nobody waits"));
  }
}
