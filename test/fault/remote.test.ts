/** F20: remote clamd servers that fail in every way they can. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startDeafListener } from "../clamd/deaf-listener.ts";
import { found, startFakeClamd } from "../fake/clamd.ts";
import { startRealClamd } from "../live/clamd.ts";
import { freePort } from "../live/free-port.ts";
import { eventually } from "../process/stage.ts";
import { askAbout } from "./harness/ask-about.ts";
import { givenClamd } from "./harness/given-clamd.ts";
import { type RelayFault, startRelay } from "./harness/relay.ts";
import { traffic } from "./harness/rest-traffic.ts";
import { openFaultStage } from "./harness/stage.ts";

describe("a remote clamd", () => {
  test("that resets, is silent, late, cut or speaks something else is passed by: the other one serves (F20)", async (context) => {
    await using first = await startRealClamd({ listens: "tcp" });
    await using second = await startRealClamd({ listens: "tcp" });
    if (first.address.kind !== "tcp" || second.address.kind !== "tcp") throw new Error("not on TCP");
    await using relay = await startRelay({ to: first.address });
    const env = { ...givenClamd({ ports: [relay.port, second.address.port], slots: 2 }), SCAN_TIMEOUT: "20s" };
    await using stage = await openFaultStage({ env });
    const up = () => stage.gateway.backendsUp();
    const banner = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    const faults: readonly (readonly [string, RelayFault])[] = [
      ["refused", { kind: "refuse" }],
      ["cut in the request", { kind: "cut", way: "request", afterBytes: 30, how: "reset" }],
      ["cut in the answer", { kind: "cut", way: "reply", afterBytes: 4, how: "end" }],
      ["another protocol", { kind: "rewrite", reply: () => Buffer.from(banner) }],
      ["TLS", { kind: "rewrite", reply: () => Buffer.from([0x15, 3, 1, 0, 2, 2, 0x46]) }],
      ["COMMAND UNAVAILABLE", { kind: "rewrite", reply: () => Buffer.from("COMMAND UNAVAILABLE\0") }],
      ["200 ms late", { kind: "late", ms: 200 }],
    ];
    for (const [name, fault] of faults) {
      relay.setFault(() => fault);
      // What is kept has not met it yet.
      relay.resetAll();
      const piecesBefore = relay.pieces();
      await traffic(stage, 1);
      // More than its proofs, where it is one that serves.
      const serves = async () => {
        await traffic(stage, 1);
        return relay.pieces() > piecesBefore + 10;
      };
      if (fault.kind === "late") await eventually(`${name}: it serves`, serves);
      if (fault.kind !== "late") await eventually(`${name}: it is down`, async () => (await up()) === 1);
      relay.setFault(() => ({ kind: "none" }));
      await eventually(`${name}: it is up again`, async () => (await up()) === 2);
    }
    const { errors, verdicts } = stage.account.totals();
    context.diagnostic(`${verdicts} verdicts, ${errors} errors`);
    assert.equal(errors, 0);
  });

  test("that falls silent is down after one proof; what it held is answered at its time (F20)", async (context) => {
    await using first = await startRealClamd({ listens: "tcp" });
    await using second = await startRealClamd({ listens: "tcp" });
    if (first.address.kind !== "tcp" || second.address.kind !== "tcp") throw new Error("not on TCP");
    await using relay = await startRelay({ to: first.address });
    const env = { ...givenClamd({ ports: [relay.port, second.address.port], slots: 2 }), SCAN_TIMEOUT: "1s" };
    // A body that took too long is refused as such when it comes again.
    await using stage = await openFaultStage({ env, mayDoubt: true });
    relay.setFault(() => ({ kind: "silence" }));
    const silentAt = performance.now();
    await eventually("it is down", async () => {
      await traffic(stage, 0.5);
      return (await stage.gateway.backendsUp()) === 1;
    });
    const noticedMs = performance.now() - silentAt;
    await traffic(stage, 1);
    const { statuses, slowestMs } = stage.account.totals();
    context.diagnostic(`down after ${Math.round(noticedMs)} ms, the slowest answer after ${Math.round(slowestMs)} ms`);
    // A proof begins within 2 s and is given up after 3 s.
    assert.ok(noticedMs < 8_000, `down after ${noticedMs} ms`);
    // SCAN_TIMEOUT, and a proof that tells whose fault it is: 3 s at most.
    assert.ok(slowestMs < 5_000, `the slowest answer took ${slowestMs} ms`);
    assert.deepEqual(
      Object.keys(statuses).filter((status) => !["200", "406", "503"].includes(status)),
      [],
    );
    const timedOut = statuses["503"] ?? 0;
    assert.ok(timedOut >= 1 && timedOut <= 8, JSON.stringify(statuses));
    relay.setFault(() => ({ kind: "none" }));
    relay.resetAll();
    await eventually("it is up again", async () => (await stage.gateway.backendsUp()) === 2);
  });

  test("with older signatures is not asked while one with newer ones is up, and is when it is gone (F20)", async () => {
    const version = (number: number) => `ClamAV 1.4.6/${number}/Thu Nov 20 10:13:12 2025`;
    await using old = await startFakeClamd({ version: () => version(27000) });
    await using current = await startFakeClamd({ version: () => version(27001), scan: () => found("Known.Since.27001") });
    await using stage = await openFaultStage({ env: givenClamd({ ports: [old.address.port, current.address.port], slots: 1 }) });
    const { gateway } = stage;
    await eventually("both are up", async () => (await gateway.metric('clamgate_backends{state="up"}')) === 2);
    for (let body = 0; body < 20; body += 1) assert.equal((await askAbout(gateway.url, `body ${body}`)).status, 406);
    assert.equal(old.bodies.length, 0);
    assert.match(await (await fetch(`${gateway.url}/version`)).text(), /27001/);
    assert.equal(await gateway.metric("clamgate_backends_behind"), 1);
    const ready = await fetch(`${gateway.url}/readyz`);
    assert.equal(ready.status, 200);
    assert.match(await ready.text(), /"status":"degraded".*1 behind the others/);
    await current.kill();
    await eventually("the older one serves", async () => (await askAbout(gateway.url, "another body")).status === 200);
    assert.ok(old.bodies.length > 0, "the older one was asked");
  });

  test("that is a black hole, and one where nobody listens, cost no request anything (F20)", async (context) => {
    await using deaf = await startDeafListener();
    await using clamd = await startRealClamd({ listens: "tcp" });
    if (clamd.address.kind !== "tcp" || deaf.address.kind !== "tcp") throw new Error("not on TCP");
    await using stage = await openFaultStage({
      env: givenClamd({ ports: [deaf.address.port, await freePort(), clamd.address.port], slots: 2 }),
    });
    await traffic(stage, 3);
    assert.equal(await stage.gateway.backendsUp(), 1);
    const { errors, verdicts, slowestMs } = stage.account.totals();
    context.diagnostic(`${verdicts} verdicts, the slowest after ${slowestMs.toFixed(0)} ms`);
    assert.equal(errors, 0);
    // Whoever is sent into the hole waits 3 s for a connection.
    assert.ok(slowestMs < 3_000, `the slowest answer took ${slowestMs} ms`);
  });
});
