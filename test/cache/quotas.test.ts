import assert from "node:assert/strict";
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { redisQuotas } from "../../src/cache/redis/quotas.ts";
import { sqliteQuotas } from "../../src/cache/sqlite/quotas.ts";
import type { GatewayEvent } from "../../src/core/events.ts";
import type { QuotaStore, QuotaUse } from "../../src/core/quota-store.ts";
import { type LiveRedis, startRedis } from "../live/redis.ts";
import { scratchDirectory } from "../scratch-directory.ts";
import { ManualTime } from "./manual-time.ts";

const dayMs = 86_400_000;
const unexpected = ({ kind }: GatewayEvent) => assert.fail(kind);
const anyMax = Number.POSITIVE_INFINITY;

let redis: LiveRedis;
before(async () => {
  redis = await startRedis();
});
after(() => redis[Symbol.asyncDispose]());

interface Harness extends AsyncDisposable {
  readonly quotas: QuotaStore;
  /** As the next process would open it. */
  reopened(): Promise<QuotaStore>;
}

function describeQuotas(name: string, make: () => Promise<Harness>): void {
  describe(`${name} as QuotaStore`, () => {
    let harness: Harness;
    let use: QuotaUse;
    let uses = 0;
    const charge = (bytes: number, max = anyMax, of = use) => harness.quotas.charge(of, bytes, max);

    beforeEach(async () => {
      harness = await make();
      uses += 1;
      use = { client: `shop ${uses}`, windowMs: dayMs, startsAt: Math.floor(Date.now() / dayMs) * dayMs };
    });
    afterEach(() => harness[Symbol.asyncDispose]());

    test("adds up what is charged, to n and not to n + 1", async () => {
      assert.deepEqual(await charge(600, 1_000), { isCharged: true, used: 600 });
      assert.deepEqual(await charge(401, 1_000), { isCharged: false, used: 600 });
      assert.deepEqual(await charge(399, 1_000), { isCharged: true, used: 999 });
      assert.deepEqual(await charge(1, 1_000), { isCharged: true, used: 1_000 });
      assert.deepEqual(await charge(1, 1_000), { isCharged: false, used: 1_000 });
    });

    test("takes the first of a window, however large, and a correction in any case", async () => {
      assert.deepEqual(await charge(5_000, 1_000), { isCharged: true, used: 5_000 });
      assert.deepEqual(await charge(-4_990), { isCharged: true, used: 10 });
      assert.deepEqual(await charge(2_000), { isCharged: true, used: 2_010 });
      assert.deepEqual(await charge(-9_000), { isCharged: true, used: 0 });
    });

    test("keeps clients and windows apart", async () => {
      await charge(10);
      assert.deepEqual(await charge(1, anyMax, { ...use, client: `${use.client}s` }), { isCharged: true, used: 1 });
      assert.deepEqual(await charge(2, anyMax, { ...use, windowMs: 30 * dayMs }), { isCharged: true, used: 2 });
      assert.deepEqual(await charge(3, anyMax, { ...use, startsAt: use.startsAt + dayMs }), { isCharged: true, used: 3 });
    });

    test("counts as far as a structured field does", async () => {
      assert.deepEqual(await charge(999_999_999_999_998), { isCharged: true, used: 999_999_999_999_998 });
      assert.deepEqual(await charge(1, 999_999_999_999_999), { isCharged: true, used: 999_999_999_999_999 });
    });

    test("lets no more go than there is when many ask at once", async () => {
      const charges = await Promise.all(Array.from({ length: 100 }, () => charge(30, 1_000)));
      assert.equal(charges.filter((one) => one?.isCharged).length, 33);
    });

    test("remembers over a restart", async () => {
      await charge(700, 1_000);
      const quotas = await harness.reopened();
      assert.deepEqual(await quotas.charge(use, 301, 1_000), { isCharged: false, used: 700 });
      await quotas.close();
    });
  });
}

function openRedisQuotas(emit: (event: GatewayEvent) => void = () => {}): QuotaStore {
  const place = { kind: "standalone", host: redis.host, port: redis.port } as const;
  const target = { place, username: null, password: null, database: 0, tls: null };
  const clock = () => performance.now();
  return redisQuotas({ target, keyPrefix: "clamgate:2:quota:", emit, clock, now: Date.now, budgetMs: 10_000 });
}

/** Connected already. */
async function connected(): Promise<QuotaStore> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const quotas = openRedisQuotas((event) => {
    if (event.kind === "notice") resolve();
  });
  await promise;
  return quotas;
}

