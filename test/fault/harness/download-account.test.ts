import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { marker } from "../../live/clamd.ts";
import type { Exchange } from "./counting-client.ts";
import { assertDownloadInvariants, openDownloadAccount } from "./download-account.ts";
import { type Subject, subject } from "./subjects.ts";

const filling = "nothing of note. ".repeat(100);
const clean = subject("clean", Buffer.from(filling), "clean");
const infected = subject("infected", Buffer.from(`${filling}${marker}${filling}`), "infected");
const hidden = subject("hidden", Buffer.from(`hidden ${filling}`), "unscannable");
const none = { answer: null, fault: null, hasLeft: false, cutBody: null, sentBytes: 0, receivedBytes: 0, elapsedMs: 1 };

function whole(status: number, body: Buffer): Exchange {
  return { ...none, answer: { status, headers: {}, body } };
}

function cutAfter({ bytes }: Subject, length: number): Exchange {
  return { ...none, fault: "the answer was cut", cutBody: bytes.subarray(0, length) };
}

async function accountOf(mayRelease: number, ...requests: readonly (readonly [Subject | null, Exchange, Subject?])[]) {
  const account = openDownloadAccount({ mayRelease });
  for (const [file, exchange, before] of requests) await account.request(file, async () => exchange, before);
  return account;
}

describe("an account of downloads", () => {
  test("of right answers holds", async () => {
    const account = await accountOf(
      64,
      [clean, whole(200, clean.bytes)],
      [infected, whole(409, Buffer.from("refused"))],
      [infected, cutAfter(infected, 64)],
      [infected, cutAfter(clean, 900), clean],
      [hidden, whole(409, Buffer.alloc(0))],
      [null, whole(502, Buffer.from("broken"))],
      [infected, { ...none, fault: "read ECONNRESET" }],
      [clean, { ...none, fault: "the client left", hasLeft: true }],
    );
    assertDownloadInvariants(account, { withinMs: 1_000 });
  });

  const turned = subject("turned", Buffer.from(`${marker}${filling}`.slice(0, filling.length)), "infected");
  const lies: Readonly<Record<string, readonly [Subject | null, Exchange, Subject?]>> = {
    "an infected file that was delivered": [infected, whole(200, infected.bytes)],
    "one that was delivered as a part": [infected, whole(206, infected.bytes.subarray(0, 10))],
    "one that was cut a byte late": [infected, cutAfter(infected, 65)],
    "one whose virus went before it was cut": [infected, cutAfter(infected, infected.bytes.length - 1)],
    "one that began where a clean file was before, with bytes of its own": [turned, cutAfter(turned, 65), clean],
    "one that was delivered where a clean file was before": [turned, whole(200, turned.bytes), clean],
    "a file that nobody can see into": [hidden, whole(200, hidden.bytes)],
    "a virus from an origin that breaks off": [null, cutAfter(infected, infected.bytes.length)],
    "something whole from an origin that breaks off": [null, whole(200, clean.bytes)],
    "more of it than the mode allows": [null, cutAfter(clean, 65)],
    "a refusal that holds the virus": [infected, whole(409, Buffer.from(`refused: ${marker}`))],
    "a refusal that is the beginning of the file": [infected, whole(502, infected.bytes.subarray(0, 65))],
    "an answer without content in place of the file": [clean, whole(204, Buffer.alloc(0))],
    "a whole answer that is a byte short": [clean, whole(200, clean.bytes.subarray(1))],
  };
  for (const [what, request] of Object.entries(lies)) {
    test(`does not take ${what}`, async () => {
      const account = await accountOf(64, request);
      assert.throws(() => assertDownloadInvariants(account, { withinMs: 1_000 }), /I1/);
    });
  }

  test("does not take other bytes than the file's, whole or cut", async () => {
    const other = Buffer.from(clean.bytes);
    other.write("?", 50);
    for (const exchange of [whole(200, other), { ...none, cutBody: other.subarray(0, 60) }]) {
      const account = await accountOf(0, [clean, exchange]);
      assert.throws(() => assertDownloadInvariants(account, { withinMs: 1_000 }), /I3/);
    }
  });

  test("does not take a clean file that was cut, unless that may be", async () => {
    for (const exchange of [cutAfter(clean, 700), { ...none, fault: "read ECONNRESET" }]) {
      const account = await accountOf(64, [clean, exchange]);
      assert.throws(() => assertDownloadInvariants(account, { withinMs: 1_000 }), /I2/);
      const lenient = openDownloadAccount({ mayRelease: 64, mayCut: true });
      await lenient.request(clean, async () => exchange);
      assertDownloadInvariants(lenient, { withinMs: 1_000 });
    }
  });

  test("does not take a request without an answer, or with a late one", async () => {
    const lost = await accountOf(0, [clean, { ...none, fault: "connect ECONNREFUSED" }]);
    assert.throws(() => assertDownloadInvariants(lost, { withinMs: 1_000 }), /I2/);
    const late = await accountOf(0, [clean, { ...whole(200, clean.bytes), elapsedMs: 1_001 }]);
    assert.throws(() => assertDownloadInvariants(late, { withinMs: 1_000 }), /I2/);
  });
});
