/** What is noted during a soak, and the table it ends in. */

import assert from "node:assert/strict";
import type { Account } from "../fault/harness/account.ts";
import type { DownloadAccount } from "../fault/harness/download-account.ts";
import type { Pulse } from "../fault/harness/pulse.ts";
import type { Residue } from "../fault/harness/residue.ts";
import { mebibytes, quantile, table } from "../load/table.ts";
import type { Served } from "./served.ts";
import type { SoakFault } from "./soak-faults.ts";

export interface SoakOutcome {
  readonly account: Account;
  readonly downloads: DownloadAccount;
  readonly pulse: Pulse;
  readonly before: Residue;
  readonly after: Residue;
  /** As the gateway counts them. */
  readonly restarts: number;
  /** Verdicts that came from the cache. */
  readonly remembered: number;
}

/** A fault's requests are excused until so long after its end: those it held up are still being worked off. */
const aftermathMs = 5_000;
/** Of the answers outside of such faults. */
const answeredShare = 0.999;

export class SoakRecord {
  readonly #rates: { readonly capacity: number; readonly perSecond: number };
  readonly #startedAt = performance.now();
  readonly #faults = new Map<string, { count: number; ms: number }>();
  readonly #reloadsMs: number[] = [];
  readonly #samples: (Residue & { readonly atMs: number })[] = [];
  readonly #latencies: number[] = [];
  readonly #refusals = new Map<string, number>();
  #restartsInjected = 0;
  /** Faults that excuse and go on; or the time until which the last one excuses. */
  #excusing = 0;
  #excusedUntil = -Infinity;
  #unexcused = 0;

  constructor(rates: { readonly capacity: number; readonly perSecond: number }) {
    this.#rates = rates;
  }

  async during(fault: SoakFault, run: () => Promise<void>): Promise<void> {
    const startedAt = performance.now();
    if (fault.excuses) this.#excusing += 1;
    this.#restartsInjected += fault.restarts;
    try {
      await run();
    } finally {
      const noted = this.#faults.get(fault.name) ?? { count: 0, ms: 0 };
      this.#faults.set(fault.name, { count: noted.count + 1, ms: noted.ms + performance.now() - startedAt });
      if (fault.excuses) {
        this.#excusing -= 1;
        this.#excusedUntil = performance.now() + aftermathMs;
      }
    }
  }

  reloaded(ms: number): void {
    this.#reloadsMs.push(ms);
  }

  sample(residue: Residue): void {
    this.#samples.push({ ...residue, atMs: performance.now() });
  }