describeQuotas("redisQuotas", async () => {
  const quotas = await connected();
  return { quotas, reopened: connected, [Symbol.asyncDispose]: () => quotas.close() };
});

describeQuotas("sqliteQuotas", async () => {
  const scratch = await scratchDirectory();
  const options = { path: join(scratch.path, "quotas.sqlite"), emit: () => {}, now: Date.now };
  const quotas = sqliteQuotas(options);
  return {
    quotas,
    async reopened() {
      await quotas.close();
      return sqliteQuotas(options);
    },
    [Symbol.asyncDispose]: () => scratch[Symbol.asyncDispose](),
  };
});

describe("redisQuotas", () => {
  test("knows nothing while redis is away", async () => {
    const quotas = openRedisQuotas();
    assert.equal(await quotas.charge({ client: "shop", windowMs: dayMs, startsAt: 0 }, 1, 1_000), null);
    await quotas.close();
  });

  test("leaves alone what is no sum of its own", async () => {
    const events: GatewayEvent[] = [];
    const quotas = openRedisQuotas((event) => events.push(event));
    const use = { client: "foreign", windowMs: dayMs, startsAt: 0 };
    await redis.command("SET", `clamgate:2:quota:${dayMs}:0:foreign`, "nothing of ours");
    while (!events.some(({ kind }) => kind === "notice")) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(await quotas.charge(use, 1, 1_000), null);
    assert.ok(events.some((event) => event.kind === "cache-failed"));
    await quotas.close();
  });
});

describe("sqliteQuotas", () => {
  test("writes once a second, for itself alone to read, and forgets what has long ended", async () => {
    await using scratch = await scratchDirectory();
    const path = join(scratch.path, "quotas.sqlite");
    const time = new ManualTime();
    const quotas = sqliteQuotas({ path, emit: unexpected, now: time.now, timers: time });
    const startsAt = time.now();
    for (let count = 0; count < 10; count += 1) await quotas.charge({ client: "shop", windowMs: 1_000, startsAt }, 1, anyMax);
    assert.equal(time.waiting, 1);
    assert.equal(time.nextMs, 1_000);
    time.advance(1_000);
    assert.equal(time.waiting, 0);
    assert.equal(statSync(path).mode & 0o077, 0);
    const next = sqliteQuotas({ path, emit: unexpected, now: time.now, timers: time });
    assert.deepEqual(await next.charge({ client: "shop", windowMs: 1_000, startsAt }, 0, anyMax), { isCharged: true, used: 10 });
    await next.close();
    time.advance(1_000);
    await quotas.charge({ client: "shop", windowMs: 1_000, startsAt: startsAt + 2_000 }, 5, anyMax);
    await quotas.close();
    const last = sqliteQuotas({ path, emit: unexpected, now: time.now, timers: time });
    assert.deepEqual(await last.charge({ client: "shop", windowMs: 1_000, startsAt }, 0, anyMax), { isCharged: true, used: 0 });
    await last.close();
  });

  test("puts a damaged file aside, and goes on", async () => {
    await using scratch = await scratchDirectory();
    const path = join(scratch.path, "quotas.sqlite");
    writeFileSync(path, Buffer.alloc(8192, "no database"));
    const events: GatewayEvent[] = [];
    const quotas = sqliteQuotas({ path, emit: (event) => events.push(event), now: Date.now });
    assert.deepEqual(await quotas.charge({ client: "shop", windowMs: dayMs, startsAt: 0 }, 1, 10), { isCharged: true, used: 1 });
    await quotas.close();
    assert.deepEqual(
      events.map((event) => event.kind === "cache-failed" && event.operation),
      ["open"],
    );
    assert.deepEqual(readdirSync(scratch.path).toSorted(), ["quotas.sqlite", "quotas.sqlite-journal", "quotas.sqlite.broken"]);
  });

  test("counts in memory where there can be no file", async () => {
    const events: GatewayEvent[] = [];
    await using scratch = await scratchDirectory();
    const path = join(scratch.path, "missing", "quotas.sqlite");
    const quotas = sqliteQuotas({ path, emit: (event) => events.push(event), now: Date.now });
    const use = { client: "shop", windowMs: dayMs, startsAt: 0 };
    await quotas.charge(use, 6, 10);
    assert.deepEqual(await quotas.charge(use, 5, 10), { isCharged: false, used: 6 });
    assert.equal(events.length, 1);
    await quotas.close();
  });
});
