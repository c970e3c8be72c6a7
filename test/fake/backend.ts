/** A backend whose scans end as, and when, a test says. */

import type { Backend, BackendOutcome } from "../../src/clamd/backend.ts";
import type { SpooledBody } from "../../src/core/spool.ts";
import type { EngineVersion } from "../../src/core/verdict.ts";

export interface FakeScan {
  readonly body: SpooledBody;
  finish(outcome?: BackendOutcome): void;
}

export interface FakeBackend extends Backend {
  /** All there have been, in their order. */
  readonly scans: readonly FakeScan[];
  /** Ends the oldest one that runs; with a clean verdict unless told otherwise. */
  finishNext(outcome?: BackendOutcome): void;
  readonly isRetired: boolean;
  readonly isClosed: boolean;
  setUp(isUp: boolean): void;
}

export interface FakeBackendOptions {
  readonly name?: string;
  readonly slots?: number;
  /** Bodies up to this take one slot more. */
  readonly spareBytes?: number;
  readonly isUp?: boolean;
  readonly version?: Partial<EngineVersion>;
  readonly lacking?: readonly string[];
  readonly isSettled?: boolean;
  readonly onChange: () => void;
}

export function fakeVersion(version: Partial<EngineVersion> = {}): EngineVersion {
  return { engine: "1.4.6", database: 1, databaseTime: null, databaseDate: "", tag: "a".repeat(16), ...version };
}

export const cleanOutcome: BackendOutcome = {
  kind: "verdict",
  verdict: { kind: "clean" },
  version: fakeVersion(),
  isCacheable: true,
};

export function fakeBackend({
  name = "fake",
  slots = 1,
  spareBytes = -1,
  isUp = true,
  version,
  lacking = [],
  isSettled = true,
  onChange,
}: FakeBackendOptions): FakeBackend {
  const scans: FakeScan[] = [];
  const running: FakeScan[] = [];
  let up = isUp;
  let isRetired = false;
  let isClosed = false;

  function setUp(next: boolean): void {
    up = next;
    onChange();
  }

  function hasRoomFor(bytes: number): boolean {
    return running.length < slots + (bytes <= spareBytes ? 1 : 0);
  }

  function scan(body: SpooledBody): Promise<BackendOutcome> {
    if (!hasRoomFor(body.size)) throw new Error(`${name} was given more than its ${slots} slots`);
    const { promise, resolve } = Promise.withResolvers<BackendOutcome>();
    const made: FakeScan = {
      body,
      finish(outcome = cleanOutcome) {
        running.splice(running.indexOf(made), 1);
        // As the real one: down before its slot is free.
        if (outcome.kind === "lost" || outcome.kind === "unreached") up = false;
        onChange();
        resolve(outcome);
      },
    };
    scans.push(made);
    running.push(made);
    return promise;
  }

  return {
    name,
    slots: () => slots,
    hasRoomFor,
    isUp: () => up,
    isBusy: () => false,
    version: () => (up ? fakeVersion(version) : null),
    lacking: () => lacking,
    isSettled: () => isSettled,
    inFlight: () => running.length,
    overdue: () => 0,
    scan,
    cutIfSilent: () => {},
    prove: async () => up,
    renew: async () => up,
    retire: () => {
      isRetired = true;
    },
    close() {
      isClosed = true;
      for (const scan of [...running]) scan.finish({ kind: "lost", reason: "the backend is closed" });
    },
    scans,
    finishNext: (outcome) => running[0]?.finish(outcome),
    get isRetired() {
      return isRetired;
    },
    get isClosed() {
      return isClosed;
    },
    setUp,
  };
}
