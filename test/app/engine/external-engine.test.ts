/** The start of a gateway that is given its clamd servers. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { externalEngine } from "../../../src/app/engine/external-engine.ts";
import { backendTiming } from "../../../src/clamd/backend.ts";
import { dialClamd } from "../../../src/clamd/connection.ts";
import { createPool } from "../../../src/clamd/pool.ts";
import { eicarCanary } from "../../../src/clamd/proof.ts";
import { type Act, type FakeClamd, found, startFakeClamd } from "../../fake/clamd.ts";

describe("the start against given clamds", { concurrency: true }, () => {
  test("waits for one that is busy for longer than it would for one that is not there", async () => {
    const canary = Promise.withResolvers<Act>();
    await using fake = await startFakeClamd({ canary: () => canary.promise });
    await using stage = open(fake);
    let hasStarted = false;
    const starting = stage.engine.start().then(() => {
      hasStarted = true;
    });
    await delay(5_000); // more than its one attempt
    assert.equal(hasStarted, false);
    canary.resolve(found("Eicar"));
    await starting;
    assert.equal(stage.pool.status().backends[0]?.isUp, true);
  });

  test("gives up one that is not there", async () => {
    await using fake = await startFakeClamd();
    await fake.kill();
    await using stage = open(fake);
    await assert.rejects(stage.engine.start(), /no clamd has answered in 1 attempts/);
  });
});

function open({ address }: FakeClamd) {
  const clock = () => performance.now();
  const pool = createPool({ queueMax: 10, queueMaxPerClient: 0, queueTimeoutMs: 1_000, clock });
  const backend = {
    canary: eicarCanary(),
    probes: [],
    isStrict: false,
    limits: "given",
    slots: () => 2,
    hasSpareSlot: false,
    sharesSpool: false,
    maxScanTimeMs: null,
    scanTimeoutMs: 60_000,
    dial: dialClamd,
    clock,
    emit: () => {},
    timing: { ...backendTiming, proofTimeoutMs: 100 },
  };
  const engine = externalEngine({
    addresses: [address],
    backend,
    shares: null,
    epochFile: null,
    pool,
    attempts: 1,
    emit: () => {},
  });
  return {
    engine,
    pool,
    async [Symbol.asyncDispose]() {
      await engine.stop();
      pool.close();
    },
  };
}
