import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { cacheable, keyId, parseVerdict } from "../../../src/cache/cacheable.ts";
import { memoryFront } from "../../../src/cache/memory-front.ts";
import { SqliteStore, type SqliteStoreOptions } from "../../../src/cache/sqlite/store.ts";
import type { Timers } from "../../../src/cache/timers.ts";
import type { GatewayEvent } from "../../../src/core/events.ts";
import { coverage, type Verdict } from "../../../src/core/verdict.ts";
import type { CacheHealth, VerdictKey } from "../../../src/core/verdict-cache.ts";
import { type AskedCache, describeVerdictCache } from "../../contract/verdict-cache.ts";
import { ManualTime } from "../manual-time.ts";

const clean: Verdict = { kind: "clean" };
const infected: Verdict = { kind: "infected", signatures: ["One", "Two"] };

interface AskedStore extends AskedCache {
  health(): CacheHealth;
}

function keyOf(index: number, tag = "t"): VerdictKey {
  return { sha256: index.toString(16).padStart(64, "0"), tag };
}

describeVerdictCache("SqliteStore", () => openHarness((options) => askedStore(options)));
describeVerdictCache("SqliteStore that writes at once", () =>
  openHarness((options) => askedStore({ ...options, timers: soonest })),
);
describeVerdictCache("memoryFront of SqliteStore", () =>
  openHarness((options) => {
    const store = new SqliteStore(parseVerdict, options);
    const cache = memoryFront(parseVerdict, { ...options, store, maxEntries: 100 });
    return { ...cache, get: async (key) => cache.peek(key) };
  }),
);

/** A store alone, asked as a cache is. */
function askedStore(options: SqliteStoreOptions): AskedStore {
  const store = new SqliteStore(parseVerdict, options);
  return {
    get: async (key) => (keyId(key) === null ? null : (store.get(key)?.value ?? null)),
    set({ sha256, tag }, verdict, ttlSeconds) {
      const entry = cacheable({ sha256, tag }, verdict, ttlSeconds, parseVerdict);
      if (entry !== null) store.set({ sha256, tag }, entry);
    },
    health: () => store.health(),
    close: async () => store.close(),
  };
}

/** Flushes right after each set, so that what is read was written. */
const soonest: Timers = {
  after(_delayMs, callback) {
    let isCancelled = false;
    queueMicrotask(() => {
      if (!isCancelled) callback();
    });
    return () => {
      isCancelled = true;
    };
  },
};

async function openHarness(open: (options: SqliteStoreOptions) => AskedCache) {
  const directory = await mkdtemp(join(tmpdir(), "clamgate-"));
  const time = new ManualTime();
  const faults: string[] = [];
  const emit = (event: GatewayEvent): void => {
    faults.push(JSON.stringify(event));
  };
  const { clock, now } = time;
  const cache = open({ path: join(directory, "verdicts"), maxEntries: 10_000, emit, clock, now, timers: time });
  return {
    cache,
    advance: (ms: number) => time.advance(ms),
    faults,
    async [Symbol.asyncDispose]() {
      await cache.close();
      await rm(directory, { recursive: true });
    },
  };
}

