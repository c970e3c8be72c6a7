import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { upload } from "./client.ts";
import { type GatewayProcess, startGatewayProcess } from "./gateway-process.ts";
import { unknownBytes } from "./samples.ts";

const mebibyte = 1024 * 1024;

describe("memory", () => {
  let gateway: GatewayProcess;
  before(async () => {
    // Time is no matter here: a busy machine takes longer for 640 MiB than a scan may usually wait.
    gateway = await startGatewayProcess({ env: { MAX_FILE_SIZE: "25M", QUEUE_TIMEOUT: "10m" } });
    await gateway.ready();
  });
  after(() => gateway[Symbol.asyncDispose]());

  test("grows by less than 64 MiB for 32 uploads of 20 MiB at once, and the spool is empty afterwards", async (context) => {
    for (let index = 0; index < 20; index += 1) await upload(gateway.url, unknownBytes(1024));
    const before = await gateway.residentBytes();
    let peak = before;
    const watch = setInterval(async () => {
      peak = Math.max(peak, await gateway.residentBytes());
    }, 20);
    const { bytes } = unknownBytes(20 * mebibyte);
    const uploads = Array.from({ length: 32 }, (_, index) => {
      // Different in their last byte, so that none is scanned for another.
      const mine = Buffer.concat([bytes.subarray(0, -1), Buffer.of(index)]);
      return upload(gateway.url, { name: `${index}.bin`, bytes: mine });
    });
    const answers = await Promise.all(uploads);
    clearInterval(watch);
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    context.diagnostic(
      `resident: ${(before / mebibyte).toFixed(0)} MiB before, at most ${((peak - before) / mebibyte).toFixed(0)} MiB more`,
    );
    assert.ok(peak - before < 64 * mebibyte, `${(peak - before) / mebibyte} MiB`);
    assert.deepEqual(await readdir(join(gateway.state, "spool", "bodies")), []);
    assert.equal(await gateway.metric("clamgate_spool_file_bytes"), 0);
  });

  test("grows by less than 128 MiB for a form of nothing but long names, which is refused", async (context) => {
    await upload(gateway.url, { name: "a", bytes: Buffer.from("a") });
    const before = await gateway.residentBytes();
    let peak = before;
    const watch = setInterval(async () => {
      peak = Math.max(peak, await gateway.residentBytes());
    }, 20);
    // Each of these is written as six characters in the answer.
    const names = Array.from({ length: 10_000 }, () => ({ name: "<".repeat(4_000), bytes: Buffer.alloc(0) }));
    const { status } = await upload(gateway.url, ...names);
    clearInterval(watch);
    const moreMiB = (peak - before) / mebibyte;
    context.diagnostic(`answered ${status}; resident at most ${moreMiB.toFixed(0)} MiB more`);
    assert.equal(status, 400);
    assert.ok(moreMiB < 128, `${moreMiB} MiB`);
  });
});
