/** When each engine tag was last asked for: the verdicts of one that nobody asks for any more only take room. */

import type { Clock } from "../../core/clock.ts";

export interface TagAgesOptions {
  readonly clock: Clock;
  /** Backends of one pool may differ for a while, and each one's tag stays in use. */
  readonly maxIdleMs: number;
}

export class TagAges {
  readonly #clock: Clock;
  readonly #maxIdleMs: number;
  #usedAtMs = new Map<string, number>();

  constructor({ clock, maxIdleMs }: TagAgesOptions) {
    this.#clock = clock;
    this.#maxIdleMs = maxIdleMs;
  }

  use(tag: string): void {
    this.#usedAtMs.set(tag, this.#clock());
  }

  /** Those of `tags` that nobody used for too long; one that is new here counts as used now, as after a restart. */
  idleAmong(tags: readonly string[]): string[] {
    const now = this.#clock();
    this.#usedAtMs = new Map(tags.map((tag) => [tag, this.#usedAtMs.get(tag) ?? now]));
    return tags.filter((tag) => now - (this.#usedAtMs.get(tag) ?? now) > this.#maxIdleMs);
  }
}
