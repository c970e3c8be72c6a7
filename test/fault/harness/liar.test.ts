/** The harness itself is held to account: a broken build, made here on purpose, must make the invariants fail. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type GatewayProcess, startGatewayProcess } from "../../e2e/gateway-process.ts";
import { type RealClamd, startRealClamd } from "../../live/clamd.ts";
import { openAccount } from "./account.ts";
import { countingClient } from "./counting-client.ts";
import {
  assertAccounted,
  assertCleanMeansScanned,
  assertInvariants,
  assertNothingLeft,
  assertOwnVerdicts,
} from "./invariants.ts";
import { seededRandom } from "./random.ts";
import { type Relay, startRelay } from "./relay.ts";
import { residueOf } from "./residue.ts";
import { restClient } from "./rest-client.ts";
import { subjectSource } from "./subjects.ts";

describe("the invariants, over a gateway whose clamd is made to lie", () => {
  let clamd: RealClamd;
  let relay: Relay;
  let gateway: GatewayProcess;
  before(async () => {
    clamd = await startRealClamd({ listens: "tcp" });
    if (clamd.address.kind !== "tcp") throw new Error("clamd does not listen on TCP");
    relay = await startRelay({ to: clamd.address });
    const env = { CLAMD_PORT: `tcp://127.0.0.1:${relay.port}`, VERDICT_CACHE: "none" };
    gateway = await startGatewayProcess({ env });
    await gateway.ready();
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await relay[Symbol.asyncDispose]();
    await clamd[Symbol.asyncDispose]();
  });

  async function run() {
    using client = countingClient(gateway.url);
    const account = openAccount();
    const rest = restClient({ client, account });
    const subjects = subjectSource(seededRandom(1));
    for (let index = 0; index < 5; index += 1) {
      await rest.raw(subjects.infected(500));
      await rest.upload([subjects.clean(500), subjects.infected(500)]);
      await rest.upload([subjects.unscannable()]);
    }
    return account;
  }

  test("hold while the relay gives on what clamd says", async () => {
    const account = await run();
    assertInvariants(account, { withinMs: 30_000 });
    assert.deepEqual(account.totals().bodies, { clean: 5, infected: 10, unscannable: 5, error: 0 });
  });

  test("I1 fails when FOUND is turned into OK, though the engine still proves itself by its canary", async () => {
    // The canary is the only body of exactly 68 bytes: a liar that spares it passes every proof of health.
    const isCanary = (request: Buffer) => request.readUInt32BE(request.indexOf("zINSTREAM\0") + 10) === 68;
    const lie = (reply: Buffer, request: Buffer) =>
      / FOUND\0$/.test(reply.toString("latin1")) && !isCanary(request) ? Buffer.from("stream: OK\0") : reply;
    relay.setFault(() => ({ kind: "rewrite", reply: lie }));
    relay.resetAll();
    const account = await run();
    assert.throws(() => assertCleanMeansScanned(account), /I1/);
    assert.throws(() => assertInvariants(account, { withinMs: 30_000 }), /I1/);
    relay.setFault(() => ({ kind: "none" }));
  });

  test("I3 fails when OK is turned into FOUND", async () => {
    const lie = (reply: Buffer) => (reply.toString("latin1") === "stream: OK\0" ? Buffer.from("stream: A.Lie FOUND\0") : reply);
    relay.setFault(() => ({ kind: "rewrite", reply: lie }));
    relay.resetAll();
    const account = await run();
    assert.throws(() => assertOwnVerdicts(account), /I3/);
    relay.setFault(() => ({ kind: "none" }));
  });

  test("I2 fails when an answer lacks its last byte", async () => {
    const send = async (port: number) => {
      using client = countingClient(`http://127.0.0.1:${port}`);
      const account = openAccount();
      const { exchange } = await restClient({ client, account }).raw(subjectSource(seededRandom(2)).clean(100));
      return { account, exchange };
    };
    const whole = await send(gateway.port);
    assert.notEqual(whole.exchange.answer, null);
    await using front = await startRelay({
      to: { port: gateway.port, host: "127.0.0.1" },
      fault: () => ({ kind: "cut", way: "reply", afterBytes: whole.exchange.receivedBytes - 1, how: "end" }),
    });
    const cut = await send(front.port);
    assert.equal(cut.exchange.receivedBytes, whole.exchange.receivedBytes - 1);
    assert.equal(cut.exchange.answer, null);
    assert.throws(() => assertAccounted(cut.account, { withinMs: 30_000 }), /I2/);
  });

  test("I5 fails while an upload is under way, and holds when it is over", async () => {
    const before = await residueOf(gateway);
    using client = countingClient(gateway.url);
    const leave = new AbortController();
    const upload = client.send({ path: "/scanHandlerBody", body: endless(), signal: leave.signal });
    while ((await gateway.metric("clamgate_spool_bodies")) === 0) await new Promise(setImmediate);
    await assert.rejects(assertNothingLeft(gateway, { before, withinMs: 100 }), /I5: .*1 bodies held/);
    leave.abort();
    assert.equal((await upload).hasLeft, true);
    await assertNothingLeft(gateway, { before });
  });
});

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) {
    yield Buffer.alloc(1_000);
    // Slowly: in the seconds that the looks take it must not come to the limit of one body.
    await delay(1);
  }
}
