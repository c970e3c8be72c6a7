/** What each client may ask of this gateway, and has asked: requests and bytes over time, requests at once, and its quota. A limit never makes a verdict. */

import type { Clock } from "../core/clock.ts";
import type { Emit, LimitPolicy } from "../core/events.ts";
import type { QuotaStore, QuotaUse } from "../core/quota-store.ts";
import type { Client, Limits, Quota, Rate } from "./client.ts";
import { policyField, type RemainderItem, remainderField, seconds } from "./rate-limit-fields.ts";
import { TokenBucket } from "./token-bucket.ts";

export interface LimiterOptions {
  readonly quotas: QuotaStore;
  readonly emit: Emit;
  readonly clock: Clock;
  /** The wall clock in milliseconds, as Date.now: windows of quotas are the same for every gateway. */
  readonly now: () => number;
}

/** Of the answer, by their names in lower case. */
export type RateLimitFields = Readonly<Record<"ratelimit-policy" | "ratelimit", string>>;

export type Admission =
  | {
      readonly kind: "admitted";
      readonly fields: RateLimitFields | null;
      /**
       * To be called once, when the request is over.
       * @param bytes that have been read of its body.
       */
      readonly end: (bytes: number) => void;
    }
  | {
      readonly kind: "limited";
      readonly fields: RateLimitFields;
      readonly violated: readonly LimitPolicy[];
      readonly retryAfterSeconds: number;
    };

export interface Limiter {
  /**
   * To be asked for each request of a client. Never throws or rejects.
   * @param bytes of its body; null where it has one whose length is not known: one that has begun goes on to its end, which is then owed.
   */
  readonly admit: (client: Client, bytes: number | null) => Admission | Promise<Admission>;
}

/** Somebody's request ends sooner or later. */
const concurrentRetryMs = 1_000;

const unlimited: Admission = { kind: "admitted", fields: null, end: () => {} };

export function createLimiter({ quotas, emit, clock, now }: LimiterOptions): Limiter {
  /** Of clients that have limits or a quota: entries of a file. */
  const accounts = new Map<string, Account>();

  function accountOf(client: Client): Account {
    const known = accounts.get(client.id);
    if (known?.limits === client.limits && known.quota === client.quota) return known;
    // The file was read anew. What is the same goes on as it was.
    const account = new Account(client, clock, known ?? null);
    accounts.set(client.id, account);
    return account;
  }

  function limited(client: Client, account: Account, violations: readonly Violation[]): Admission {
    const violated = violations.map(({ policy }) => policy);
    emit({ kind: "limited", client: client.id, policies: violated });
    const retryAfterSeconds = Math.max(...violations.map(({ waitMs }) => seconds(waitMs)));
    return { kind: "limited", fields: account.fields(now(), violations), violated, retryAfterSeconds };
  }

  async function chargeQuota(client: Client, account: Account, { bytes: rate }: Quota, bytes: number): Promise<Admission> {
    const at = now();
    const use: QuotaUse = { client: client.id, windowMs: rate.windowMs, startsAt: at - (at % rate.windowMs) };
    const charge = await quotas.charge(use, bytes, bytes === 0 ? Number.POSITIVE_INFINITY : rate.amount);
    if (charge === null) emit({ kind: "quota-unknown", client: client.id });
    account.used = charge === null ? null : { use, bytes: charge.used };
    if (charge?.isCharged === false) {
      account.release(bytes, 0);
      return limited(client, account, [{ policy: "quota-bytes", waitMs: use.startsAt + rate.windowMs - now() }]);
    }
    return admitted(account, bytes, (difference) => {
      if (charge !== null) void quotas.charge(use, difference, Number.POSITIVE_INFINITY);
    });
  }

  function admitted(account: Account, bytes: number, correctQuota: (difference: number) => void): Admission {
    return {
      kind: "admitted",
      fields: account.fields(now(), []),
      end(read) {
        account.release(bytes, read);
        if (read !== bytes) correctQuota(read - bytes);
      },
    };
  }

  return {
    admit(client, declared) {
      if (client.quota === null && isUnlimited(client.limits)) return unlimited;
      const account = accountOf(client);
      const bytes = declared ?? 1;
      const violations = account.violations(bytes);
      if (violations.length > 0) return limited(client, account, violations);
      account.take(bytes);
      const { quota } = client;
      // A request without a body costs nothing of it, but is told what is left.
      if (quota !== null && (bytes > 0 || account.used === null)) return chargeQuota(client, account, quota, bytes);
      return admitted(account, bytes, () => {});
    },
  };
}

