import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { found, startFakeClamd } from "../fake/clamd.ts";
import { givenClamd } from "../fault/harness/given-clamd.ts";
import { eventually } from "../process/stage.ts";
import { upload } from "./client.ts";
import { startGatewayProcess } from "./gateway-process.ts";
import { unknownBytes } from "./samples.ts";

describe("a request that comes before an engine has proved itself", () => {
  test("waits for it while /readyz says 503, and gets its verdict", { timeout: 60_000 }, async () => {
    const proved = Promise.withResolvers<void>();
    await using clamd = await startFakeClamd({ canary: () => proved.promise.then(() => found("Eicar-Test-Signature")) });
    await using gateway = await startGatewayProcess({ env: givenClamd({ ports: [clamd.address.port] }) });
    const answer = upload(gateway.url, unknownBytes(10));
    await eventually("it waits", async () => (await gateway.metric("clamgate_queue_length")) === 1);
    assert.equal((await fetch(`${gateway.url}/readyz`)).status, 503);
    proved.resolve();
    assert.equal((await answer).status, 200);
    await gateway.ready();
  });

  test("is waited for with a line every five seconds, until the last one says READY", { timeout: 60_000 }, async () => {
    const proved = Promise.withResolvers<void>();
    await using clamd = await startFakeClamd({ canary: () => proved.promise.then(() => found("Eicar-Test-Signature")) });
    await using gateway = await startGatewayProcess({ env: givenClamd({ ports: [clamd.address.port] }) });
    assert.match(await gateway.line("waiting for clamd"), /waiting for clamd, [5-9] s/);
    proved.resolve();
    const line = await gateway.line("READY: ");
    assert.ok(line.includes(`READY: scans what is sent to ${gateway.url}; try: curl -F file=@README.md ${gateway.url}/v2/scan`));
    // The fake clamd's signatures are of 2025.
    assert.match(await gateway.line("to look at: "), /signature-age: \d+\.\d h old, expected 72\.0 h at most \(see in the log/);
  });

  test("gets 503 where none does within QUEUE_TIMEOUT", { timeout: 60_000 }, async () => {
    await using clamd = await startFakeClamd({ canary: () => new Promise(() => {}) });
    const env = { ...givenClamd({ ports: [clamd.address.port] }), QUEUE_TIMEOUT: "500ms" };
    await using gateway = await startGatewayProcess({ env });
    const answer = await upload(gateway.url, unknownBytes(10));
    assert.deepEqual([answer.status, answer.headers["retry-after"]], [503, "5"]);
  });
});
