/** The public keys of whoever issues tokens (JWKS, RFC 7517), fetched when they are needed and seldom. */

import { type CryptoKey, createLocalJWKSet, errors, type JSONWebKeySet, type JWSHeaderParameters } from "jose";
import type { Clock } from "../core/clock.ts";

export interface KeySetOptions {
  /** The document, parsed. Rejects where it cannot be had. */
  readonly load: () => Promise<unknown>;
  readonly clock: Clock;
}

/** Says nothing of the token: it can be judged once the keys are there. */
export class KeySetUnavailable extends Error {
  override readonly name = "KeySetUnavailable";
}

/** Keys that are older are looked at again, while they go on being used. */
const freshMs = 10 * 60_000;
/** Without an answer for so long, a key may have been withdrawn. */
const trustedMs = 60 * 60_000;
/** Whoever invents key ids causes one fetch in this time. */
const unknownKeyMs = 60_000;
/** Between attempts while there are no keys. */
const retryMs = 5_000;

export class KeySet {
  readonly #options: KeySetOptions;
  #find: ReturnType<typeof createLocalJWKSet> | null = null;
  #loadedAt = Number.NEGATIVE_INFINITY;
  #triedAt = Number.NEGATIVE_INFINITY;
  #fault: unknown = null;
  #loading: Promise<void> | null = null;

  constructor(options: KeySetOptions) {
    this.#options = options;
  }

  /** The key for a token with this header. Rejects with KeySetUnavailable, or with jose's error where there is none for it. */
  async keyFor(header: JWSHeaderParameters): Promise<CryptoKey> {
    const { clock } = this.#options;
    const ageMs = clock() - this.#loadedAt;
    if (this.#find === null || ageMs > trustedMs) {
      if (this.#loading !== null || clock() - this.#triedAt >= retryMs) await this.#load();
      return this.#trusted()(header);
    }
    if (ageMs > freshMs && this.#isDue()) void this.#load();
    try {
      return await this.#find(header);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      if (this.#loading !== null || this.#isDue()) await this.#load();
      // Where it could not be asked for, nobody can say that there is no such key.
      if (this.#fault !== null) throw new KeySetUnavailable("the key set cannot be had", { cause: this.#fault });
      return this.#trusted()(header);
    }
  }

  #isDue(): boolean {
    return this.#options.clock() - this.#triedAt >= unknownKeyMs;
  }

  #trusted(): ReturnType<typeof createLocalJWKSet> {
    if (this.#find !== null && this.#options.clock() - this.#loadedAt <= trustedMs) return this.#find;
    throw new KeySetUnavailable("the key set cannot be had", { cause: this.#fault });
  }

  /** One for all who ask meanwhile. Never rejects: what there was stays. */
  #load(): Promise<void> {
    this.#loading ??= this.#loadNow().finally(() => {
      this.#loading = null;
    });
    return this.#loading;
  }

  async #loadNow(): Promise<void> {
    const { load, clock } = this.#options;
    this.#triedAt = clock();
    try {
      // It looks at the shape itself.
      this.#find = createLocalJWKSet((await load()) as JSONWebKeySet);
      this.#loadedAt = clock();
      this.#fault = null;
    } catch (error) {
      this.#fault = error;
    }
  }
}