interface Violation {
  readonly policy: LimitPolicy;
  readonly waitMs: number;
}

/** One client's. */
class Account {
  readonly limits: Limits;
  readonly quota: Quota | null;
  readonly #requests: TokenBucket | null;
  readonly #bytes: TokenBucket | null;
  /** Requests that are under way; shared with the account that takes this one's place. */
  readonly #running: { count: number };
  readonly #policyField: string;
  /** Of the quota, as it was last told. */
  used: { readonly use: QuotaUse; readonly bytes: number } | null;

  constructor({ limits, quota }: Client, clock: Clock, before: Account | null) {
    this.limits = limits;
    this.quota = quota;
    this.#requests = bucketOf(limits.requests, clock, before === null ? null : before.#requests);
    this.#bytes = bucketOf(limits.bytes, clock, before === null ? null : before.#bytes);
    this.#running = before === null ? { count: 0 } : before.#running;
    this.used = before?.used ?? null;
    const { requests, bytes, concurrent } = limits;
    const all = [
      ["requests", requests],
      ["bytes", bytes],
      ["concurrent", concurrent === null ? null : { amount: concurrent, windowMs: null }],
      ["quota-bytes", quota?.bytes ?? null],
    ] as const;
    this.#policyField = policyField(all.flatMap(([policy, rate]) => (rate === null ? [] : [{ policy, ...rate }])));
  }

  /** Why one more request with so many bytes cannot come now; none where it can. */
  violations(bytes: number): readonly Violation[] {
    const { concurrent } = this.limits;
    const requestsMs = this.#requests?.waitMs(1) ?? 0;
    const bytesMs = bytes === 0 ? 0 : (this.#bytes?.waitMs(bytes) ?? 0);
    const isCrowded = concurrent !== null && this.#running.count >= concurrent;
    const violations: Violation[] = [];
    if (requestsMs > 0) violations.push({ policy: "requests", waitMs: requestsMs });
    if (bytesMs > 0) violations.push({ policy: "bytes", waitMs: bytesMs });
    if (isCrowded) violations.push({ policy: "concurrent", waitMs: concurrentRetryMs });
    return violations;
  }

  take(bytes: number): void {
    this.#requests?.take(1);
    this.#bytes?.take(bytes);
    this.#running.count += 1;
  }

  /** The request is over. */
  release(taken: number, used: number): void {
    this.#bytes?.take(used - taken);
    this.#running.count -= 1;
  }

  fields(now: number, violations: readonly Violation[]): RateLimitFields {
    const items: RemainderItem[] = [];
    const add = (policy: LimitPolicy, left: number, moreInMs: number | null) => {
      const violation = violations.find((one) => one.policy === policy);
      items.push({ policy, left, moreInMs: violation?.waitMs ?? moreInMs });
    };
    if (this.#requests !== null) add("requests", ...remainderIn(this.#requests));
    if (this.#bytes !== null) add("bytes", ...remainderIn(this.#bytes));
    if (this.limits.concurrent !== null) add("concurrent", Math.max(0, this.limits.concurrent - this.#running.count), null);
    if (this.quota !== null) add("quota-bytes", ...this.#remainderOfQuota(this.quota.bytes, now));
    return { "ratelimit-policy": this.#policyField, ratelimit: remainderField(items) };
  }

  #remainderOfQuota({ amount, windowMs }: Rate, now: number): readonly [left: number, moreInMs: number] {
    const { used } = this;
    const elapsedMs = now % windowMs;
    const isOfNow = used !== null && used.use.windowMs === windowMs && used.use.startsAt === now - elapsedMs;
    return [Math.max(0, amount - (isOfNow ? used.bytes : 0)), windowMs - elapsedMs];
  }
}

function remainderIn(bucket: TokenBucket): readonly [left: number, moreInMs: number | null] {
  const left = bucket.left();
  return [left, left === bucket.rate.amount ? null : bucket.waitMs(left + 1)];
}

function bucketOf(rate: Rate | null, clock: Clock, before: TokenBucket | null): TokenBucket | null {
  if (rate === null) return null;
  const isSame = before !== null && before.rate.amount === rate.amount && before.rate.windowMs === rate.windowMs;
  return isSame ? before : new TokenBucket(rate, clock);
}

function isUnlimited({ requests, bytes, concurrent }: Limits): boolean {
  return requests === null && bytes === null && concurrent === null;
}
