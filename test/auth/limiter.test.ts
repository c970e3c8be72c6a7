import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseList } from "structured-headers";
import { type Client, type Limits, noLimits, type Quota } from "../../src/auth/client.ts";
import { type Admission, createLimiter } from "../../src/auth/limiter.ts";
import type { GatewayEvent } from "../../src/core/events.ts";
import type { QuotaStore, QuotaUse } from "../../src/core/quota-store.ts";

const second = 1_000;
const day = 86_400_000;

describe("createLimiter", () => {
  test("lets a client without limits do what it likes, and tells it of none", async () => {
    const { admit } = stage();
    const unlimited = client({});
    for (let count = 0; count < 1_000; count += 1) assert.deepEqual(await admit(unlimited, 1e12), "admitted");
    assert.equal((await stage().ask(unlimited, 1)).fields, null);
  });

  describe("requests", () => {
    const limits = { requests: { amount: 3, windowMs: second } };

    test("lets n go, refuses n + 1, and lets the next one go when its share of the time has passed", async () => {
      const { admit, pass } = stage();
      const shop = client(limits);
      for (let count = 0; count < 3; count += 1) assert.equal(await admit(shop, 10), "admitted");
      assert.equal(await admit(shop, 10), "requests");
      pass(333);
      assert.equal(await admit(shop, 10), "requests");
      pass(1);
      assert.equal(await admit(shop, 10), "admitted");
      assert.equal(await admit(shop, 10), "requests");
    });

    test("counts each client by itself", async () => {
      const { admit } = stage();
      const [shop, office] = [client(limits), client(limits, { id: "office" })];
      for (let count = 0; count < 4; count += 1) await admit(shop, 0);
      assert.equal(await admit(shop, 0), "requests");
      assert.equal(await admit(office, 0), "admitted");
    });

    test("does not count what was refused", async () => {
      const { admit, pass } = stage();
      const shop = client(limits);
      for (let count = 0; count < 100; count += 1) await admit(shop, 0);
      pass(second);
      for (let count = 0; count < 3; count += 1) assert.equal(await admit(shop, 0), "admitted");
      assert.equal(await admit(shop, 0), "requests");
    });
  });

  describe("bytes", () => {
    const limits = { bytes: { amount: 1_000, windowMs: 10 * second } };

    for (const [bytes, outcome] of [
      [399, "admitted"],
      [400, "admitted"],
      [401, "bytes"],
    ] as const) {
      test(`says ${outcome} to ${bytes} where 400 are left`, async () => {
        const { admit } = stage();
        const shop = client(limits);
        await admit(shop, 600);
        assert.equal(await admit(shop, bytes), outcome);
      });
    }

    test("lets a body go that is larger than the bucket when it is full, which then owes the rest", async () => {
      const { admit, pass } = stage();
      const shop = client(limits);
      assert.equal(await admit(shop, 3_000), "admitted");
      pass(20 * second);
      assert.equal(await admit(shop, 1), "bytes");
      pass(10 * second - 1);
      assert.equal(await admit(shop, 3_000), "bytes");
      pass(1);
      assert.equal(await admit(shop, 3_000), "admitted");
    });

    test("asks for one byte where the length is not known, and is owed the rest of what comes", async () => {
      const { admit, ask, pass } = stage();
      const shop = client(limits);
      ended(await ask(shop, null), 2_500);
      assert.equal(await admit(shop, null), "bytes");
      pass(15 * second);
      assert.equal(await admit(shop, null), "bytes");
      pass(10);
      assert.equal(await admit(shop, null), "admitted");
    });

    test("gives back what was announced and did not come", async () => {
      const { admit, ask } = stage();
      const shop = client(limits);
      ended(await ask(shop, 1_000_000_000), 100);
      assert.equal(await admit(shop, 901), "bytes");
      assert.equal(await admit(shop, 900), "admitted");
    });

    test("lets a request without a body go, whatever is owed", async () => {
      const { admit } = stage();
      const shop = client(limits);
      await admit(shop, 5_000);
      assert.equal(await admit(shop, 0), "admitted");
    });
  });

  describe("requests at once", () => {
    test("lets n go, refuses n + 1, and lets the next one go when one has ended", async () => {
      const { admit, ask } = stage();
      const shop = client({ concurrent: 2 });
      const first = await ask(shop, 1);
      assert.equal(await admit(shop, 1), "admitted");
      assert.equal(await admit(shop, 1), "concurrent");
      ended(first, 1);
      assert.equal(await admit(shop, 1), "admitted");
      assert.equal(await admit(shop, 1), "concurrent");
    });
  });

  test("names every limit that is in the way, and waits for the last of them", async () => {
    const { ask } = stage();
    const shop = client({
      requests: { amount: 1, windowMs: 60 * second },
      bytes: { amount: 100, windowMs: 10 * second },
      concurrent: 1,
    });
    await ask(shop, 100);
    const refused = await ask(shop, 50);
    assert.equal(refused.kind, "limited");
    if (refused.kind !== "limited") return;
    assert.deepEqual(refused.violated, ["requests", "bytes", "concurrent"]);
    assert.equal(refused.retryAfterSeconds, 60);
  });

  test("counts and tells of what it refuses", async () => {
    const { admit, events } = stage();
    const shop = client({ concurrent: 1 });
    await admit(shop, 1);
    await admit(shop, 1);
    assert.deepEqual(events, [{ kind: "limited", client: "shop", policies: ["concurrent"] }]);
  });

  test("goes on as it was when the file is read anew, and with what has changed in it", async () => {
    const { admit, ask } = stage();
    const before = client({ requests: { amount: 2, windowMs: second }, concurrent: 3 });
    const first = await ask(before, 0);
    await ask(before, 0);
    const again = client({ requests: { amount: 2, windowMs: second }, concurrent: 3 });
    assert.equal(await admit(again, 0), "requests");
    const changed = client({ requests: { amount: 5, windowMs: second }, concurrent: 3 });
    assert.equal(await admit(changed, 0), "admitted");
    assert.equal(await admit(changed, 0), "concurrent");
    ended(first, 0);
    assert.equal(await admit(changed, 0), "admitted");
  });

  describe("the quota", () => {
    const quota: Quota = { bytes: { amount: 1_000, windowMs: day } };

    test("lets n go and refuses n + 1, until the next window", async () => {
      const { admit, ask, pass } = stage();
      const shop = client({}, { quota });
      assert.equal(await admit(shop, 600), "admitted");
      assert.equal(await admit(shop, 401), "quota-bytes");
      assert.equal(await admit(shop, 400), "admitted");
      const refused = await ask(shop, 1);
      assert.equal(refused.kind === "limited" && refused.retryAfterSeconds, 6 * 3_600);
      pass(6 * 3_600_000 - 1);
      assert.equal(await admit(shop, 1), "quota-bytes");
      pass(1);
      assert.equal(await admit(shop, 1_000), "admitted");
    });

    test("lets a body go that is larger than all of it when nothing has been used", async () => {
      const { admit } = stage();
      const shop = client({}, { quota });
      assert.equal(await admit(shop, 5_000), "admitted");
      assert.equal(await admit(shop, 1), "quota-bytes");
    });

    test("is charged what has come, not what was announced", async () => {
      const { admit, ask } = stage();
      const shop = client({}, { quota });
      ended(await ask(shop, 900), 100);
      ended(await ask(shop, null), 200);
      assert.equal(await admit(shop, 701), "quota-bytes");
      assert.equal(await admit(shop, 700), "admitted");
    });

    test("does not hold up a request without a body", async () => {
      const { admit } = stage();
      const shop = client({}, { quota });
      await admit(shop, 5_000);
      assert.equal(await admit(shop, 0), "admitted");
    });

    test("tells of what was used before, also by others", async () => {
      const quotas = countingQuotas();
      await stage(quotas).admit(client({}, { quota }), 700);
      const { ask } = stage(quotas);
      assert.match((await ask(client({}, { quota }), 0)).fields?.ratelimit ?? "", /^"quota-bytes";r=300;t=/);
    });

    test("gives back its other limits where it refuses", async () => {
      const { admit, ask } = stage();
      const shop = client({ concurrent: 1, bytes: { amount: 3_000, windowMs: second } }, { quota });
      ended(await ask(shop, 1_000), 1_000);
      for (let count = 0; count < 5; count += 1) assert.equal(await admit(shop, 2_000), "quota-bytes");
      assert.equal((await ask(shop, 0)).fields?.ratelimit.split(";t")[0], '"bytes";r=2000');
    });

    test("is not enforced while nobody knows what was used, and that is counted", async () => {
      const { admit, events } = stage({ charge: async () => null, close: async () => {} });
      const shop = client({}, { quota });
      for (let count = 0; count < 3; count += 1) assert.equal(await admit(shop, 5_000), "admitted");
      assert.deepEqual(events, Array(3).fill({ kind: "quota-unknown", client: "shop" }));
    });
  });

  describe("its fields", () => {
    const limits: Limits = {
      requests: { amount: 100, windowMs: second },
      bytes: { amount: 500_000_000, windowMs: 10 * second },
      concurrent: 20,
    };
    const quota: Quota = { bytes: { amount: 5e12, windowMs: 30 * day } };

    test("say what a client may have", async () => {
      const { ask } = stage();
      const fields = (await ask(client(limits, { quota }), 1_000)).fields;
      assert.equal(
        fields?.["ratelimit-policy"],
        '"requests";q=100;w=1, "bytes";q=500000000;qu="content-bytes";w=10, "concurrent";q=20;qu="concurrent-requests", "quota-bytes";q=5000000000000;qu="content-bytes";w=2592000',
      );
    });

    test("say what is left, and when there is more", async () => {
      const { ask } = stage();
      const shop = client(limits, { quota });
      for (let count = 0; count < 41; count += 1) ended(await ask(shop, 1_000), 1_000);
      await ask(shop, 1_000);
      const fields = (await ask(shop, 1_000)).fields;
      assert.match(
        fields?.ratelimit ?? "",
        /^"requests";r=57;t=1, "bytes";r=499957000;t=1, "concurrent";r=18, "quota-bytes";r=4999999957000;t=\d+$/,
      );
    });

    test("say nothing of a time where nothing is missing", async () => {
      const { ask } = stage();
      const { fields } = await ask(client({ bytes: { amount: 10, windowMs: second } }), 0);
      assert.equal(fields?.ratelimit, '"bytes";r=10');
    });

    test("of a refusal agree with when to come again", async () => {
      const { ask } = stage();
      const shop = client({ bytes: { amount: 100, windowMs: 100 * second } });
      await ask(shop, 60);
      const refused = await ask(shop, 70);
      assert.equal(refused.fields?.ratelimit, '"bytes";r=40;t=30');
      assert.equal(refused.kind === "limited" && refused.retryAfterSeconds, 30);
    });

    test("are structured fields, of the types that the draft names", async () => {
      const { ask } = stage();
      for (const asked of [limits, { ...noLimits, concurrent: 1 }, { ...noLimits, requests: { amount: 1, windowMs: 1 } }]) {
        for (const withQuota of [quota, null]) {
          const { fields } = await ask(client(asked, { quota: withQuota }), 10);
          const policyItems = parseList(fields?.["ratelimit-policy"] ?? "");
          const remainders = parseList(fields?.ratelimit ?? "");
          assert.deepEqual(
            policyItems.map(([name]) => name),
            remainders.map(([name]) => name),
          );
          for (const [name, parameters] of policyItems) {
            assert.equal(typeof name, "string");
            assert.ok(Number.isInteger(parameters.get("q")));
            assert.ok(["content-bytes", "concurrent-requests", undefined].includes(parameters.get("qu") as string | undefined));
            assert.ok(parameters.get("w") === undefined || Number(parameters.get("w")) >= 1);
          }
          for (const [, parameters] of remainders) {
            assert.ok(Number.isInteger(parameters.get("r")) && Number(parameters.get("r")) >= 0);
            assert.ok(parameters.get("t") === undefined || Number.isInteger(parameters.get("t")));
          }
        }
      }
    });
  });
});

