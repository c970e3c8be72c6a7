import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { type HashThread, hashThread } from "../../src/spool/hash-thread.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

function opened(entry?: URL): HashThread & AsyncDisposable {
  const thread = hashThread(entry);
  return Object.assign(thread, { [Symbol.asyncDispose]: () => thread.close() });
}

/** A thread that runs this text. */
function threadOf(text: string): URL {
  return new URL(`data:text/javascript,${encodeURIComponent(text)}`);
}

const broken = { code: "internal" };

describe("hashThread", () => {
  test("hashes bodies whose pieces come in turns, in shared memory and in any other", async () => {
    await using thread = opened();
    const bodies = Array.from({ length: 8 }, (_, index) => randomBytes(index * 50_000));
    const hashes = bodies.map(() => thread.begin());
    const shared = thread.allocate(50_000);
    for (let at = 0; at < 400_000; at += 50_000) {
      for (const [index, body] of bodies.entries()) {
        const piece = body.subarray(at, at + 50_000);
        shared.set(piece);
        await hashes[index]?.update(index % 2 === 0 ? piece : shared.subarray(0, piece.length));
      }
    }
    assert.deepEqual(await Promise.all(hashes.map((hash) => hash.digest())), bodies.map(sha256));
  });

  test("gives memory back only when it has been read", async () => {
    await using thread = opened();
    const memory = thread.allocate(10_000_000);
    const hash = thread.begin();
    for (const byte of [1, 2, 3]) await hash.update(memory.fill(byte));
    const whole = Buffer.concat([1, 2, 3].map((byte) => Buffer.alloc(10_000_000, byte)));
    assert.equal(await hash.digest(), sha256(whole));
  });

  test("forgets what is abandoned, and hashes on", async () => {
    await using thread = opened();
    const first = thread.begin();
    await first.update(Buffer.from("something"));
    first.abandon();
    const second = thread.begin();
    await second.update(Buffer.from("else"));
    assert.equal(await second.digest(), sha256(Buffer.from("else")));
    second.abandon();
  });

  for (const [how, text] of [
    [
      "throws",
      'import { parentPort } from "node:worker_threads"; parentPort.on("message", () => { throw new Error("broken"); });',
    ],
    ["ends", 'import { parentPort } from "node:worker_threads"; parentPort.on("message", () => process.exit(3));'],
    ["cannot be loaded", "this is no program"],
  ] as const) {
    test(`fails whatever it was asked where the thread ${how}, and starts another for the next`, async () => {
      await using thread = opened(threadOf(text));
      for (let round = 0; round < 2; round += 1) {
        const [hash, other] = [thread.begin(), thread.begin()];
        const asked = [hash.update(Buffer.from("x")), other.update(Buffer.from("y"))];
        for (const update of asked) await assert.rejects(update, broken);
        await assert.rejects(hash.digest(), broken);
        other.abandon();
      }
    });
  }

  test("fails what is under way when it is closed", async () => {
    const thread = hashThread();
    const hash = thread.begin();
    const update = hash.update(thread.allocate(100_000_000));
    update.catch(() => {});
    await thread.close();
    await assert.rejects(update, broken);
    await thread.close();
  });
});
