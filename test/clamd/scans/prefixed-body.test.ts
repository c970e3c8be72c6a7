import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { prefixedBody } from "../../../src/clamd/read-again.ts";
import { openSpool } from "../../../src/spool/spool.ts";
import { scratchDirectory } from "../../scratch-directory.ts";
import { collect } from "../../spool/scripted-body.ts";

const prefix = Buffer.from("before ");
const text = "what was sent";

describe("prefixedBody", () => {
  for (const [where, memoryBytesPerBody] of [
    ["memory", 100],
    ["a file", 0],
  ] as const) {
    test(`gives any range of the prefix and a body in ${where}, in pieces of no more than was asked for`, async () => {
      await using stage = await spooled(memoryBytesPerBody);
      const view = prefixedBody(prefix, stage.body);
      const whole = `${prefix}${text}`;
      assert.equal(view.size, whole.length);
      assert.equal(view.sha256, stage.body.sha256);
      assert.deepEqual([view.path, view.bytes?.toString() ?? null], [null, memoryBytesPerBody === 0 ? null : whole]);
      assert.equal((await collect(view.read())).toString(), whole);
      for (let start = 0; start <= whole.length; start += 1) {
        for (let end = start; end <= whole.length; end += 1) {
          assert.equal((await collect(view.read({ start, end }))).toString(), whole.slice(start, end), `${start} to ${end}`);
        }
      }
      for await (const piece of view.read({ start: prefix.length, pieceBytes: 3 })) assert.equal(piece.length <= 3, true);
    });
  }

  test("holds the body, and gives no bytes that another reader needs", async () => {
    await using stage = await spooled(0);
    const held = prefixedBody(prefix, stage.body).hold();
    await stage.body[Symbol.asyncDispose]();
    for await (const piece of held.read()) piece.fill(0);
    assert.equal((await collect(held.read())).toString(), `${prefix}${text}`);
    assert.equal(stage.bodies(), 1);
    await held[Symbol.asyncDispose]();
    assert.equal(stage.bodies(), 0);
  });
});

async function spooled(memoryBytesPerBody: number) {
  const directory = await scratchDirectory();
  const limits = { memoryBytesTotal: 1000, maxFileBytesTotal: 1000 };
  const spool = await openSpool({ directory: directory.path, memoryBytesPerBody, ...limits });
  async function* source(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(text);
  }
  return {
    body: await spool.take(source(), { maxBytes: 1000, signal: new AbortController().signal }),
    bodies: () => spool.usage().bodies,
    async [Symbol.asyncDispose]() {
      await spool.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}
