import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Account, openAccount } from "./account.ts";
import type { Exchange } from "./counting-client.ts";
import {
  assertAccounted,
  assertCleanMeansScanned,
  assertFailsClosed,
  assertHonestMemory,
  assertInvariants,
  assertOwnVerdicts,
} from "./invariants.ts";
import { type Subject, subject } from "./subjects.ts";

const clean = subject("clean", Buffer.from("a"), "clean");
const infected = subject("infected", Buffer.from("b"), "infected");
const hidden = subject("hidden", Buffer.from("c"), "unscannable");
const bounds = { withinMs: 1_000 };

function answered(status: number, body: string, headers: Record<string, string> = {}, elapsedMs = 1): Exchange {
  const answer = { status, headers, body: Buffer.from(body) };
  return { answer, fault: null, hasLeft: false, cutBody: null, sentBytes: 0, receivedBytes: 0, elapsedMs };
}

const ok = '{"Status":"OK","Description":""}';
const found = '{"Status":"FOUND","Description":"X"}';
const broken = { ...answered(0, ""), answer: null, fault: "cut" };

/** One body and an answer that names it. */
function told(subject: Subject, status: number, body: string, headers: Record<string, string> = {}) {
  return [[subject], answered(status, body, { "x-clamgate-sha256": subject.sha256, ...headers })] as const;
}

async function accountOf(...requests: readonly (readonly [readonly Subject[], Exchange])[]) {
  return await book(openAccount(), requests);
}

async function book(account: Account, requests: readonly (readonly [readonly Subject[], Exchange])[]) {
  for (const [subjects, exchange] of requests) await account.request(subjects, async () => exchange);
  return account;
}

describe("an account", () => {
  test("of right answers holds", async () => {
    const account = await accountOf(
      told(clean, 200, "{OK   200}"),
      told(infected, 406, "{FOUND Win.Test.EICAR_HDB-1  406}"),
      [[clean, infected], answered(406, `[${ok},${found}]`)],
      [[infected], answered(503, '{"Status":"ERROR","Description":"x"}')],
      told(hidden, 406, "{FOUND Heuristics.Encrypted.Zip  406}"),
      [[infected], { ...broken, hasLeft: true }],
    );
    assertInvariants(account, bounds);
    const { opened, verdicts, errors, left, bodies, infectedBodies } = account.totals();
    assert.deepEqual(
      { opened, verdicts, errors, left, infectedBodies },
      { opened: 6, verdicts: 4, errors: 1, left: 1, infectedBodies: 4 },
    );
    assert.deepEqual(bodies, { clean: 2, infected: 2, unscannable: 1, error: 1 });
  });

  const lies: Readonly<Record<string, readonly [readonly Subject[], Exchange]>> = {
    "an infected body said to be clean": [[infected], answered(200, "{OK   200}")],
    "an infected body said to be clean behind another one, whatever the status": [
      [clean, infected],
      answered(406, `[${found},${ok}]`),
    ],
    "an infected body found, but under 200": [[infected], answered(200, `[${found}]`)],
    "200 and nothing said of an infected body": [[infected], answered(200, "[]")],
    "200 and no body": [[infected], answered(200, "")],
    "200 and nonsense": [[infected], answered(200, "<html>")],
    "a hidden body said to be clean": [[hidden], answered(200, "{OK   200}")],
    "a hidden body found, but under 200": [
      [hidden],
      answered(200, '[{"Status":"FOUND","Description":"Heuristics.Encrypted.Zip"}]'),
    ],
    "a hidden body and nonsense under 202": [[hidden], answered(202, "<html>")],
    "an infected body found, but under 202": [[infected], answered(202, `[${found}]`)],
  };
  for (const [what, request] of Object.entries(lies)) {
    test(`does not take ${what}`, async () => {
      const account = await accountOf(request);
      assert.throws(() => assertCleanMeansScanned(account), /I1/);
      assert.throws(() => assertInvariants(account, bounds), /I1/);
    });
  }

  test("does not take a request without an answer, or with a late one", async () => {
    const lost = await accountOf([[clean], broken]);
    assert.throws(() => assertAccounted(lost, bounds), /I2/);
    const late = await accountOf([[clean], answered(200, "{OK   200}", {}, 1_001)]);
    assert.throws(() => assertAccounted(late, bounds), /I2/);
    const open = openAccount();
    void open.request([clean], () => new Promise(() => {}));
    assert.throws(() => assertAccounted(open, bounds), /I2/);
  });

  test("does not take more results than bodies, nor fewer without an error", async () => {
    for (const [subjects, results] of [
      [[clean], [ok, ok]],
      [[infected, clean], [found]],
      [[infected], []],
    ] as const) {
      const account = await accountOf([subjects, answered(406, `[${results.join()}]`)]);
      assert.throws(() => assertAccounted(account, bounds), /I2/);
    }
    assertAccounted(await accountOf([[infected, clean], answered(406, `[${found},{"Status":"ERROR"}]`)]), bounds);
  });

  const strangers: Readonly<Record<string, readonly [readonly Subject[], Exchange]>> = {
    "the digest of another body": told(clean, 200, "{OK   200}", { "x-clamgate-sha256": infected.sha256 }),
    "a verdict without a digest": [[clean], answered(200, "{OK   200}")],
    "the file name of another body": told(clean, 200, '[{"Status":"OK","FileName":"infected"}]'),
    "what was found in another body": told({ ...infected, isNotNamed: "X" }, 406, `[${found}]`),
    "a false alarm": told(clean, 406, "{FOUND X  406}"),
    "a clean body that nobody could see into": told(clean, 406, "{FOUND Heuristics.Clamgate.Poison  406}"),
  };
  for (const [what, request] of Object.entries(strangers)) {
    test(`does not take ${what}`, async () => {
      const account = await accountOf(request);
      assert.throws(() => assertOwnVerdicts(account), /I3/);
      assertCleanMeansScanned(account);
    });
  }

  test("takes a clean body that nobody could see into where that may be", async () => {
    const doubted = told(clean, 406, "{FOUND Heuristics.Clamgate.Poison  406}");
    assertInvariants(await book(openAccount({ mayDoubt: true }), [doubted]), bounds);
  });

  test("does not take a verdict remembered of a body that never had one", async () => {
    const hit = answered(200, "{OK   200}", { "x-clamgate-cache": "hit" });
    const error = answered(503, '{"Status":"ERROR"}');
    const fromNowhere = await accountOf([[clean], error], [[clean], hit]);
    assert.throws(() => assertHonestMemory(fromNowhere), /I4/);
    assertHonestMemory(await accountOf(told(clean, 200, "{OK   200}"), [[clean], hit]));
  });

  test("takes what passes by a setting only where there is one and the answer names it", async () => {
    const marked = told(hidden, 200, "{OK   200}", { "x-clamgate-allowed": "encrypted" });
    const unmarked = told(hidden, 200, "{OK   200}");
    assertInvariants(await book(openAccount({ isRelaxed: true }), [marked]), bounds);
    for (const account of [await book(openAccount({ isRelaxed: true }), [unmarked]), await accountOf(marked)]) {
      assert.throws(() => assertFailsClosed(account), /I6/);
    }
  });
});
