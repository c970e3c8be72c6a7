/** The engine that has bodies looked into, under the scan function: who is asked, what is answered and remembered. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { type Inspect, LimitReached, type Look, type LookLimits, lookInside, type Piece } from "../../src/core/look-inside.ts";
import { unpackingTurns } from "../../src/core/queues/turns.ts";
import type { Spool, SpooledBody } from "../../src/core/spool.ts";
import type { Unscannable, Verdict } from "../../src/core/verdict.ts";
import { fakeEngine } from "../fake/engine.ts";
import { clean, encrypted, infected, openScan, requestOptions } from "./scan-stage.ts";

const unknownMethod = { kind: "unscannable", reason: "unsupported", heuristic: "Heuristics.Clamgate.Zip.Method" } as const;
const limited: Verdict = { kind: "unscannable", reason: "limit-size", heuristic: "Heuristics.Limits.Exceeded.MaxScanSize" };

const limits: LookLimits = { maxMs: 1000, maxFiles: 10, maxRecursion: 3, maxBytes: 1000, maxPieceBytes: 500 };

async function openStage(inspect: Inspect, verdict: Verdict | ((body: SpooledBody) => Verdict), given: Partial<LookLimits> = {}) {
  const engine = fakeEngine();
  const spool: Spool = {
    take: (...taken) => stage.spool.take(...taken),
    usage: () => stage.spool.usage(),
    close: () => stage.spool.close(),
  };
  const options = { inspect, spool, limits: { ...limits, ...given }, clock: () => stage.time.now };
  const stage = await openScan({ engine: lookInside(engine, options) });
  engine.answerAll(typeof verdict === "function" ? verdict : () => verdict);
  return { ...stage, engine };
}

describe("lookInside", () => {
  for (const [name, found] of [
    ["at once", null],
    ["in the end", Promise.resolve(null)],
  ] as const) {
    test(`says what the engine says where nothing is found, ${name}, and has it remembered`, async () => {
      for (const verdict of [clean, encrypted]) {
        await using stage = await openStage(() => found, verdict);
        assert.deepEqual((await stage.post("a")).report.verdict, verdict);
        assert.equal(stage.cache.entries.size, verdict === clean ? 1 : 0);
      }
    });
  }

  test("says what is found of a body that the engine calls clean, and has it looked into again each time", async () => {
    let looks = 0;
    await using stage = await openStage(async () => {
      looks += 1;
      return unknownMethod;
    }, clean);
    for (let times = 1; times <= 2; times += 1) {
      assert.deepEqual((await stage.post("a")).report.verdict, unknownMethod);
      assert.equal(looks, times);
    }
    assert.equal(stage.cache.entries.size, 0);
  });

  test("does not look into what is infected", async () => {
    await using stage = await openStage(() => assert.fail("looked"), infected);
    assert.deepEqual((await stage.post("a")).report.verdict, infected);
  });

  test("keeps the engine's name for a reason that both give, or of two limits, and calls two other reasons unsupported", async () => {
    const both = { ...unknownMethod, reason: "encrypted", heuristic: "Heuristics.Clamgate.Encrypted.Zip" } as const;
    const files: Unscannable = { kind: "unscannable", reason: "limit-files", heuristic: null };
    const unsupported: Unscannable = { kind: "unscannable", reason: "unsupported", heuristic: null };
    for (const [verdict, found, expected] of [
      [encrypted, both, encrypted],
      [encrypted, unknownMethod, unknownMethod],
      [limited, both, unsupported],
      [limited, files, limited],
    ] as const) {
      await using stage = await openStage(async () => found, verdict);
      assert.deepEqual((await stage.post("a")).report.verdict, expected);
    }
  });

  test("fails the scan where the body cannot be read", async () => {
    const fault = new Error("no");
    await using stage = await openStage(() => Promise.reject(fault), clean);
    await assert.rejects(stage.post("a"), (thrown) => thrown === fault);
    assert.equal(stage.cache.entries.size, 0);
  });

  test("stops where every client has gone", async () => {
    const given = Promise.withResolvers<AbortSignal>();
    await using stage = await openStage(async (_body, { signal }) => {
      given.resolve(signal);
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      signal.throwIfAborted();
      return null;
    }, clean);
    const leaving = new AbortController();
    const posting = stage.post("a", requestOptions({ signal: leaving.signal }));
    await given.promise;
    leaving.abort(new Error("gone"));
    await assert.rejects(posting, { message: "gone" });
    assert.equal((await given.promise).aborted, true);
  });

  describe("pieces", () => {
    const textOf = async (body: SpooledBody) => (await Array.fromAsync(body.read())).map((bytes) => Buffer.from(bytes)).join("");
    const piece = (text: string, isScanned = false): Piece => ({
      isScanned,
      async *read() {
        for (const letter of text) yield Buffer.from(letter);
      },
    });
    /** A body `a(b)(c)` holds `b` and `c`; brackets in brackets are pieces of pieces, and `!` is found. */
    const inBrackets: Inspect = async (body, { handOver }) => {
      const text = await textOf(body);
      let [depth, start] = [0, 0];
      for (const [index, letter] of [...text].entries()) {
        if (letter === "(" && depth++ === 0) start = index + 1;
        if (letter === ")" && --depth === 0) await handOver(piece(text.slice(start, index), text[start] === "="));
      }
      return text.startsWith("!") ? unknownMethod : null;
    };
    const byText = (body: SpooledBody): Verdict => (Buffer.from(body.bytes ?? []).toString() === "evil" ? infected : clean);

    for (const [text, expected, scans] of [
      ["a(b)(c)", clean, ["a(b)(c)", "b", "c"]],
      ["a(evil)(c)", infected, ["a(evil)(c)", "evil"]],
      ["a(b(evil))(c)", infected, ["a(b(evil))(c)", "b(evil)", "evil"]],
      ["a(!)(evil)", infected, ["a(!)(evil)", "!", "evil"]],
      ["a(!)(c)", unknownMethod, ["a(!)(c)", "!", "c"]],
      ["a(=b(evil))", infected, ["a(=b(evil))", "evil"]],
      ["a()", clean, ["a()"]],
    ] as const) {
      test(`are scanned, but for those that were, and looked into: ${text}`, async () => {
        await using stage = await openStage(inBrackets, byText);
        assert.deepEqual((await stage.post(text)).report.verdict, expected);
        assert.equal(stage.engine.scans.length, scans.length);
        assert.equal(stage.cache.entries.size, expected.kind === "unscannable" ? 0 : 1, "verdicts that are remembered");
      });
    }

    test("are unpacked few at a time, however many bodies hold one, and the wait is nobody's fault", async () => {
      let unpacking = 0;
      let most = 0;
      const inspect: Inspect = async (_body, { isPiece, handOver }) => {
        if (isPiece) return null;
        await handOver({
          isScanned: false,
          async *read() {
            unpacking += 1;
            most = Math.max(most, unpacking);
            await setImmediate();
            stage.time.now += limits.maxMs / unpackingTurns.maxAtOnce;
            yield Buffer.from("b");
            unpacking -= 1;
          },
        });
        return null;
      };
      await using stage = await openStage(inspect, clean);
      const reports = Array.from({ length: 3 * unpackingTurns.maxAtOnce }, (_, index) => stage.post(`body ${index}`));
      for (const { report } of await Promise.all(reports)) assert.deepEqual(report.verdict, clean);
      assert.equal(most, unpackingTurns.maxAtOnce);
    });

    for (const [what, given, text, reason] of [
      ["files", { maxFiles: 2 }, "(a)(b)", null],
      ["files", { maxFiles: 2 }, "(a)(b)(c)", "limit-files"],
      ["files", { maxFiles: 2 }, "(a(b(c)))", "limit-files"],
      ["levels", { maxRecursion: 2 }, "(a(b))", null],
      ["levels", { maxRecursion: 2 }, "(a(b(c)))", "limit-recursion"],
      ["bytes", { maxBytes: 4 }, "(ab)(cd)", null],
      ["bytes", { maxBytes: 4 }, "(ab)(cde)", "limit-size"],
      ["bytes of one piece", { maxPieceBytes: 2 }, "(ab)(cd)", null],
      ["bytes of one piece", { maxPieceBytes: 2 }, "(ab)(cde)", "limit-size"],
    ] as const) {
      test(`are limited in ${what}, for the whole body: ${text}`, async () => {
        const inspect: Inspect = async (body, look) => {
          try {
            return await inBrackets(body, look);
          } catch (error) {
            if (error instanceof LimitReached) return error.finding;
            throw error;
          }
        };
        for (const one of [inspect, inBrackets]) {
          await using stage = await openStage(one, clean, given);
          const { verdict } = (await stage.post(text)).report;
          assert.equal(verdict.kind === "unscannable" ? verdict.reason : null, reason);
        }
      });
    }

    test("are limited in time, that of their scans and of the body's included, but not the time in a queue", async () => {
      // The stage's engine takes 20 ms for each scan, and 10 ms in its queue.
      for (const [maxMs, reason] of [
        [60, null],
        [59, "limit-time"],
      ] as const) {
        await using stage = await openStage(inBrackets, clean, { maxMs });
        const scan = stage.engine.scan.bind(stage.engine);
        Object.assign(stage.engine, {
          async scan(...asked: Parameters<typeof scan>) {
            const answer = await scan(...asked);
            stage.time.now += answer.queueMs + (stage.engine.scans.length > 1 ? answer.scanMs : 0);
            return answer;
          },
        });
        const { verdict } = (await stage.post("(a)(b)(c)")).report;
        assert.equal(verdict.kind === "unscannable" ? verdict.reason : null, reason, `of ${maxMs} ms`);
      }
    });

    test("fail the scan where they cannot be read or scanned, and leave nothing behind", async () => {
      const fault = new Error("no");
      const broken: Piece = {
        isScanned: false,
        async *read() {
          yield Buffer.from("a");
          throw fault;
        },
      };
      const handOver = async (_body: SpooledBody, look: Look) => {
        await look.handOver(broken);
        return null;
      };
      await using stage = await openStage(handOver, clean);
      await assert.rejects(stage.post("a"), (thrown) => thrown === fault);
      await using other = await openStage(inBrackets, (body) => {
        if (body.size === 1) throw fault;
        return clean;
      });
      await assert.rejects(other.post("a(b)"), (thrown) => thrown === fault);
    });

    test("make no verdict to be remembered where signatures changed between them", async () => {
      await using stage = await openStage(inBrackets, (body) => {
        if (body.size === 1) stage.engine.setVersion({ tag: "another" });
        return clean;
      });
      assert.equal((await stage.post("a(b)")).report.verdict.kind, "clean");
      assert.equal(stage.cache.entries.size, 0);
    });
  });
});
