import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { guardedCopies } from "../../src/cache/guarded-copies.ts";
import { memoryCopies } from "../../src/cache/memory-copies.ts";
import { redisCopies } from "../../src/cache/redis/copies.ts";
import { sqliteCopies } from "../../src/cache/sqlite/copies.ts";
import type { GatewayEvent } from "../../src/core/events.ts";
import { type Copy, type GivenCopies, givenAgainSeconds, givenSeconds } from "../../src/core/given-copies.ts";
import { copyOf, describeGivenCopies } from "../contract/given-copies.ts";
import { type LiveRedis, startRedis, untilTrue } from "../live/redis.ts";
import { scratchDirectory } from "../spool/scratch-directory.ts";
import { ManualTime } from "./manual-time.ts";

const address = "ab".repeat(32);
const one = copyOf("1", '"e"');
const two = copyOf("2", '"e"');
const clock = () => performance.now();

async function isSole(copies: GivenCopies, copy = one, at = address): Promise<boolean | null> {
  return (await copies.give(at, copy))?.isSole(copy) ?? null;
}

let redis: LiveRedis;
before(async () => {
  redis = await startRedis();
});
after(() => redis[Symbol.asyncDispose]());

function openRedisCopies(
  emit: (event: GatewayEvent) => void,
  user: { username: string; password: string } | null = null,
): GivenCopies {
  const place = { kind: "standalone", host: redis.host, port: redis.port } as const;
  const target = { place, username: null, password: null, database: 0, tls: null, ...user };
  return redisCopies({ target, keyPrefix: "clamgate:2:given:", emit, clock });
}

describeGivenCopies("memoryCopies", async () => {
  const time = new ManualTime();
  const copies = memoryCopies({ maxEntries: 1000, now: time.now });
  return {
    copies,
    reopened: async () => copies,
    advance: (seconds) => time.advance(seconds * 1000),
    faults: [],
    [Symbol.asyncDispose]: () => copies.close(),
  };
});

