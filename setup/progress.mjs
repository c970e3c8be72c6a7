/** One line a step: what is being done, then how long it took. A set-up with nothing to do prints nothing. */

/**
 * @typedef {object} Progress
 * @property {<T>(label: string, work: () => Promise<T>, isGood?: (result: T) => boolean) => Promise<T>} step
 *   a result that is not good is shown as a failure, and is the caller's to judge
 * @property {(text: string) => void} note one line of its own
 */

/**
 * @param {object} options
 * @param {(text: string) => void} options.write
 * @param {() => number} options.now milliseconds
 * @param {boolean} options.isVerbose the tools' output stands between, so the end of a step gets a line of its own
 * @returns {Progress}
 */
export function createProgress({ write, now, isVerbose }) {
  return {
    async step(label, work, isGood = () => true) {
      const start = now();
      const seconds = () => `${((now() - start) / 1000).toFixed(1)} s`;
      const lead = isVerbose ? `set-up: ${label}: ` : "";
      write(isVerbose ? `set-up: ${label}\n` : `set-up: ${label} ... `);
      try {
        const result = await work();
        write(`${lead}${isGood(result) ? "done in" : "failed after"} ${seconds()}\n`);
        return result;
      } catch (error) {
        write(`${lead}failed after ${seconds()}\n`);
        throw error;
      }
    },
    note(text) {
      write(`set-up: ${text}\n`);
    },
  };
}
