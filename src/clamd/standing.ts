/** Which backends of a pool are asked: what an older or laxer clamd calls clean is not taken while a better one is up. */

import type { EngineVersion } from "../core/verdict.ts";

/** What tells a backend from another. */
export interface Standing {
  isUp(): boolean;
  /** Null while it is down. */
  version(): EngineVersion | null;
  /** Lines that its clamd.conf lacks. */
  lacking(): readonly string[];
  /** Whether it has shown the signatures that it should have. */
  isSettled(): boolean;
}

/**
 * Those that are up and behind no other one, in their order. What a clamd.conf lacks is lacking for ever, an older database for minutes:
 * so the alerts count first, then whether it has what its directory holds, then the daily database, then the engine's release.
 */
export function foremost<B extends Standing>(backends: Iterable<B>): readonly B[] {
  let best: B[] = [];
  for (const backend of backends) {
    if (!backend.isUp()) continue;
    const [first] = best;
    const order = first === undefined ? 0 : compare(backend, first);
    if (order > 0) best = [backend];
    else if (order === 0) best.push(backend);
  }
  return best;
}

/** Above 0 where `one` is the better. */
function compare(one: Standing, other: Standing): number {
  const lacking = other.lacking().length - one.lacking().length;
  if (lacking !== 0) return lacking;
  const settled = Number(one.isSettled()) - Number(other.isSettled());
  if (settled !== 0) return settled;
  const [version, otherVersion] = [one.version(), other.version()];
  const database = (version?.database ?? 0) - (otherVersion?.database ?? 0);
  if (database !== 0) return database;
  return compareReleases(version?.engine ?? "", otherVersion?.engine ?? "");
}

/** By their numbers, `1.4.10` after `1.4.9`; what follows these (`-rc`) is not compared. */
function compareReleases(one: string, other: string): number {
  if (one === other) return 0;
  const [numbers, otherNumbers] = [numbersOf(one), numbersOf(other)];
  for (let index = 0; index < Math.max(numbers.length, otherNumbers.length); index += 1) {
    const order = (numbers[index] ?? 0) - (otherNumbers[index] ?? 0);
    if (order !== 0) return order;
  }
  return 0;
}

function numbersOf(release: string): readonly number[] {
  return (/^\d+(\.\d+)*/.exec(release)?.[0] ?? "").split(".").map(Number);
}
