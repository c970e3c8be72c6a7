/** A clamd that lies, stalls, closes, resets, answers twice, in pieces or with garbage: never clean, and the next one is served. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { type Act, answer, clean, type FakeClamdOptions, raw, reset, startFakeClamd } from "../fake/clamd.ts";
import { openPool, type PoolStage } from "./stage.ts";

const mebibyte = 1024 * 1024;
const garbage = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

/** What clamd does with the body, and the code of the error that must come of it, in sessions and on one connection per scan. */
const lies: Lies = {
  "closes without a word": [answer(), "engine-killed"],
  "resets without a word": [reset(), "engine-killed"],
  "resets within the answer": [reset("stream: O"), "engine-killed"],
  "answers OK without the end of a reply": [answer("stream: OK"), "engine-error"],
  "answers OK with a line feed": [answer("stream: OK\n"), "engine-error"],
  "answers a part of OK": [answer("stream: O\0"), "engine-error"],
  "answers OK twice": [answer("stream: OK\0stream: OK\0"), "engine-error"],
  "answers OK twice, in pieces": [answer("stream: OK\0", "stream: OK\0"), "engine-error"],
  "answers OK, then FOUND": [answer("stream: OK\0", "stream: X FOUND\0"), "engine-error"],
  "answers FOUND, then OK": [answer("stream: X FOUND\0", "stream: OK\0"), "engine-error"],
  "answers for another subject": [answer("/etc/hostname: OK\0"), "engine-error"],
  "answers by a number too many": [answer("1: stream: OK\0"), "engine-error"],
  "answers another command": [answer("PONG\0"), "engine-error"],
  "answers an error": [answer("stream: Can't allocate memory ERROR\0"), "engine-error"],
  "answers that it has no room": [answer("Error writing to temporary file ERROR\0"), "engine-error"],
  "answers COMMAND UNAVAILABLE": [raw("COMMAND UNAVAILABLE\0"), "engine-error"],
  "answers as a web server": [raw("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"), "engine-error"],
  "answers as TLS": [raw(garbage), "engine-error"],
  "answers without end": [answer(...Array.from({ length: 300 }, () => "stream: OK ".repeat(100))), "engine-error"],
};

const liesAlone: Lies = {
  "resets after a whole OK": [reset("stream: OK\0"), "engine-killed"],
  "resets after a whole FOUND": [reset("stream: X FOUND\0"), "engine-killed"],
  "resets after a limit's name": [reset("stream: Heuristics.Limits.Exceeded.MaxFiles FOUND\0"), "engine-killed"],
  "answers that it waited too long": [answer("COMMAND READ TIMED OUT\n"), "engine-error"],
};

const liesInSession: Lies = {
  "answers without a number": [raw("stream: OK\0"), "engine-error"],
  "answers by the number before": [(number) => raw(`${number - 1}: stream: OK\0`), "engine-error"],
  "answers by the next number": [(number) => raw(`${number + 1}: stream: OK\0`), "engine-error"],
  "answers by the number in another form": [(number) => raw(`0${number}: stream: OK\0`), "engine-error"],
  "answers by the number and no blank": [(number) => raw(`${number}:stream: OK\0`), "engine-error"],
  "answers for itself and for the next": [(number) => raw(`${number}: stream: OK\0${number + 1}: stream: OK\0`), "engine-error"],
  "answers for another first": [(number) => raw(`${number - 1}: stream: OK\0${number}: stream: OK\0`), "engine-error"],
  "answers OK, then garbage": [(number) => raw(`${number}: stream: OK\0x`), "engine-error"],
  "resets within the number": [(number) => ({ kind: "reset", pieces: [Buffer.from(`${number}`)] }), "engine-killed"],
};

type Lies = Readonly<Record<string, readonly [Act | ((number: number) => Act), "engine-error" | "engine-killed"]>>;

