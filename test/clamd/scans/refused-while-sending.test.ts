/** A reply that lies in the socket is read although a write has failed. */

import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { dialClamd, ExchangeError, exchange } from "../../../src/clamd/connection.ts";
import { scratchDirectory } from "../../scratch-directory.ts";
import { type RefusingPeer, startRefusingPeer } from "../refusing-peer.ts";

const refusal = "INSTREAM size limit exceeded. ERROR\0";

/** Each takes about a millisecond. */
const times = 50;

describe("exchange with a clamd that closes while a body is being sent", () => {
  test("reads the answer that lies in the socket when a write fails, over a Unix socket and TCP", async () => {
    for (const listens of ["unix", "tcp"] as const) {
      await using stage = await open(listens, refusal);
      for (let time = 0; time < times; time += 1) {
        const { error } = await fail(stage.peer);
        assert.equal(Buffer.from(error.received).toString(), refusal, `${listens}, ${time}: ${error.message}`);
      }
    }
  });

  test("reads it after its process has stood still for longer than the answer is waited for", async () => {
    for (const listens of ["unix", "tcp"] as const) {
      await using stage = await open(listens, refusal);
      for (const timeoutMs of [200, 5_000]) {
        const { error } = await fail(stage.peer, { standsStillMs: 400, timeoutMs });
        assert.equal(Buffer.from(error.received).toString(), refusal, `${listens}, ${timeoutMs}: ${error.message}`);
      }
    }
  });

  test("takes no verdict from it: the body had not been sent whole", async () => {
    for (const listens of ["unix", "tcp"] as const) {
      await using stage = await open(listens, "stream: OK\0");
      assert.equal((await fail(stage.peer)).error.fault, "nonsense");
    }
  });

  test("is cut, with the fault of the write, where nothing lies there", async () => {
    for (const listens of ["unix", "tcp"] as const) {
      await using stage = await open(listens, "");
      const { error } = await fail(stage.peer);
      assert.equal(error.fault, "cut");
      assert.match(error.message, /^write (EPIPE|ECONNRESET)$/);
    }
  });
});

async function open(listens: "unix" | "tcp", reply: string): Promise<{ readonly peer: RefusingPeer } & AsyncDisposable> {
  const directory = await scratchDirectory();
  const peer = await startRefusingPeer(reply, listens === "unix" ? join(directory.path, "clamd.sock") : null);
  return {
    peer,
    async [Symbol.asyncDispose]() {
      await peer[Symbol.asyncDispose]();
      await directory[Symbol.asyncDispose]();
    },
  };
}

/** Sends a body whose second piece meets a connection that was answered and closed a moment before. */
async function fail(
  peer: RefusingPeer,
  { standsStillMs = 0, timeoutMs = 5_000 } = {},
): Promise<{ readonly error: ExchangeError }> {
  async function* request(): AsyncGenerator<Uint8Array[]> {
    yield [Buffer.from("zINSTREAM\0\0\0\x01\0")];
    // From here to the next write the event loop does not look at the socket.
    await stat(".");
    peer.refuseNow();
    try {
      yield [Buffer.alloc(256)];
    } finally {
      if (standsStillMs > 0) {
        setTimeout(standStill, 1, standsStillMs);
        standStill(5);
      }
    }
  }
  try {
    await exchange(request(), { dial: dialClamd, connectTimeoutMs: 5_000, timeoutMs, address: peer.address });
  } catch (error) {
    assert.ok(error instanceof ExchangeError, String(error));
    return { error };
  }
  throw new assert.AssertionError({ message: "it did not fail" });
}

function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
