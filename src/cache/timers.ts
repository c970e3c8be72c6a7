/** Time as the caches wait for it, so that a test can be the one who lets it pass. */

export interface Timers {
  /** Calls back once, after `delayMs`. The answer cancels that. */
  after(delayMs: number, callback: () => void): () => void;
}

/**
 * The process's own; a pending one does not keep the process alive. After a stall of the process all timers are due at once, and
 * would come before the answers that arrived meanwhile: those are heard first.
 */
export const systemTimers: Timers = {
  after(delayMs, callback) {
    let heard: NodeJS.Immediate | undefined;
    const timer = setTimeout(() => {
      heard = setImmediate(callback).unref();
    }, delayMs).unref();
    return () => {
      clearTimeout(timer);
      clearImmediate(heard);
    };
  },
};