describe("a pool over a clamd that lies", () => {
  for (const [mode, table] of [
    ["unknown", { ...lies, ...liesAlone }],
    ["kept", { ...lies, ...liesInSession }],
  ] as const) {
    for (const [what, [lie, code]] of Object.entries(table)) {
      // What ends with no whole answer might be the engine's death: that is told only where the body was alone with it, twice.
      const tries = code === "engine-killed" ? 4 : 2;
      const where = mode === "kept" ? "in a session" : "on a connection of its own";
      test(`${what} ${where}: ${code}, after ${tries} tries, and the next body is served`, async () => {
        for (const size of [100, 200_000]) {
          let scans = 0;
          await using lied = await open({
            sessions: mode,
            scan: (_body, number) => {
              scans += 1;
              if (scans > tries) return clean;
              // After a loss it may be asked before it has shown again that it keeps sessions.
              if (scans === 1) assert.equal(number === null, mode === "unknown");
              return typeof lie === "function" ? lie(number ?? 0) : lie;
            },
          });
          await assert.rejects(lied.scan(randomBytes(size)), { name: "ClamgateError", code });
          assert.equal(scans, tries);
          assert.deepEqual((await lied.scan(randomBytes(size))).verdict, { kind: "clean" });
        }
      });
    }
  }

  test("takes an answer that comes byte by byte", async () => {
    await using stage = await open({ scan: () => answer(..."stream: OK\0") });
    assert.deepEqual((await stage.scan("a body")).verdict, { kind: "clean" });
  });

  test("believes nothing that is answered before the end of the body, but that it is too large", async () => {
    const early = {
      "stream: OK\0": "engine-error",
      "stream: X FOUND\0": "engine-error",
      "stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\0": "engine-error",
      "stream: Can't write to file ERROR\0": "engine-error",
    };
    for (const kind of ["answer", "linger", "reset"] as const) {
      for (const [text, code] of Object.entries(early)) {
        await using stage = await open({ refuseEarly: { afterBytes: 100_000, act: { kind, pieces: [text] } } });
        await assert.rejects(stage.scan(Buffer.alloc(4 * mebibyte)), (error: { code?: string }) => {
          // A reset may overtake the answer, which is then lost.
          return error.code === code || error.code === "engine-killed";
        });
      }
    }
  });

  test("believes no OK for a command whose body was never asked for", async () => {
    await using stage = await open({ refuseEarly: { afterBytes: -1, act: clean } });
    await assert.rejects(stage.scan(Buffer.alloc(4 * mebibyte)), { name: "ClamgateError" });
  });

  test("calls a body too large that is refused with a reset while 20 MiB are on the way, or fails, and never hangs", async () => {
    const refusal = "INSTREAM size limit exceeded. ERROR\0";
    let refused = 0;
    for (let round = 0; round < 10; round += 1) {
      const act: Act = round % 2 === 0 ? answer(refusal) : reset(refusal);
      await using stage = await open({ refuseEarly: { afterBytes: mebibyte, act } });
      const outcome = await stage.scan(Buffer.alloc(20 * mebibyte)).then(
        ({ verdict }) => (verdict.kind === "unscannable" ? verdict.reason : verdict.kind),
        ({ code }) => code,
      );
      assert.match(outcome, /^(too-large|backend-lost)$/);
      if (outcome === "too-large") refused += 1;
      assert.equal((await stage.scan("a small one")).verdict.kind, "clean");
    }
    // The answer arrives before the reset does; only one that is caught between two looks at the network is lost.
    assert.equal(refused >= 5, true, `${refused} of 10`);
  });

  test("believes no SCAN that answers for another path, or in two lines", async () => {
    const answers = [
      (path: string) => `${path}x: OK\0`,
      () => "stream: OK\0",
      (path: string) => `${path}: Empty file\0${path}: OK\0`,
      (path: string) => `${path}: Not supported file type ERROR\0${path}: OK\0`,
      (path: string) => `${path}: Excluded\0`,
      (path: string) => `${path}: File path check failure: No such file or directory. ERROR\0`,
      () => "",
    ];
    for (const text of answers) {
      await using stage = await open({ scanPath: (path) => answer(text(path)) }, { sharesSpool: true });
      await assert.rejects(stage.scan(randomBytes(100_000)), { name: "ClamgateError" });
    }
    await using stage = await open({}, { sharesSpool: true });
    assert.equal((await stage.scan(randomBytes(100_000))).verdict.kind, "clean");
  });
});

/** Disposing it disposes the fake, too. */
async function open(options: FakeClamdOptions, backend: { sharesSpool?: boolean } = {}): Promise<PoolStage> {
  await using stack = new AsyncDisposableStack();
  const fake = stack.use(await startFakeClamd(options));
  const stage = stack.use(await openPool({ addresses: [fake.address], backend }));
  const all = stack.move();
  return { ...stage, [Symbol.asyncDispose]: () => all.disposeAsync() };
}