describeGivenCopies("sqliteCopies", async () => {
  await using opened = new AsyncDisposableStack();
  const { path } = opened.use(await scratchDirectory());
  const time = new ManualTime();
  const faults: string[] = [];
  const open = () => {
    const emit = (event: GatewayEvent) => faults.push(JSON.stringify(event));
    const made = sqliteCopies({ path: join(path, "given"), maxEntries: 1000, emit, now: time.now });
    owned.defer(() => made.close());
    return made;
  };
  const owned = opened.move();
  return {
    copies: open(),
    reopened: async () => open(),
    advance: (seconds) => time.advance(seconds * 1000),
    faults,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
});

/** Redis has no clock that a test could turn: instead what it holds is made older. */
async function makeOlder(seconds: number): Promise<void> {
  for (const name of (await redis.command("KEYS", "*")) as string[]) {
    const text = String(await redis.command("GET", name));
    const older = text.replace(/^\d+/gm, (at) => String(Number(at) - seconds));
    await redis.command("SET", name, older, "KEEPTTL");
  }
}

describeGivenCopies("redisCopies", async () => {
  await redis.command("FLUSHALL");
  const faults: string[] = [];
  const opened: GivenCopies[] = [];
  const open = async () => {
    const made = openRedisCopies((event) => event.kind === "cache-failed" && faults.push(event.detail));
    opened.push(made);
    await untilTrue(() => made.health?.() === "ok");
    return made;
  };
  return {
    copies: await open(),
    reopened: open,
    advance: makeOlder,
    faults,
    async [Symbol.asyncDispose]() {
      await Promise.all(opened.map((one) => one.close()));
    },
  };
});

describe("memoryCopies", () => {
  test("tells nothing of what it may have forgotten, for a day", async () => {
    const time = new ManualTime();
    const copies = memoryCopies({ maxEntries: 2, now: time.now });
    const addresses = ["a", "b", "c"].map((letter) => letter.repeat(64));
    for (const each of addresses) await copies.give(each, one);
    const [forgotten = ""] = addresses;
    assert.equal(await isSole(copies, two, forgotten), null);
    assert.equal(await isSole(copies, two, forgotten), null, "nor once it has a record again");
    time.advance((givenSeconds - 1) * 1000);
    assert.equal(await isSole(copies, two, forgotten), null);
    time.advance(1000);
    assert.equal(await isSole(copies, two, forgotten), true);
  });
});

describe("sqliteCopies", () => {
  test("has each copy in its file when it answers, of one alone and of several at a time", async () => {
    await using directory = await scratchDirectory();
    const path = join(directory.path, "given");
    const copies = sqliteCopies({ path, maxEntries: 100, emit: () => {}, now: Date.now });
    const database = new DatabaseSync(path, { readOnly: true });
    const query = database.prepare("SELECT count(*) AS rows FROM verdicts WHERE sha256 = ?");
    const isWritten = async (at: string) => {
      await copies.give(at, one);
      return query.get(Buffer.from(at, "hex"))?.rows === 1;
    };
    for (const several of [1, 3, 5, 1, 2]) {
      const addresses = Array.from({ length: several }, (_, at) => `${several}${at}`.padStart(64, "a"));
      assert.deepEqual(new Set(await Promise.all(addresses.map(isWritten))), new Set([true]));
    }
    database.close();
    await copies.close();
  });

  test("writes what still waits when it is closed", async () => {
    await using directory = await scratchDirectory();
    const open = () => sqliteCopies({ path: join(directory.path, "given"), maxEntries: 100, emit: () => {}, now: Date.now });
    const first = open();
    await Promise.all(["1", "2"].map((letter) => first.give(letter.repeat(64), one)));
    const waiting = first.give(address, one);
    await first.close();
    assert.equal((await waiting)?.isSole(one), true);
    const second = open();
    assert.equal(await isSole(second, two), false);
    await second.close();
  });

  test("remembers what it had answered when its process was killed", async () => {
    await using directory = await scratchDirectory();
    const path = join(directory.path, "given");
    const child = spawn(process.execPath, [join(import.meta.dirname, "given-child.ts"), path], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const given: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      given.push(line);
      if (given.length === 200) child.kill("SIGKILL");
    }
    assert.equal(given.length >= 200, true);
    const copies = sqliteCopies({ path, maxEntries: 100_000, emit: () => {}, now: Date.now });
    for (const at of given) assert.equal(await isSole(copies, two, at), false);
    await copies.close();
  });

  test("tells nothing of what it may have forgotten", async () => {
    await using directory = await scratchDirectory();
    const time = new ManualTime();
    const copies = sqliteCopies({ path: join(directory.path, "given"), maxEntries: 2, emit: () => {}, now: time.now });
    for (const letter of ["a", "b", "c", "d"]) {
      await copies.give(letter.repeat(64), one);
      time.advance(1000);
    }
    assert.equal(await isSole(copies, two, "a".repeat(64)), null);
    time.advance(givenSeconds * 1000);
    assert.equal(await isSole(copies, two, "a".repeat(64)), true);
    await copies.close();
    assert.equal(await copies.give(address, one), null);
  });

  test("tells nothing of it after a restart, either", async () => {
    await using directory = await scratchDirectory();
    const time = new ManualTime();
    const open = () => sqliteCopies({ path: join(directory.path, "given"), maxEntries: 3, emit: () => {}, now: time.now });
    const first = open();
    for (const letter of ["a", "b", "c", "d", "e", "f"]) {
      await first.give(letter.repeat(64), one);
      time.advance(1000);
    }
    await first.close();
    const second = open();
    assert.equal(await isSole(second, two, "a".repeat(64)), null);
    time.advance(givenSeconds * 1000);
    assert.equal(await isSole(second, two, "9".repeat(64)), true);
    await second.close();
  });

  test("tells nothing for a day where its file could not be read and was put aside", async () => {
    await using directory = await scratchDirectory();
    const time = new ManualTime();
    const path = join(directory.path, "given");
    writeFileSync(path, "no database, but long enough to be taken for one ".repeat(100));
    const open = () => sqliteCopies({ path, maxEntries: 10, emit: () => {}, now: time.now });
    for (const _ of ["at once", "after a restart"]) {
      const copies = open();
      assert.equal(await isSole(copies, two, "a".repeat(64)), null);
      await copies.close();
    }
    time.advance(givenSeconds * 1000);
    const later = open();
    assert.equal(await isSole(later, two, "b".repeat(64)), true);
    await later.close();
  });

  test("takes a row that is no record for copies that nobody knows", async () => {
    await using directory = await scratchDirectory();
    const path = join(directory.path, "given");
    const events: GatewayEvent[] = [];
    const copies = sqliteCopies({ path, maxEntries: 10, emit: (event) => events.push(event), now: Date.now });
    await copies.give(address, one);
    const database = new DatabaseSync(path);
    database.exec("UPDATE verdicts SET verdict = 'garbage'");
    database.close();
    assert.equal(await copies.give(address, one), null);
    assert.equal(events.filter(({ kind }) => kind === "cache-failed").length, 1);
    await copies.close();
  });

  test("is degraded, and tells nothing, where there can be no file", async () => {
    await using directory = await scratchDirectory();
    writeFileSync(join(directory.path, "file"), "");
    const copies = sqliteCopies({ path: join(directory.path, "file", "x"), maxEntries: 10, emit: () => {}, now: Date.now });
    assert.deepEqual([await copies.give(address, one), copies.health?.()], [null, "degraded"]);
    await copies.close();
  });
});

describe("redisCopies", () => {
  test("keeps a day's record under the address, and no longer", async () => {
    await redis.command("FLUSHALL");
    const copies = openRedisCopies(() => {});
    await untilTrue(() => copies.health?.() === "ok");
    await copies.give(address, one);
    assert.match(String(await redis.command("GET", `clamgate:2:given:${address}`)), /^given\n\d{10} 1{64} [0-9a-f]{16}\n$/);
    assert.equal(await redis.command("TTL", `clamgate:2:given:${address}`), givenSeconds);
    await copies.close();
  });

  test("leaves alone what is no record, and tells nothing", async () => {
    await redis.command("FLUSHALL");
    const faults: string[] = [];
    const copies = openRedisCopies((event) => event.kind === "cache-failed" && faults.push(event.detail));
    await untilTrue(() => copies.health?.() === "ok");
    const name = `clamgate:2:given:${address}`;
    for (const garbage of [
      "x",
      '{"verdict":1}',
      "given\nx\n",
      `given\n${Math.floor(Date.now() / 1000)} zz\n`,
      `given\n1 ${"1".repeat(64)}`,
    ]) {
      await redis.command("SET", name, garbage);
      assert.equal(await copies.give(address, one), null, garbage);
    }
    await redis.command("DEL", name);
    await redis.command("RPUSH", name, "x");
    assert.equal(await copies.give(address, one), null);
    assert.equal(faults.length, 6);
    await copies.close();
  });

  test("tells nothing to a user who may not run its script, and nothing while redis is away", async () => {
    await redis.command("ACL", "SETUSER", "old", "on", ">secret", "~clamgate:2:*", "+getrange", "+set");
    const copies = openRedisCopies(() => {}, { username: "old", password: "secret" });
    await untilTrue(() => copies.health?.() === "ok");
    assert.equal(await copies.give(address, one), null);
    assert.equal(copies.health?.(), "degraded");
    await redis.command("ACL", "SETUSER", "old", "+eval", "+time");
    await redis.command("FLUSHALL");
    assert.equal(await isSole(copies), true);
    await copies.close();
    assert.equal(await copies.give(address, one), null);
  });
});

describe("guardedCopies, of wholes", () => {
  function counted() {
    const time = new ManualTime();
    const store = memoryCopies({ maxEntries: 10, now: time.now });
    const asked: string[] = [];
    const counting = {
      ...store,
      give(at: string, copy: Copy) {
        asked.push(copy.sha256?.slice(0, 1) ?? "-");
        return store.give(at, copy);
      },
    };
    const own = memoryCopies({ maxEntries: 10, now: time.now });
    const copies = guardedCopies({ store: counting, own, budgetMs: 50, emit: () => {}, clock: time.now });
    return { time, copies, asked };
  }

  test("tells the store of one copy once an hour, and of each other one at once", async () => {
    const { time, copies, asked } = counted();
    for (const copy of [one, one, one, two, two, one]) await copies.give(address, copy, true);
    assert.deepEqual(asked, ["1", "2", "1"]);
    time.advance(givenAgainSeconds * 1000 - 1);
    await copies.give(address, one, true);
    assert.equal(asked.length, 3);
    time.advance(1);
    await copies.give(address, one, true);
    assert.deepEqual(asked, ["1", "2", "1", "1"]);
  });

  test("asks the store for each part", async () => {
    const { copies, asked } = counted();
    for (const isWhole of [true, true, false, false, true]) await copies.give(address, one, isWhole);
    assert.deepEqual(asked, ["1", "1", "1"]);
    assert.equal((await copies.give(address, two))?.isSole(two), false);
  });

  test("tells the store again that was away", async () => {
    const time = new ManualTime();
    const own = memoryCopies({ maxEntries: 10, now: time.now });
    let isAway = true;
    let asked = 0;
    const store: GivenCopies = {
      async give() {
        asked += 1;
        if (isAway) throw new Error("away");
        return null;
      },
      close: async () => {},
    };
    const copies = guardedCopies({ store, own, budgetMs: 50, emit: () => {}, clock: time.now });
    await copies.give(address, one, true);
    isAway = false;
    await copies.give(address, one, true);
    assert.equal(asked, 2);
  });
});

describe("guardedCopies, of what the store was not told", () => {
  const other = (at: number) => at.toString(16).padStart(64, "0");

  for (const [name, isFault] of [
    ["fails", true],
    ["is well and does not know", false],
  ] as const) {
    test(`${isFault ? "knows nothing of an address that own memory has forgotten" : "knows what it knew"} after a store ${name}`, async () => {
      const time = new ManualTime();
      const store = memoryCopies({ maxEntries: 100, now: time.now });
      let isOdd = true;
      const odd: GivenCopies = {
        ...store,
        give: (at, copy) => (!isOdd ? store.give(at, copy) : isFault ? Promise.reject(new Error("away")) : Promise.resolve(null)),
      };
      const own = memoryCopies({ maxEntries: 3, now: time.now });
      const copies = guardedCopies({ store: odd, own, budgetMs: 50, emit: () => {}, clock: time.now });
      await copies.give(address, one);
      isOdd = false;
      for (let at = 0; at < 5; at += 1) await copies.give(other(at), one);
      assert.equal(await isSole(copies, two), isFault ? null : true);
      time.advance((givenSeconds + 1) * 1000);
      assert.equal(await isSole(copies, one, other(9)), true);
    });
  }
});

describe("guardedCopies", () => {
  const now = () => 1e12;
  const guarded = (store: GivenCopies, budgetMs = 50) =>
    guardedCopies({ store, own: memoryCopies({ maxEntries: 10, now }), budgetMs, emit: () => {}, clock });
  const unused = { close: async () => {} };

  test("knows what either the store or this process knows", async () => {
    const shared = memoryCopies({ maxEntries: 10, now });
    const here = guarded(shared);
    const there = guarded(shared);
    assert.equal(await isSole(here, one), true);
    assert.equal(await isSole(there, two), false);
  });

  for (const [name, give] of [
    ["is away", async () => null],
    ["fails", () => Promise.reject(new Error("broken"))],
    ["hangs", () => new Promise<null>(() => {})],
  ] as const) {
    test(`tells nothing while the store ${name}, and remembers what was given meanwhile`, async () => {
      const store = memoryCopies({ maxEntries: 10, now });
      let isAway = true;
      const copies = guarded({ ...unused, give: (at, copy) => (isAway ? give() : store.give(at, copy)) }, 5);
      assert.equal(await isSole(copies, one), null);
      isAway = false;
      assert.equal(await isSole(copies, two), false);
    });
  }
});