function client(limits: Partial<Limits>, { id = "shop", quota = null }: { id?: string; quota?: Quota | null } = {}): Client {
  return {
    id,
    name: id,
    method: "key",
    scopes: new Set(["scan"]),
    limits: { ...noLimits, ...limits },
    quota,
    priority: "interactive",
  };
}

function ended(admission: Admission, bytes: number): void {
  assert.equal(admission.kind, "admitted");
  if (admission.kind === "admitted") admission.end(bytes);
}

/** Six hours before the next day begins. */
const startedAt = Date.UTC(2026, 10, 28, 18);

function stage(quotas: QuotaStore = countingQuotas()) {
  let passedMs = 0;
  const events: GatewayEvent[] = [];
  const limiter = createLimiter({
    quotas,
    emit: (event) => events.push(event),
    clock: () => passedMs,
    now: () => startedAt + passedMs,
  });
  const ask = async (who: Client, bytes: number | null) => limiter.admit(who, bytes);
  /** "admitted", or what was in the way. */
  const admit = async (who: Client, bytes: number | null) => {
    const admission = await ask(who, bytes);
    return admission.kind === "admitted" ? "admitted" : admission.violated.join(" ");
  };
  const pass = (ms: number) => {
    passedMs += ms;
  };
  return { ask, admit, pass, events };
}

function countingQuotas(): QuotaStore {
  const sums = new Map<string, number>();
  const keyOf = ({ client: id, windowMs, startsAt }: QuotaUse) => `${id} ${windowMs} ${startsAt}`;
  return {
    async charge(use, bytes, max) {
      const used = sums.get(keyOf(use)) ?? 0;
      if (used > 0 && used + bytes > max) return { isCharged: false, used };
      sums.set(keyOf(use), used + bytes);
      return { isCharged: true, used: used + bytes };
    },
    close: async () => {},
  };
}
