/** A pool over backends that do as a test says. */

import type { BackendOutcome } from "../../../src/clamd/backend.ts";
import { createPool, type PoolOptions } from "../../../src/clamd/pool.ts";
import { type FakeBackend, type FakeBackendOptions, fakeBackend } from "../../fake/backend.ts";
import { fakeBody } from "../../fake/spooled-body.ts";

export const lost: BackendOutcome = { kind: "lost", reason: "closed without a reply" };
export const failed: BackendOutcome = { kind: "failed", reason: "no memory" };
export const never = new AbortController().signal;

export function stage(options: Partial<PoolOptions> = {}) {
  const pool = createPool({
    queueMax: 100,
    queueMaxPerClient: 100,
    queueTimeoutMs: 5_000,
    clock: () => performance.now(),
    ...options,
  });
  return {
    pool,
    scan: (sha256: string, signal = never, client = "a client") => pool.scan(fakeBody({ size: 1, sha256 }), signal, client),
    add(backend: Omit<FakeBackendOptions, "onChange"> = {}): FakeBackend {
      const made = fakeBackend({ ...backend, onChange: () => pool.dispatch() });
      pool.add(made);
      return made;
    },
  };
}

/** Ends so many scans, one behind the other: the next one begins in the place of each. */
export async function finishInTurn(backend: FakeBackend, count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1) {
    backend.finishNext();
    await turn();
  }
}

export function digestsOf(backend: FakeBackend): string[] {
  return backend.scans.map(({ body }) => body.sha256);
}

/** Lets everything happen that waits for nothing but its turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
