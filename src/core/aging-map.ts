/** What is known for a while, of a bounded number of keys. */

import type { Clock } from "./clock.ts";

export interface AgingMapOptions {
  readonly ttlMs: number;
  /** Beyond it those go first that were set first. */
  readonly maxEntries: number;
  readonly clock: Clock;
}

export class AgingMap<Value> {
  readonly #options: AgingMapOptions;
  readonly #entries = new Map<string, { readonly value: Value; readonly expiresAt: number }>();

  constructor(options: AgingMapOptions) {
    this.#options = options;
  }

  /** Its time begins anew. */
  set(key: string, value: Value): void {
    const { ttlMs, maxEntries, clock } = this.#options;
    this.#entries.delete(key);
    this.#entries.set(key, { value, expiresAt: clock() + ttlMs });
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= maxEntries) break;
      this.#entries.delete(oldest);
    }
  }

  get(key: string): Value | null {
    // Nearly always, and a key that was just put together is dear to look up.
    if (this.#entries.size === 0) return null;
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    if (this.#options.clock() < entry.expiresAt) return entry.value;
    this.#entries.delete(key);
    return null;
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }
}