describe("SqliteStore", () => {
  let directory: string;
  let path: string;
  let time: ManualTime;
  let events: GatewayEvent[];
  let opened: AskedStore[];

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "clamgate-"));
    path = join(directory, "verdicts");
    time = new ManualTime();
    events = [];
    opened = [];
  });

  afterEach(async () => {
    for (const cache of opened) await cache.close();
    assert.equal(time.waiting, 0);
    await rm(directory, { recursive: true });
  });

  function open(options: Partial<SqliteStoreOptions> = {}): AskedStore {
    const emit = (event: GatewayEvent): void => {
      events.push(event);
    };
    const cache = askedStore({ path, maxEntries: 100_000, emit, clock: time.clock, now: time.now, timers: time, ...options });
    opened.push(cache);
    return cache;
  }

  function faults(): (readonly [string, string])[] {
    return events.flatMap((event) => (event.kind === "cache-failed" ? [[event.operation, event.detail] as const] : []));
  }

  /** What another process would see. */
  function inFile<T>(look: (database: DatabaseSync) => T): T {
    const database = new DatabaseSync(path);
    try {
      return look(database);
    } finally {
      database.close();
    }
  }

  function rows(where = "true"): number {
    return inFile((database) => Number(database.prepare(`SELECT count(*) AS count FROM verdicts WHERE ${where}`).get()?.count));
  }

  async function fill(cache: AskedStore, from: number, to: number, tag = "t", ttlSeconds = 3600): Promise<void> {
    for (let index = from; index < to; index += 1) await cache.set(keyOf(index, tag), clean, ttlSeconds);
  }

  async function hits(cache: AskedStore, from: number, to: number, tag = "t"): Promise<number> {
    let count = 0;
    for (let index = from; index < to; index += 1) if ((await cache.get(keyOf(index, tag))) !== null) count += 1;
    return count;
  }

  test("remembers over a restart, and for as long as it would have without one", async () => {
    const first = open();
    await first.set(keyOf(1), infected, 60);
    await first.set(keyOf(2), clean, 3600);
    await first.close();
    time.advance(59_999);
    const second = open();
    assert.deepEqual(await second.get(keyOf(1)), infected);
    assert.deepEqual(await second.get(keyOf(2)), clean);
    time.advance(1);
    assert.equal(await second.get(keyOf(1)), null);
    assert.deepEqual(faults(), []);
  });

  test("opens the file of a process that was killed while it wrote, with all that it had written", async () => {
    const script = fileURLToPath(new URL("sqlite-child.ts", import.meta.url));
    const child = spawn(process.execPath, [script, path], { stdio: ["ignore", "pipe", "inherit"] });
    const ended = once(child, "exit");
    let last = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      last = Number(line);
      if (last === 5000) child.kill("SIGKILL");
    }
    assert.deepEqual(await ended, [null, "SIGKILL"]);
    assert.equal(last >= 5000, true, `a line of the child: ${last}`);

    const cache = open({ now: Date.now });
    const written = rows();
    assert.equal(written > 1000, true, `${written} rows`);
    for (let index = 0; index < written; index += 1) {
      assert.deepEqual(await cache.get(keyOf(index, "child")), { kind: "infected", signatures: [`Number.${index}`] });
    }
    assert.equal(await cache.get(keyOf(written, "child")), null, "written in the order in which they were set");
    assert.deepEqual(faults(), []);
    assert.deepEqual(
      inFile((database) => database.prepare("PRAGMA integrity_check").get()?.integrity_check),
      "ok",
    );
  });

  test("writes behind its callers: nothing at the set, everything within 50 ms, and is read before it is written", async () => {
    const cache = open();
    await fill(cache, 0, 40);
    assert.equal(rows(), 0);
    assert.equal(await hits(cache, 0, 40), 40);
    assert.equal(time.waiting, 1);
    assert.equal((time.nextMs ?? 999) <= 50, true);
    time.advance(50);
    assert.deepEqual([rows(), time.waiting], [40, 0]);
    assert.equal(await hits(cache, 0, 40), 40);
  });

  test("writes a flood in several pieces, and at close all that is left", async () => {
    const cache = open();
    await fill(cache, 0, 3000);
    time.advance(25);
    const first = rows();
    assert.equal(first > 0 && first < 3000, true, `${first} rows at first`);
    await cache.close();
    assert.equal(rows(), 3000);
    assert.equal(time.waiting, 0);
  });

  test("gathers for a second what comes in numbers, finds it meanwhile, and writes 2,000 at once", async () => {
    const cache = open();
    await fill(cache, 0, 100);
    time.advance(25);
    await fill(cache, 100, 200);
    time.advance(975);
    assert.deepEqual([rows(), await hits(cache, 0, 200)], [100, 200]);
    time.advance(25);
    assert.equal(rows(), 200);
    await fill(cache, 200, 2199);
    time.advance(25);
    assert.equal(rows(), 200);
    await fill(cache, 2199, 2200);
    time.advance(25);
    assert.equal(rows() > 200, true);
    assert.equal(await hits(cache, 0, 2200), 2200);
  });

  test("keeps its file to its user, in directories that it makes", async () => {
    path = join(directory, "one", "two", "verdicts");
    const cache = open();
    await fill(cache, 0, 1);
    time.advance(50);
    for (const name of readdirSync(join(directory, "one", "two"))) {
      assert.equal(statSync(join(directory, "one", "two", name)).mode & 0o777, 0o600, name);
    }
    assert.equal(statSync(join(directory, "one")).mode & 0o777, 0o700);
  });

  test("misses an entry from the future after the wall clock was set back, in memory and in the file", async () => {
    const cache = open();
    await cache.set(keyOf(1), clean, 60);
    time.setWall(-1);
    assert.equal(await cache.get(keyOf(1)), null);
    await cache.close();
    const again = open();
    assert.equal(await again.get(keyOf(1)), null);
    await again.set(keyOf(1), infected, 60);
    assert.deepEqual(await again.get(keyOf(1)), infected);
    time.setWall(60_000);
    assert.equal(await again.get(keyOf(1)), null);
    assert.deepEqual(faults(), []);
  });

  test("does not fall back to an older row when the newer entry is over before it was written", async () => {
    const cache = open();
    await cache.set(keyOf(1), clean, 3600);
    time.advance(50);
    const other = new DatabaseSync(path);
    other.exec("BEGIN IMMEDIATE");
    await cache.set(keyOf(1), infected, 1);
    time.advance(1000);
    assert.equal(await cache.get(keyOf(1)), null);
    other.close();
  });

  test("leaves a file alone for a while that fails three reads in a row", async () => {
    const cache = open();
    await fill(cache, 0, 1);
    inFile((database) => database.exec("DROP TABLE verdicts"));
    assert.equal(await hits(cache, 1, 20), 0);
    assert.deepEqual(
      faults().map(([operation]) => operation),
      ["get", "get", "get"],
    );
    assert.equal(await hits(cache, 0, 1), 1, "what is in memory is still found");
    time.advance(5000);
    events = [];
    assert.equal(await hits(cache, 1, 20), 0);
    assert.deepEqual(
      faults().map(([operation]) => operation),
      ["get"],
    );
  });

  test("misses a row that holds no lasting verdict, and emits it", async () => {
    const first = open();
    await first.set(keyOf(1), clean, 3600);
    await first.close();
    const stored = (value: unknown, index = 1, format = 2) =>
      JSON.stringify({ format, logic: coverage, key: keyOf(index).sha256 + keyOf(index).tag, value });
    const wrong = [
      "",
      "clean",
      stored(clean, 2),
      stored(clean, 1, 3),
      stored({ kind: "unscannable", reason: "poison", heuristic: null }),
      '{"kind":"clean"}',
      '{"kind":"clean"',
      '{"kind":"infected"}',
      '{"kind":"unscannable","reason":"poison","heuristic":null}',
    ];
    for (const verdict of wrong) {
      inFile((database) => database.prepare("UPDATE verdicts SET verdict = ?").run(verdict));
      const cache = open();
      events = [];
      assert.equal(await cache.get(keyOf(1)), null);
      assert.deepEqual(faults(), [["get", "a row holds nothing that belongs there"]]);
      await cache.close();
    }
    inFile((database) => database.exec(`UPDATE verdicts SET verdict = '${stored(clean)}', expires_at = 9223372036854775807`));
    const cache = open();
    events = [];
    assert.equal(await cache.get(keyOf(1)), null);
    assert.deepEqual([events.length, faults()[0]?.[0]], [1, "get"]);
    await cache.set(keyOf(1), infected, 60);
    await cache.close();
    assert.deepEqual(await open().get(keyOf(1)), infected);
  });

  test("puts a file that it cannot read aside, keeps it as it was, and starts anew", async () => {
    const first = open();
    await fill(first, 0, 3000);
    await first.close();
    const whole = readFileSync(path);
    const broken: readonly (readonly [string, () => void])[] = [
      ["text", () => writeFileSync(path, "not a database at all ".repeat(500))],
      ["a short text", () => writeFileSync(path, "x")],
      ["a text shorter than a header", () => writeFileSync(path, "y".repeat(99))],
      ["a text as long as a header", () => writeFileSync(path, "z".repeat(100))],
      ["a text shorter than a page", () => writeFileSync(path, "z".repeat(511))],
      ["cut", () => truncateSync(path, whole.length >> 1)],
      [
        "overwritten",
        () => writeFileSync(path, Buffer.concat([whole.subarray(0, 4096), Buffer.alloc(whole.length - 4096, 0x5a)])),
      ],
      ["a newer version", () => inFile((database) => database.exec("PRAGMA user_version = 3"))],
      ["without its table", () => inFile((database) => database.exec("DROP TABLE verdicts"))],
      ["another program's, not one of ours", () => inFile((database) => database.exec("PRAGMA application_id = 7"))],
    ];
    for (const [index, [name, damage]] of broken.entries()) {
      writeFileSync(path, whole);
      damage();
      const damaged = readFileSync(path);
      events = [];
      const cache = open();
      const aside = index === 0 ? `${path}.broken` : `${path}.broken.${index}`;
      assert.deepEqual(
        faults().map(([operation, detail]) => [operation, detail.endsWith(`renamed to ${aside}`)]),
        [["open", true]],
        `${name}: ${JSON.stringify(events)}`,
      );
      assert.deepEqual(readFileSync(aside), damaged, name);
      assert.equal(await cache.get(keyOf(1)), null);
      await cache.set(keyOf(1), infected, 60);
      await cache.close();
      assert.equal(rows(), 1, name);
    }
  });

  test("starts with an empty file as with none", async () => {
    writeFileSync(path, "");
    const cache = open();
    await cache.set(keyOf(1), clean, 60);
    await cache.close();
    assert.deepEqual([rows(), faults()], [1, []]);
  });

  test("always misses, and says so once, where there can be no file", async () => {
    writeFileSync(join(directory, "file"), "");
    mkdirSync(join(directory, "directory"));
    execFileSync("mkfifo", [join(directory, "fifo")]);
    writeFileSync(join(directory, "full"), "broken");
    for (let index = 0; index < 10; index += 1)
      writeFileSync(join(directory, index === 0 ? "full.broken" : `full.broken.${index}`), "");
    for (const place of ["file/verdicts", "directory", "fifo", "full", "\0"]) {
      events = [];
      const cache = open({ path: join(directory, place) });
      assert.equal(cache.health(), "degraded");
      for (let index = 0; index < 3; index += 1) {
        await cache.set(keyOf(index), clean, 60);
        assert.equal(await cache.get(keyOf(index)), null);
      }
      await cache.close();
      assert.deepEqual([events.length, faults()[0]?.[0]], [1, "open"], place);
    }
    assert.equal(readFileSync(join(directory, "full"), "utf8"), "broken");
  });

  test("replaces a file that is damaged while it is open", async () => {
    const first = open();
    for (let index = 0; index < 30_000; index += 5000) {
      await fill(first, index, index + 5000);
      for (let flush = 0; flush < 20; flush += 1) time.advance(50);
    }
    await first.close();
    const cache = open();
    const { size } = statSync(path);
    writeFileSync(path, Buffer.alloc(size - 4096, 0xa5), { flag: "r+" });
    assert.equal((await hits(cache, 0, 30_000)) < 30_000, true);
    assert.deepEqual(
      faults().map(([operation]) => operation),
      ["get", "open"],
    );
    assert.equal(existsSync(`${path}.broken`), true);
    await cache.set(keyOf(7), infected, 60);
    await cache.close();
    assert.deepEqual(await open().get(keyOf(7)), infected);
  });

  const damages: Readonly<Record<string, () => void>> = {
    "cut to nothing": () => {
      for (const name of readdirSync(directory)) truncateSync(join(directory, name), 0);
    },
    "cut in a page": () => truncateSync(path, 5000),
    "filled with garbage, journals and all": () => {
      for (const name of readdirSync(directory)) {
        const whole = join(directory, name);
        writeFileSync(whole, Buffer.alloc(statSync(whole).size + 70_000, 0xa5), { flag: "r+" });
      }
    },
    deleted: () => {
      for (const name of readdirSync(directory)) rmSync(join(directory, name));
    },
    "replaced by a text": () => {
      writeFileSync(`${path}.new`, "not a database at all ".repeat(500));
      renameSync(`${path}.new`, path);
    },
    "replaced by a directory": () => {
      rmSync(path);
      mkdirSync(path);
    },
    "made read-only": () => chmodSync(path, 0o400),
  };
  for (const [name, damage] of Object.entries(damages)) {
    test(`never ends the process, and tells no verdict that was not set, where its file is ${name} while it is open`, async () => {
      const cache = open();
      await fill(cache, 0, 400);
      for (let flush = 0; flush < 3; flush += 1) time.advance(50);
      damage();
      for (let round = 0; round < 3; round += 1) {
        for (let index = 0; index < 400; index += 1) {
          const found = await cache.get(keyOf(index));
          assert.equal(found === null || found.kind === "clean", true);
        }
        for (let index = 1000; index < 1050; index += 1) await cache.set(keyOf(index + round * 50), infected, 3600);
        for (let step = 0; step < 200; step += 1) time.advance(50);
      }
      for (let index = 1000; index < 1150; index += 1) {
        const found = await cache.get(keyOf(index));
        assert.equal(found === null || found.kind === "infected", true);
      }
      for (const [operation] of faults()) assert.equal(["get", "set", "open", "close"].includes(operation), true);
      // Root writes where it may not.
      assert.equal(name === "made read-only" || faults().length > 0, true, "a fault is emitted");
      await cache.close();
      if (name !== "deleted" && name !== "replaced by a text") return;
      assert.deepEqual(await open().get(keyOf(1149)), infected, "it goes on in a file of its own");
    });
  }

  test("keeps what a locked file does not take, tries again less and less often, and writes it when it can", async () => {
    const cache = open();
    const other = new DatabaseSync(path);
    other.exec("BEGIN IMMEDIATE");
    await fill(cache, 0, 10);
    const delays: (number | null)[] = [];
    for (let attempt = 0; attempt < 4; attempt += 1) {
      delays.push(time.nextMs);
      time.advance(time.nextMs ?? 0);
    }
    assert.deepEqual(delays, [25, 50, 100, 200]);
    assert.deepEqual(
      faults().map(([operation]) => operation),
      ["set", "set", "set", "set"],
    );
    assert.equal(cache.health(), "degraded");
    assert.equal(await hits(cache, 0, 10), 10);
    other.exec("ROLLBACK");
    other.close();
    time.advance(time.nextMs ?? 0);
    assert.deepEqual([rows(), time.waiting, cache.health()], [10, 0, "ok"]);
    await fill(cache, 10, 11);
    assert.equal(time.nextMs, 25);
  });

  test("loses the oldest, not its memory, while a file takes nothing", async () => {
    const cache = open();
    const other = new DatabaseSync(path);
    other.exec("BEGIN IMMEDIATE");
    await fill(cache, 0, 10_007);
    assert.equal(await hits(cache, 0, 7), 0);
    assert.equal(await hits(cache, 7, 10_007), 10_000);
    other.close();
    await cache.close();
    assert.equal(rows(), 10_000);
  });

  test("gives up at close what a locked file does not take", async () => {
    const cache = open();
    const other = new DatabaseSync(path);
    other.exec("BEGIN IMMEDIATE");
    await fill(cache, 0, 2000);
    await cache.close();
    other.close();
    assert.deepEqual([rows(), faults().length, time.waiting], [0, 1, 0]);
  });

  test("stays within its number of entries, and drops those that would expire first", async () => {
    const cache = open({ maxEntries: 100 });
    for (let index = 0; index < 1000; index += 50) {
      await fill(cache, index, index + 50);
      time.advance(1000);
      assert.equal(rows() <= 100, true);
    }
    assert.equal(await hits(cache, 900, 1000), 100);
    assert.equal(await hits(cache, 0, 900), 0);
    await fill(cache, 950, 1000);
    time.advance(1000);
    assert.equal(rows(), 100, "setting again what is there is no new entry");
    await cache.close();

    const smaller = open({ maxEntries: 10 });
    await fill(smaller, 2000, 2001);
    time.advance(50);
    assert.equal(rows(), 10);
  });

  test("removes rows whose time is over as it writes others", async () => {
    const cache = open();
    await fill(cache, 0, 300, "t", 60);
    time.advance(50);
    time.advance(60_000);
    await fill(cache, 300, 301);
    time.advance(50);
    assert.equal(rows(), 1);
  });

  test("shares its file with another gateway's", async () => {
    const one = open();
    const two = open();
    await fill(one, 0, 10);
    await fill(two, 10, 20);
    time.advance(50);
    assert.deepEqual([await hits(one, 0, 20), await hits(two, 0, 20), faults()], [20, 20, []]);
  });
});
