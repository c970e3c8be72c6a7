import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { copiesJournal } from "../../src/cache/copies-journal.ts";
import { memoryCopies } from "../../src/cache/memory-copies.ts";
import { type RedisCopiesOptions, redisCopies } from "../../src/cache/redis/copies.ts";
import { openRedis } from "../../src/cache/redis/node.ts";
import type { GatewayEvent } from "../../src/core/events.ts";
import { type Copy, type GivenCopies, givenAgainSeconds, givenSeconds } from "../../src/core/given-copies.ts";
import { copyOf, describeGivenCopies } from "../contract/given-copies.ts";
import { type LiveRedis, startRedis, untilTrue } from "../live/redis.ts";
import { scratchDirectory } from "../scratch-directory.ts";
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

function openRedisCopies(emit: (event: GatewayEvent) => void, options: Partial<RedisCopiesOptions> = {}, user = {}): GivenCopies {
  const place = { kind: "standalone", host: redis.host, port: redis.port } as const;
  const target = { place, username: null, password: null, database: 0, tls: null, ...user };
  return redisCopies({ target, keyPrefix: "clamgate:2:given:", emit, clock, now: Date.now, budgetMs: 10_000, ...options });
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

describeGivenCopies("copiesJournal", async () => {
  await using opened = new AsyncDisposableStack();
  const { path } = opened.use(await scratchDirectory());
  const time = new ManualTime();
  const faults: string[] = [];
  const open = () => {
    const emit = (event: GatewayEvent) => faults.push(JSON.stringify(event));
    const made = copiesJournal({ path: join(path, "given"), maxEntries: 1000, emit, now: time.now });
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
  const time = new ManualTime();
  const open = async () => {
    const emit = (event: GatewayEvent) => event.kind === "cache-failed" && faults.push(event.detail);
    const made = openRedisCopies(emit, { now: time.now });
    opened.push(made);
    await untilTrue(() => made.health() === "ok");
    return made;
  };
  return {
    copies: await open(),
    reopened: open,
    async advance(seconds) {
      time.advance(seconds * 1000);
      await makeOlder(seconds);
    },
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

describe("copiesJournal", () => {
  let directory: Awaited<ReturnType<typeof scratchDirectory>>;
  let path: string;
  let time: ManualTime;
  let faults: string[];
  beforeEach(async () => {
    directory = await scratchDirectory();
    path = join(directory.path, "given");
    time = new ManualTime();
    faults = [];
  });
  afterEach(() => directory[Symbol.asyncDispose]());

  const open = (maxEntries = 100, now = time.now) =>
    copiesJournal({ path, maxEntries, emit: (event) => event.kind === "cache-failed" && faults.push(event.detail), now });
  const addressOf = (number: number) => number.toString(16).padStart(64, "0");

  test("has each copy in its file when it answers, and tells it once an hour", async () => {
    const copies = open();
    const given = [one, one, two, one];
    for (const copy of given) assert.equal(await copies.give(address, copy, true), null);
    const text = readFileSync(`${path}.1`, "utf8");
    assert.match(text, new RegExp(`^\\n\\d{10} ${address} 1{64} [0-9a-f]{16}\\n\\n\\d{10} ${address} 2{64} [0-9a-f]{16}\\n$`));
    for (const [seconds, lines] of [
      [givenAgainSeconds - 1, 2],
      [1, 3],
    ] as const) {
      time.advance(seconds * 1000);
      for (let times = 0; times < 2; times += 1) await copies.give(address, one, true);
      assert.equal(readFileSync(`${path}.1`, "utf8").split("\n\n").length, lines);
    }
    assert.equal(statSync(`${path}.1`).mode & 0o777, 0o600);
    await copies.close();
    assert.equal(await copies.give(address, one), null);
  });

  test("tells a part of what another gateway has given meanwhile, of a whole or of a part", async () => {
    for (const isWhole of [true, false]) {
      const [here, there] = [open(), open()];
      const at = addressOf(isWhole ? 1 : 2);
      await here.give(at, one, true);
      await there.give(at, two, isWhole);
      assert.deepEqual([await isSole(here, one, at), await isSole(there, two, at)], [false, false]);
      await Promise.all([here.close(), there.close()]);
    }
  });

  test("remembers what it had answered when its process was killed", async () => {
    const child = spawn(process.execPath, [join(import.meta.dirname, "given-child.ts"), path], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const given: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      given.push(line);
      if (given.length === 200) child.kill("SIGKILL");
    }
    assert.equal(given.length >= 200, true);
    const copies = open(100_000, Date.now);
    for (const at of given) assert.equal(await isSole(copies, two, at), false);
    await copies.close();
  });

  test("tells nothing of what it may have forgotten, nor after a restart", async () => {
    for (const name of ["at once", "after a restart"]) {
      const copies = open(3);
      for (let number = 0; number < 6; number += 1) {
        await copies.give(addressOf(number), one);
        time.advance(1000);
      }
      assert.equal(await isSole(copies, two, addressOf(0)), null, name);
      await copies.close();
    }
    time.advance(givenSeconds * 1000);
    const later = open(3);
    assert.equal(await isSole(later, two, addressOf(9)), true);
    await later.close();
  });

  test("tells nothing for a day where an older release has left its file, and leaves that alone", async () => {
    const text = "no lines of ours, but long enough to be taken for some ".repeat(100);
    writeFileSync(path, text);
    const seconds = time.now() / 1000;
    utimesSync(path, seconds, seconds);
    for (const _ of ["at once", "after a restart"]) {
      const copies = open();
      assert.equal(await isSole(copies, two, addressOf(1)), null);
      await copies.close();
    }
    time.advance(givenSeconds * 1000);
    const later = open();
    assert.equal(await isSole(later, two, addressOf(2)), true);
    await later.close();
    assert.equal(readFileSync(path, "utf8"), text);
  });

  test("knows nothing of a day in which a line was written that is none, and goes on in another file", async () => {
    const copies = open();
    await copies.give(address, one);
    appendFileSync(`${path}.1`, "\ngarbage\n");
    assert.equal(await copies.give(address, one), null);
    assert.deepEqual(faults, ["given copies: a line holds nothing that belongs there"]);
    time.advance(1000);
    assert.equal(await copies.give(addressOf(1), one), null);
    assert.deepEqual(readdirSync(directory.path), ["given.1", "given.2"]);
    const seconds = time.now() / 1000;
    utimesSync(`${path}.1`, seconds, seconds);
    await copies.close();
    time.advance((givenSeconds - 1) * 1000);
    const second = open();
    assert.equal(await copies.give(addressOf(2), one), null);
    time.advance(1000);
    assert.equal(await isSole(second, two, addressOf(3)), true);
    await second.close();
  });

  for (const [name, damage] of [
    ["cut", () => truncateSync(`${path}.1`, 5)],
    ["taken away", () => rmSync(`${path}.1`)],
    ["taken away with its directory", () => rmSync(directory.path, { recursive: true })],
  ] as const) {
    test(`knows nothing of the day before where its file was ${name}, and has the next copy in a file`, async () => {
      const copies = open();
      await copies.give(address, one);
      damage();
      for (let seconds = 0; seconds < 3; seconds += 1) {
        time.advance(1000);
        assert.equal(await copies.give(address, two, true), null);
      }
      assert.deepEqual([faults.length, copies.health()], [1, "ok"]);
      assert.equal(await copies.give(addressOf(1), one), null);
      await copies.close();
      const second = open();
      for (const at of [address, addressOf(2)]) assert.equal(await copies.give(at, one), null);
      time.advance(givenSeconds * 1000);
      assert.equal(await isSole(second, one), true);
      await second.close();
    });
  }

  test("reads lines wherever they are cut by what is read at a time, and no line that has no end", async () => {
    const copies = open(10_000);
    const validators = Array.from({ length: 60 }, (_, number) => `"${number}"`);
    for (let number = 0; number < 500; number += 1)
      await copies.give(addressOf(number), { ...one, validators: validators.slice(number % 60) });
    await copies.close();
    const second = open(10_000);
    for (let number = 0; number < 500; number += 1) assert.equal(await isSole(second, two, addressOf(number)), false);
    assert.deepEqual(faults, []);
    appendFileSync(`${path}.1`, "x".repeat(100_000));
    assert.equal(await second.give(addressOf(1), one), null);
    assert.deepEqual(new Set(faults), new Set(["given copies: a line holds nothing that belongs there"]));
    await second.close();
  });

  test("tells nothing of an address of which a copy had too many validators to write down", async () => {
    const copies = open();
    const many = { ...two, validators: Array.from({ length: 10_000 }, (_, number) => `"${number}"`) };
    await copies.give(address, many, true);
    await copies.close();
    const second = open();
    assert.deepEqual([await second.give(address, one), await isSole(second, one, addressOf(1)), faults], [null, true, []]);
    await second.close();
  });

  test("is degraded, and tells nothing, where there can be no file, and tries again", async () => {
    writeFileSync(path, "");
    rmSync(path);
    path = join(directory.path, "file", "given");
    writeFileSync(join(directory.path, "file"), "");
    const copies = open();
    for (let times = 0; times < 3; times += 1)
      assert.deepEqual([await copies.give(address, one), copies.health()], [null, "degraded"]);
    assert.equal(faults.length, 1);
    rmSync(join(directory.path, "file"));
    time.advance(1000);
    assert.deepEqual([await isSole(copies, two), copies.health()], [false, "ok"], "this process knows what it gave meanwhile");
    await copies.close();
  });

  test("begins another file when one is full, for all who share it, and keeps three", async () => {
    const [here, there] = [open(10), open(10)];
    const validators = Array.from({ length: 230 }, (_, number) => `"${number}"`);
    const long: Copy = { ...one, validators };
    await here.give(address, two, true);
    for (let number = 0; !existsSync(`${path}.4`); number += 1) {
      // Two seconds to see that it is full, and to go on.
      if (number % 250 === 0) time.advance(1000);
      await (number % 2 === 0 ? here : there).give(addressOf(number), long, true);
    }
    time.advance(1000);
    for (const copies of [here, there]) await copies.give(addressOf(0), two, true);
    assert.deepEqual(readdirSync(directory.path).toSorted(), ["given.2", "given.3", "given.4"]);
    await Promise.all([here.close(), there.close()]);
    const restarted = open(100_000);
    assert.equal(await isSole(restarted, one), null, "a file before the first is gone");
    await restarted.close();
  });
});

describe("redisCopies", () => {
  const name = `clamgate:2:given:${address}`;

  test("keeps a day's record under the address, and no longer", async () => {
    await redis.command("FLUSHALL");
    const copies = openRedisCopies(() => {});
    await untilTrue(() => copies.health() === "ok");
    await copies.give(address, one);
    assert.match(String(await redis.command("GET", `clamgate:2:given:${address}`)), /^given\n\d{10} 1{64} [0-9a-f]{16}\n$/);
    assert.equal(await redis.command("TTL", `clamgate:2:given:${address}`), givenSeconds);
    await copies.close();
  });

  test("leaves alone what is no record, and tells nothing", async () => {
    await redis.command("FLUSHALL");
    const faults: string[] = [];
    const copies = openRedisCopies((event) => event.kind === "cache-failed" && faults.push(event.detail));
    await untilTrue(() => copies.health() === "ok");
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
    const copies = openRedisCopies(() => {}, {}, { username: "old", password: "secret" });
    await untilTrue(() => copies.health() === "ok");
    assert.equal(await copies.give(address, one), null);
    assert.equal(copies.health(), "degraded");
    await redis.command("ACL", "SETUSER", "old", "+eval", "+time");
    await redis.command("FLUSHALL");
    assert.equal(await isSole(copies), true);
    await copies.close();
    assert.equal(await copies.give(address, one), null);
  });

  test("tells redis of one copy once an hour, and of a part each time", async () => {
    await redis.command("FLUSHALL");
    const time = new ManualTime();
    const copies = openRedisCopies(() => {}, { now: time.now });
    await untilTrue(() => copies.health() === "ok");
    /** Whether redis was told: what it has of the address is there again. */
    async function isTold(copy: Copy, isWhole: boolean): Promise<boolean> {
      await redis.command("DEL", name);
      await copies.give(address, copy, isWhole);
      return (await redis.command("EXISTS", name)) === 1;
    }
    for (const [copy, told] of [
      [one, true],
      [one, false],
      [two, true],
      [one, false],
    ] as const)
      assert.equal(await isTold(copy, true), told);
    assert.deepEqual([await isTold(one, false), await isTold(one, false)], [true, true]);
    time.advance(givenAgainSeconds * 1000 - 1);
    assert.equal(await isTold(two, true), false);
    time.advance(1);
    assert.equal(await isTold(two, true), true);
    await copies.close();
  });

  test("knows what it gave while redis was away or slow, tells it then, and nothing of what it has forgotten since", async () => {
    for (const isSlow of [false, true]) {
      await redis.command("FLUSHALL");
      const time = new ManualTime();
      let isAway = true;
      const copies = openRedisCopies(() => {}, {
        now: time.now,
        budgetMs: 500,
        async open(...asked) {
          const session = await openRedis(...asked);
          const away = () => (isSlow ? new Promise<never>(() => {}) : Promise.reject(new Error("away")));
          return { ...session, send: (command) => (isAway ? away() : session.send(command)) };
        },
      });
      await untilTrue(() => copies.health() === "ok");
      assert.equal(await isSole(copies, one), null);
      isAway = false;
      assert.equal(await isSole(copies, two), false);
      await redis.command("FLUSHALL");
      assert.equal(await isSole(copies, one), false, "what is known here");
      for (let number = 0; isSlow && number < 10_000; number += 1)
        void copies.give(number.toString(16).padStart(64, "0"), one, true);
      if (isSlow) assert.equal(await isSole(copies, two), null, "forgotten here, and never told");
      await copies.close();
    }
  });
});