  /** Every request of the steady traffic. */
  answered({ name, elapsedMs, isRefused }: Served): void {
    if (this.#excusing > 0 || performance.now() < this.#excusedUntil) return;
    this.#unexcused += 1;
    this.#latencies.push(elapsedMs);
    if (isRefused) this.#refusals.set(name, (this.#refusals.get(name) ?? 0) + 1);
  }

  /** Restarts are those that were injected; without a fault to excuse it, a request is answered. */
  assertHeld(restarts: number): void {
    assert.equal(restarts, this.#restartsInjected, "clamd was started again as often as it was killed");
    const refused = this.#refused();
    assert.ok(refused <= this.#unexcused * (1 - answeredShare), `refused without excuse: ${JSON.stringify([...this.#refusals])}`);
  }

  report({ account, downloads, pulse, before, after, restarts, remembered }: SoakOutcome): string {
    const totals = account.totals();
    const fetched = downloads.totals();
    const resident = this.#samples.map(({ residentBytes }) => residentBytes);
    const most = (read: (sample: Residue) => number) => Math.max(...this.#samples.map(read));
    const live = pulse.beats.map(({ liveMs }) => liveMs);
    const faults = [...this.#faults].sort().map(([name, { count, ms }]) => [name, count, `${(ms / count / 1000).toFixed(1)} s`]);
    const rows: (readonly [string, string | number])[] = [
      ["Minutes", ((performance.now() - this.#startedAt) / 60_000).toFixed(1)],
      ["Capacity at the start, sent", `${this.#rates.capacity.toFixed(0)}/s, ${this.#rates.perSecond.toFixed(0)}/s`],
      ["Requests", totals.opened],
      ["… with verdicts", totals.verdicts],
      ["… with errors", totals.errors],
      ["… that their client left", totals.left],
      ["… without an answer", totals.broken],
      ["Statuses", JSON.stringify(totals.statuses)],
      ["Bodies: clean, infected, unscannable, error", Object.values(totals.bodies).join(", ")],
      ["Infected bodies sent", totals.infectedBodies],
      ["Infected answered as clean", account.faults.cleanThatIsNot.length],
      ["Verdicts mixed up, false alarms", `${account.faults.mixedUp.length}, ${account.faults.falseAlarms.length}`],
      ["Downloads", fetched.opened],
      ["… delivered, refused, cut, left", [fetched.delivered, fetched.refused, fetched.cut, fetched.left].join(", ")],
      ["… without an answer", fetched.unanswered],
      ["Download statuses", JSON.stringify(fetched.statuses)],
      ["Infected downloads delivered, or a byte of them", downloads.faults.releasedInfected.length],
      ["Whole answers with less, or other bytes", downloads.faults.completedShort.length + downloads.faults.otherBytes.length],
      ["Verdicts from the cache", remembered],
      ["Requests and downloads outside faults, refused", `${this.#unexcused}, ${this.#refused()}`],
      ["Their p50, p99", `${quantile(this.#latencies, 0.5).toFixed(1)} ms, ${quantile(this.#latencies, 0.99).toFixed(1)} ms`],
      ["Slowest answer of all", `${(Math.max(totals.slowestMs, fetched.slowestMs) / 1000).toFixed(1)} s`],
      [
        "New signatures, found after",
        `${this.#reloadsMs.length}, ${this.#reloadsMs.map((ms) => `${(ms / 1000).toFixed(1)} s`).join(" ")}`,
      ],
      ["clamd killed, started again", `${this.#restartsInjected}, ${restarts}`],
      ["/livez p99, most", `${quantile(live, 0.99).toFixed(0)} ms, ${Math.max(...live).toFixed(0)} ms`],
      [
        "Resident at the start, most, at the end",
        `${mebibytes(before.residentBytes)}, ${mebibytes(Math.max(...resident))}, ${mebibytes(after.residentBytes)}`,
      ],
      ["Resident, growth in the second half", `${(this.#slopeBytes() / 1024 / 1024).toFixed(2)} MiB in 10 minutes`],
      [
        "Descriptors at the start, most, at the end",
        `${before.descriptors}, ${most(({ descriptors }) => descriptors)}, ${after.descriptors}`,
      ],
      ["Spool files most, at the end", `${most(({ spoolFiles }) => spoolFiles)}, ${after.spoolFiles}`],
      ["Slots taken, queued, zombies at the end", `${after.slotsInUse}, ${after.queueLength}, ${after.zombies}`],
    ];
    const refusals = [...this.#refusals].map(([what, count]) => `refused: ${count} × ${what}`);
    return [table(["What", "Measured"], rows), table(["Fault", "Times", "Lasted"], faults), ...refusals].join("\n\n");
  }

  #refused(): number {
    return this.#refusals.values().reduce((sum, count) => sum + count, 0);
  }

  /** Least squares over the samples of the second half: bytes in ten minutes. */
  #slopeBytes(): number {
    const half = this.#samples.slice(Math.floor(this.#samples.length / 2));
    const mean = (read: (sample: (typeof half)[number]) => number) =>
      half.reduce((sum, sample) => sum + read(sample), 0) / half.length;
    const time = mean(({ atMs }) => atMs);
    const size = mean(({ residentBytes }) => residentBytes);
    const above = half.reduce((sum, { atMs, residentBytes }) => sum + (atMs - time) * (residentBytes - size), 0);
    const below = half.reduce((sum, { atMs }) => sum + (atMs - time) ** 2, 0);
    return (above / below) * 600_000;
  }
}
