/** Loaded into each test process: one that its tests left something open in ends as a failure that names it, instead of hanging. */

import { isMainThread } from "node:worker_threads";

const graceMs = 15_000;

// The runner itself loads this too, and so does a worker thread of a test; the tests are in the processes that the runner starts.
if (process.env.NODE_TEST_CONTEXT !== undefined && isMainThread) {
  const { after } = await import("node:test");
  after(() => {
    const timer = setTimeout(() => {
      const open = process.getActiveResourcesInfo().join(", ");
      process.stderr.write(`the tests are over, and these are still open after ${graceMs / 1000} s: ${open}\n`);
      process.exit(1);
    }, graceMs);
    // Where nothing else is open, the process ends at once.
    timer.unref();
  });
  // Node itself can wait for good here, for a socket that it failed to close: nobody else is waiting any more.
  process.on("exit", () => process.exit());
}
