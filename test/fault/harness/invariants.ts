/** The invariants I1-I7 of every run, as assertions (docs/reliability.md says what each one promises). */

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { GatewayProcess } from "../../e2e/gateway-process.ts";
import type { Account } from "./account.ts";
import type { Pulse } from "./pulse.ts";
import { type Residue, residueOf, type Seen, seenOf } from "./residue.ts";

/** I1: no body that is infected, or that nobody can see into, was ever answered as clean. */
export function assertCleanMeansScanned({ faults }: Account): void {
  assert.deepEqual(faults.cleanThatIsNot, [], "I1: answered as clean and is not");
}

/** I2: exactly one verdict or one clear error for each request that its client waited for, within that time. */
export function assertAccounted(account: Account, { withinMs }: { readonly withinMs: number }): void {
  const { opened, verdicts, errors, left, broken, slowestMs, statuses } = account.totals();
  assert.deepEqual(account.faults.miscounted, [], "I2: not one result for each body");
  assert.equal(broken, 0, `I2: requests without an answer: ${JSON.stringify(statuses)}`);
  assert.equal(verdicts + errors + left, opened, `I2: verdicts + errors = requests: ${JSON.stringify(account.totals())}`);
  assert.ok(slowestMs <= withinMs, `I2: the slowest answer took ${slowestMs.toFixed(0)} ms`);
}

/** I3: each verdict is about the very body of its request. */
export function assertOwnVerdicts({ faults }: Account): void {
  assert.deepEqual(faults.mixedUp, [], "I3: a verdict about another body");
  assert.deepEqual(faults.falseAlarms, [], "I3: clean bodies refused");
}

/** I4: nothing is remembered but whole verdicts. */
export function assertHonestMemory({ faults }: Account): void {
  assert.deepEqual(faults.wronglyRemembered, [], "I4: remembered without a verdict");
}

export interface LeakBounds {
  readonly before: Residue;
  readonly withinMs?: number;
}

/** I5: descriptors, children, spool files, slots and queue are back where they began. */
export async function assertNothingLeft(gateway: GatewayProcess, { before, withinMs = 10_000 }: LeakBounds): Promise<Residue> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const isLast = performance.now() >= deadline;
    // Its metrics cost time, so they come when nothing else is left.
    if (isLast || leaksSeen(before, await seenOf(gateway)).length === 0) {
      const now = await residueOf(gateway);
      const leaks = [...leaksSeen(before, now), ...leaksTold(now)];
      if (leaks.length === 0) return now;
      assert.ok(!isLast, `I5: ${leaks.join(", ")}`);
    }
    await delay(20);
  }
}

function leaksSeen(before: Seen, now: Seen): readonly string[] {
  // A freshclam that was under way then is over in the end.
  const lasting = before.children.filter((name) => name !== "freshclam").join();
  return leaksAmong([
    [now.descriptors <= before.descriptors + 2, `${now.descriptors} descriptors, ${before.descriptors} before`],
    [now.children.join() === lasting, `children ${now.children.join()}, ${lasting} before`],
    [now.zombies === 0, `${now.zombies} zombies`],
    [now.spoolFiles === 0, `${now.spoolFiles} spool files`],
  ]);
}

function leaksTold(now: Residue): readonly string[] {
  return leaksAmong([
    [now.spoolBodies === 0, `${now.spoolBodies} bodies held`],
    [now.slotsInUse === 0, `${now.slotsInUse} slots taken`],
    [now.queueLength === 0, `${now.queueLength} queued`],
  ]);
}

function leaksAmong(looks: readonly (readonly [isRight: boolean, what: string])[]): readonly string[] {
  return looks.filter(([isRight]) => !isRight).map(([, what]) => what);
}

/** I6: what passes without being clean passes by a setting that is named in the answer; by default nothing does. */
export function assertFailsClosed({ faults }: Account): void {
  assert.deepEqual(faults.passedUnmarked, [], "I6: passed and not marked");
}

export interface PulseBounds {
  /** For the 99th hundredth of the answers of /livez. */
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** I7: it lives whatever its engines do, and answers at once: within the bounds, without what the machine itself takes at the same time. */
export function assertResponsive({ beats }: Pulse, { p99Ms, maxMs }: PulseBounds): void {
  assert.deepEqual(
    beats.filter(({ liveStatus }) => liveStatus !== 200),
    [],
    "I7: /livez",
  );
  const times = beats.map(({ liveMs, bareMs, heldMs }) => liveMs - bareMs - heldMs).sort((a, b) => a - b);
  const p99 = times[Math.floor(times.length * 0.99)] ?? 0;
  // Of fewer, it would be the slowest.
  assert.ok(times.length < 200 || p99 <= p99Ms, `I7: 1 % of /livez took longer than ${p99.toFixed(0)} ms`);
  assert.ok((times.at(-1) ?? 0) <= maxMs, `I7: /livez took ${times.at(-1)?.toFixed(0)} ms`);
}

/** What holds in every run, whatever its faults: all of the above that the account alone can tell. */
export function assertInvariants(account: Account, bounds: { readonly withinMs: number }): void {
  assertCleanMeansScanned(account);
  assertOwnVerdicts(account);
  assertHonestMemory(account);
  assertFailsClosed(account);
  assertAccounted(account, bounds);
}
