import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { createNameLookup, type NameLookupOptions, type Resolve } from "../../src/egress/name-lookup.ts";
import { UpstreamError } from "../../src/egress/refusal.ts";
import { failsWith } from "../front/proxy/refusing.ts";

type Given = Partial<Omit<NameLookupOptions, "resolve" | "clock">>;

function lookupWith(resolve: Resolve, options: Given = {}) {
  const clock = { now: 0 };
  const asked: string[] = [];
  const lookup = createNameLookup({
    resolve: (name, client, signal) => {
      asked.push(name);
      return resolve(name, client, signal);
    },
    timeoutMs: 1000,
    ttlMs: 30_000,
    staleMs: 300_000,
    freshWaitMs: 10,
    maxEntries: 100,
    places: 512,
    maxWaiting: 512,
    ...options,
    clock: () => clock.now,
  });
  return {
    lookup: async (name: string, signal = new AbortController().signal, client = "192.0.2.1") => lookup(name, client, signal),
    clock,
    asked,
  };
}

const never = () => new Promise<never>(() => {});
/** No answer, until it is called off. */
const silent: Resolve = (_name, _client, signal) =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
const settled = () => new Promise((resolve) => setImmediate(resolve));

const failure = (code: string) => Object.assign(new Error(`getaddrinfo ${code} secret.internal`), { code });

describe("a name lookup (S22)", () => {
  test("asks once for 30 s, and no longer however long it was told to", async () => {
    const { lookup, clock, asked } = lookupWith(async () => ["1.1.1.1"], { ttlMs: 3_600_000 });
    assert.deepEqual(await lookup("h"), ["1.1.1.1"]);
    clock.now = 29_999;
    await lookup("h");
    assert.equal(asked.length, 1);
    clock.now = 30_000;
    await lookup("h");
    assert.equal(asked.length, 2);
  });

  test("asks once for many that come together, and each name for itself", async () => {
    const { lookup, asked } = lookupWith(async (name) => [name === "a" ? "1.1.1.1" : "2.2.2.2"]);
    const answers = await Promise.all([lookup("a"), lookup("a"), lookup("b")]);
    assert.deepEqual(answers, [["1.1.1.1"], ["1.1.1.1"], ["2.2.2.2"]]);
    assert.deepEqual(asked, ["a", "b"]);
  });

  for (const code of ["ENOTFOUND", "EAI_AGAIN", "ESERVFAIL"]) {
    test(`${code} is a failed upstream with one text, and is not remembered`, async () => {
      let isBroken = true;
      const { lookup } = lookupWith(async () => {
        if (isBroken) throw failure(code);
        return ["1.1.1.1"];
      });
      await assert.rejects(lookup("h"), failsWith("upstream-failed", "The origin could not be reached"));
      await assert.rejects(
        lookup("h"),
        (error) => error instanceof UpstreamError && error.isTransient === (code === "EAI_AGAIN"),
      );
      isBroken = false;
      assert.deepEqual(await lookup("h"), ["1.1.1.1"]);
    });
  }

  test("an empty answer, and one of 10,000 records, are failures", async () => {
    const many = Array.from({ length: 10_000 }, () => "1.1.1.1");
    await assert.rejects(lookupWith(async () => []).lookup("h"), failsWith("upstream-failed"));
    await assert.rejects(lookupWith(async () => many).lookup("h"), failsWith("upstream-failed"));
    assert.equal((await lookupWith(async () => many.slice(0, 256)).lookup("h")).length, 256);
  });

  test("a question without an answer ends in its time, as too slow (P24, S18), and is asked anew", async () => {
    const { lookup, clock, asked } = lookupWith(() => new Promise(() => {}), { timeoutMs: 20 });
    await assert.rejects(lookup("h"), failsWith("upstream-timeout", "Looking up the origin's name took too long"));
    clock.now = 20;
    await assert.rejects(lookup("h"), failsWith("upstream-timeout"));
    assert.equal(asked.length, 2);
  });

  test("the wait ends with the signal's reason", async () => {
    const { lookup } = lookupWith(() => new Promise(() => {}));
    const controller = new AbortController();
    const waiting = lookup("h", controller.signal);
    const reason = new Error("gone");
    controller.abort(reason);
    await assert.rejects(waiting, reason);
    await assert.rejects(lookup("h", controller.signal), reason);
  });

  test("a question that nobody waits for any more is called off, one that somebody does is not", async () => {
    const signals: AbortSignal[] = [];
    const { lookup } = lookupWith((_name, _client, signal) => {
      signals.push(signal);
      return never();
    });
    const [first, second] = [new AbortController(), new AbortController()];
    const both = [lookup("h", first.signal), lookup("h", second.signal)];
    const ended = Promise.allSettled(both);
    await settled();
    first.abort(new Error("gone"));
    await settled();
    assert.deepEqual([signals.length, signals[0]?.aborted], [1, false]);
    second.abort(new Error("gone"));
    await ended;
    assert.equal(signals[0]?.aborted, true);
    const third = new AbortController();
    const next = assert.rejects(lookup("h", third.signal));
    await settled();
    assert.deepEqual([signals.length, signals[1]?.aborted], [2, false]);
    third.abort(new Error("gone"));
    await next;
  });

  test("remembers no more names than it may", async () => {
    const { lookup, asked } = lookupWith(async () => ["1.1.1.1"], { maxEntries: 2 });
    for (const name of ["a", "b", "c", "a"]) await lookup(name);
    assert.deepEqual(asked, ["a", "b", "c", "a"]);
  });
});

