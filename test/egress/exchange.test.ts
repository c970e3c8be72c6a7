import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Dispatcher } from "undici";
import { exchange } from "../../src/egress/exchange.ts";

/** Sends one byte a chunk for as long as it is let. */
class OneByteOrigin extends Dispatcher implements Dispatcher.DispatchController {
  readonly rawHeaders: string[] = [];
  readonly aborted = false;
  readonly reason = null;
  paused = false;
  sent = 0;
  #handler: Dispatcher.DispatchHandler | null = null;

  override dispatch(_options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    this.#handler = handler;
    handler.onRequestStart?.(this, null);
    handler.onResponseStart?.(this, 200, {}, "OK");
    return true;
  }

  send(most: number): void {
    for (const end = this.sent + most; this.sent < end && !this.paused; this.sent += 1)
      this.#handler?.onResponseData?.(this, Buffer.alloc(1));
  }

  abort(): void {}

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }
}

describe("exchange", () => {
  test("keeps few chunks, however small they are, and goes on when they have been read", async () => {
    const origin = new OneByteOrigin();
    const times = {
      headTimeoutMs: 10_000,
      idleTimeoutMs: 10_000,
      minBytesPerSecond: 0,
      clock: () => 0,
      endsAt: Number.POSITIVE_INFINITY,
    };
    const request = { method: "GET", path: "/", headers: [] } as const;
    const answer = await exchange(
      origin,
      request,
      { ...times, maxBytes: 1_000_000, signal: new AbortController().signal },
      () => {},
    );
    origin.send(300_000);
    assert.ok(origin.sent <= 512, `${origin.sent} chunks`);
    for (let read = 0; read < 10_000; read += 1) {
      origin.send(1_000);
      assert.equal((await answer.body.next()).value?.length, 1);
    }
    assert.ok(origin.sent > 10_000 && origin.sent <= 10_512, `${origin.sent} chunks`);
    answer.cut();
  });
});
