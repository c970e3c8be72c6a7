/** Time as the caches wait for it, so that a test can be the one who lets it pass. */

export interface Timers {
  /** Calls back once, after `delayMs`. The answer cancels that. */
  after(delayMs: number, callback: () => void): () => void;
}

/** The process's own; a pending one does not keep the process alive. */
export const systemTimers: Timers = {
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs).unref();
    return () => clearTimeout(timer);
  },
};