describe("a name lookup whose answer has grown old", () => {
  /** Answers once; what comes then is for the test to say. */
  function agedLookup(next: Resolve, options: Given = {}) {
    let isFirst = true;
    const stage = lookupWith(async (name, client, signal) => {
      if (!isFirst) return next(name, client, signal);
      isFirst = false;
      return ["1.1.1.1"];
    }, options);
    return { ...stage, prime: () => stage.lookup("h") };
  }

  test("gives the new answer where that is quick", async () => {
    const { lookup, clock, prime } = agedLookup(async () => ["2.2.2.2"], { freshWaitMs: 1000 });
    await prime();
    clock.now = 30_000;
    assert.deepEqual(await lookup("h"), ["2.2.2.2"]);
  });

  test("gives the old one while the new one is slow, which the next one gets", async () => {
    const answer = Promise.withResolvers<readonly string[]>();
    const { lookup, clock, asked, prime } = agedLookup(() => answer.promise);
    await prime();
    clock.now = 30_000;
    assert.deepEqual(await lookup("h"), ["1.1.1.1"]);
    assert.deepEqual(await lookup("h"), ["1.1.1.1"]);
    assert.deepEqual(asked, ["h", "h"]);
    answer.resolve(["2.2.2.2"]);
    await settled();
    assert.deepEqual(await lookup("h"), ["2.2.2.2"]);
    assert.equal(asked.length, 2);
  });

  test("is waited for once: who comes right after gets the old one at once, and a second later nobody does", async () => {
    const { lookup, clock, prime } = agedLookup(silent, { freshWaitMs: 40 });
    await prime();
    clock.now = 30_000;
    const elapsed = async () => {
      const startedAt = performance.now();
      assert.deepEqual(await lookup("h"), ["1.1.1.1"]);
      return performance.now() - startedAt;
    };
    assert.ok((await elapsed()) > 30);
    assert.ok((await elapsed()) < 30);
    clock.now = 31_000;
    assert.ok((await elapsed()) > 30);
  });

  test("gives the old one where nobody can say, for as long as may be and no longer", async () => {
    const { lookup, clock, prime } = agedLookup(() => Promise.reject(failure("EAI_AGAIN")), { freshWaitMs: 1000 });
    await prime();
    clock.now = 329_999;
    assert.deepEqual(await lookup("h"), ["1.1.1.1"]);
    clock.now = 330_000;
    await assert.rejects(lookup("h"), failsWith("upstream-failed"));
  });

  for (const [what, next] of [
    ["the name is gone", () => Promise.reject(failure("ENOTFOUND"))],
    ["it has no address", async () => []],
    ["it has more addresses than may be", async () => Array.from({ length: 257 }, () => "1.1.1.1")],
  ] as const satisfies readonly (readonly [string, Resolve])[]) {
    test(`forgets the old one once ${what}`, async () => {
      const { lookup, clock, prime, asked } = agedLookup(next, { freshWaitMs: 1000 });
      await prime();
      clock.now = 30_000;
      await assert.rejects(lookup("h"), failsWith("upstream-failed", "The origin could not be reached"));
      clock.now = 29_999;
      await assert.rejects(lookup("h"), failsWith("upstream-failed"));
      assert.equal(asked.length, 3);
    });
  }

  test("gives the old one while nobody answers, however many questions end without an answer", async () => {
    const { lookup, clock, prime, asked } = agedLookup(silent, { timeoutMs: 30 });
    await prime();
    for (const now of [30_000, 150_000, 329_999]) {
      clock.now = now;
      assert.deepEqual(await lookup("h"), ["1.1.1.1"]);
      await delay(60);
    }
    assert.equal(asked.length, 4);
    clock.now = 330_000;
    await assert.rejects(lookup("h"), failsWith("upstream-timeout"));
  });

  test("gives the old one where the system itself fails, which says nothing of the name", async () => {
    const { lookup, clock, prime } = agedLookup(() => Promise.reject(failure("EMFILE")), { freshWaitMs: 1000 });
    await prime();
    clock.now = 30_000;
    for (let round = 0; round < 2; round += 1) assert.deepEqual(await lookup("h"), ["1.1.1.1"]);
  });

  test("gives the old one to whoever comes after a client that went", async () => {
    const { lookup, clock, prime, asked } = agedLookup(silent, { freshWaitMs: 50 });
    await prime();
    clock.now = 30_000;
    const leaving = new AbortController();
    const gone = assert.rejects(lookup("h", leaving.signal), /gone/);
    await delay(10);
    leaving.abort(new Error("gone"));
    await gone;
    await settled();
    assert.deepEqual(await lookup("h"), ["1.1.1.1"]);
    assert.equal(asked.length, 3);
  });

  test("waits no longer than its client", async () => {
    const { lookup, clock, prime } = agedLookup(never, { freshWaitMs: 60_000 });
    await prime();
    clock.now = 30_000;
    const controller = new AbortController();
    const waiting = lookup("h", controller.signal);
    const reason = new Error("gone");
    controller.abort(reason);
    await assert.rejects(waiting, reason);
  });
});

