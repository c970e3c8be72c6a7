/** What clients have used of their quotas: the port to where it is kept over a restart, and shared by several gateways. */

/** One client's use within one window of time. */
export interface QuotaUse {
  readonly client: string;
  readonly windowMs: number;
  /** Milliseconds since the epoch; a multiple of `windowMs`. */
  readonly startsAt: number;
}

export interface QuotaCharge {
  /** False where there was no room for it: nothing was charged then. */
  readonly isCharged: boolean;
  /** All of the window, this charge included. */
  readonly used: number;
}

export interface QuotaStore {
  /**
   * Charges the bytes if all of the window come to no more than `max`, or if they are the first of it: nobody is shut out for ever. Resolves
   * with null where it cannot be known. Never rejects.
   * @param bytes a negative number gives back.
   * @param max Infinity charges in any case.
   */
  charge(use: QuotaUse, bytes: number, max: number): Promise<QuotaCharge | null>;
  close(): Promise<void>;
}
