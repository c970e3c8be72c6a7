import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { upload } from "../client.ts";
import { type GatewayProcess, startGatewayProcess } from "../gateway-process.ts";
import { type Sample, unknownBytes } from "../samples.ts";

const byEngine = 'clamgate_verdict_source_total{source="engine"}';
const byCache = 'clamgate_verdict_source_total{source="cache"}';

describe("verdicts that are remembered", () => {
  test("are used for the same bytes, also after a restart, until new signatures come", async (context) => {
    const state = await mkdtemp(join(tmpdir(), "clamgate-e2e-"));
    const signatures = await mkdtemp(join(tmpdir(), "clamgate-signatures-"));
    const sample = unknownBytes(5000);
    const options = { state, env: { DATABASE_DIRECTORY: signatures } };
    // Written aside and renamed, as anyone should: but the gateway also waits until a file no longer changes.
    const addSignature = async (name: string, { bytes }: Sample) => {
      const md5 = createHash("md5").update(bytes).digest("hex");
      await writeFile(join(signatures, `.${name}`), `${md5}:${bytes.length}:Clamgate.Test.${name}\n`);
      await rename(join(signatures, `.${name}`), join(signatures, `${name}.hdb`));
    };
    await addSignature("First", unknownBytes(10));
    try {
      {
        const gateway = await startGatewayProcess(options);
        try {
          await gateway.ready();
          assert.equal((await upload(gateway.url, sample)).status, 200);
          assert.deepEqual(await gateway.metrics(byEngine, byCache), [1, 0]);
          assert.equal((await upload(gateway.url, { ...sample, name: "again" })).status, 200);
          assert.deepEqual(await gateway.metrics(byEngine, byCache), [1, 1]);
        } finally {
          await gateway[Symbol.asyncDispose]();
        }
      }
      const gateway = await startGatewayProcess(options);
      try {
        await gateway.ready();
        assert.equal((await upload(gateway.url, sample)).status, 200);
        assert.deepEqual(await gateway.metrics(byEngine, byCache), [0, 1]);

        const startedAt = performance.now();
        await addSignature("Second", sample);
        await signaturesLoaded(gateway, 2);
        context.diagnostic(`a new signature file was in use after ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
        const answer = await upload(gateway.url, sample);
        assert.equal(answer.status, 406);
        assert.match(answer.body, /Clamgate\.Test\.Second/);
        assert.deepEqual(await gateway.metrics(byEngine, byCache), [1, 1]);
      } finally {
        await gateway[Symbol.asyncDispose]();
      }
    } finally {
      await rm(state, { recursive: true, force: true });
      await rm(signatures, { recursive: true, force: true });
    }
  });
});

describe("verdicts that are remembered in one place", () => {
  test("are not those of a gateway with another policy", async () => {
    const state = await mkdtemp(join(tmpdir(), "clamgate-e2e-"));
    const signatures = await mkdtemp(join(tmpdir(), "clamgate-signatures-"));
    const sample = { name: "a.lz4", bytes: Buffer.from("04224d18", "hex") };
    await writeFile(join(signatures, "first.hdb"), `${"0".repeat(32)}:10:Clamgate.Test.First\n`);
    const ask = async (env: Readonly<Record<string, string>>) => {
      await using gateway = await startGatewayProcess({ state, env: { DATABASE_DIRECTORY: signatures, ...env } });
      await gateway.ready();
      const { status } = await upload(gateway.url, sample);
      return { status, from: await gateway.metrics(byEngine, byCache) };
    };
    try {
      assert.deepEqual(await ask({}), { status: 200, from: [1, 0] });
      assert.deepEqual(await ask({ UNSUPPORTED_FORMATS: "lz4" }), { status: 406, from: [1, 0] });
      assert.deepEqual(await ask({}), { status: 200, from: [0, 1] });
    } finally {
      await rm(state, { recursive: true, force: true });
      await rm(signatures, { recursive: true, force: true });
    }
  });
});

/** Resolves when so many sets have been loaded since the start. */
async function signaturesLoaded(gateway: GatewayProcess, count: number): Promise<void> {
  while ((await gateway.metric('clamgate_reloads_total{outcome="loaded"}')) < count) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