describe("a name lookup among many (fair turns)", () => {
  /** One client may ask for a ninth at once. */
  const few = { places: 18, maxWaiting: 3, timeoutMs: 60_000 };

  function silentBut(answers: Readonly<Record<string, string>>, options: Given = few) {
    const ending = new AbortController();
    const stage = lookupWith((name, client, signal) => {
      const address = answers[name];
      return address === undefined ? silent(name, client, signal) : Promise.resolve([address]);
    }, options);
    return {
      ...stage,
      ask: (name: string, client: string) => {
        const asked = stage.lookup(name, ending.signal, client);
        asked.catch(() => {}); // heard by the test, if it listens
        return asked;
      },
      [Symbol.dispose]: () => ending.abort(new Error("the test is over")),
    };
  }

  test("asks for no more of one client's names at once than its share, and refuses what cannot even wait", async () => {
    using stage = silentBut({});
    for (const name of ["a", "b", "c", "d", "e"]) void stage.ask(name, "one");
    await settled();
    assert.deepEqual(stage.asked, ["a", "b"]);
    await assert.rejects(
      stage
        .ask("g", "one")
        .then(() => stage.ask("g", "one"))
        .catch(async () => stage.ask("h", "one")),
      failsWith("queue-full"),
    );
  });

  test("asks for a name in the turn of a client that has one, though another's long line has it too", async () => {
    using stage = silentBut({ popular: "1.1.1.1" });
    for (const name of ["a", "b", "c", "popular"]) void stage.ask(name, "one");
    await settled();
    assert.deepEqual(await stage.ask("popular", "two"), ["1.1.1.1"]);
  });

  test("answers those in a line with what others have found meanwhile", async () => {
    const first = new AbortController();
    using stage = silentBut({ popular: "1.1.1.1" });
    const gone = assert.rejects(stage.lookup("a", first.signal, "one"), /gone/);
    void stage.ask("b", "one");
    const waiting = stage.ask("popular", "one");
    await stage.ask("popular", "two");
    first.abort(new Error("gone"));
    await gone;
    assert.deepEqual(await waiting, ["1.1.1.1"]);
    assert.deepEqual(stage.asked, ["a", "b", "popular"]);
  });

  test("gives a place back once the question has come to its end, not when nobody waits for it any more", async () => {
    const ends: (() => void)[] = [];
    const { lookup, asked } = lookupWith(
      () => new Promise((_, reject) => ends.push(() => reject(new Error("it has come to its end")))),
      few,
    );
    const leaving = new AbortController();
    const gone = Promise.allSettled([lookup("a", leaving.signal), lookup("b", leaving.signal)]);
    const staying = new AbortController();
    const third = assert.rejects(lookup("c", staying.signal), /gone/);
    leaving.abort(new Error("gone"));
    await gone;
    await settled();
    assert.deepEqual(asked, ["a", "b"]);
    for (const end of ends) end();
    await settled();
    assert.deepEqual(asked, ["a", "b", "c"]);
    staying.abort(new Error("gone"));
    await third;
  });

  test("a wait for a turn ends in time too, and with its client", async () => {
    using stage = silentBut({}, { ...few, timeoutMs: 30 });
    for (const name of ["a", "b"]) void stage.ask(name, "one");
    const controller = new AbortController();
    const gone = stage.lookup("c", controller.signal, "one");
    controller.abort(new Error("gone"));
    await assert.rejects(gone, /gone/);
    await settled();
    assert.deepEqual(stage.asked, ["a", "b"]);
    // The first two end at the same time, so it may get its turn, but no answer.
    await assert.rejects(stage.ask("d", "one"), failsWith("upstream-timeout"));
  });
});
