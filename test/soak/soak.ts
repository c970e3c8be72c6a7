/**
 * `npm run soak -- --minutes N`: uploads and downloads at 70 % of capacity, a fault every 20-40 s, new signatures every 5 minutes, and at the
 * end a table of what came of it. `--max-rate N` keeps it below N requests a second on a machine that others use too.
 */

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { messageOf } from "../../src/core/errors.ts";
import { type GatewayProcess, startGatewayProcess } from "../e2e/gateway-process.ts";
import { openAccount } from "../fault/harness/account.ts";
import { type CountingClient, countingClient } from "../fault/harness/counting-client.ts";
import { assertDownloadInvariants, openDownloadAccount } from "../fault/harness/download-account.ts";
import { assertInvariants, assertNothingLeft, assertResponsive } from "../fault/harness/invariants.ts";
import { feelPulse } from "../fault/harness/pulse.ts";
import { chooseSeed, seededRandom } from "../fault/harness/random.ts";
import { type Residue, residueOf } from "../fault/harness/residue.ts";
import { type RestClient, restClient } from "../fault/harness/rest-client.ts";
import { subject, subjectSource } from "../fault/harness/subjects.ts";
import { bodySignature, testSignatures } from "../live/clamd.ts";
import { numbersFrom } from "../load/arguments.ts";
import { closedTraffic, pause, steadyTraffic, weighted } from "../load/traffic.ts";
import { downloadMix } from "./download-mix.ts";
import { restMix } from "./rest-mix.ts";
import type { Served } from "./served.ts";
import { openShelf } from "./shelf.ts";
import { bombOf, type SoakStage, soakFaults } from "./soak-faults.ts";
import { SoakRecord } from "./soak-record.ts";

const { minutes, "max-rate": maxRate } = numbersFrom({ minutes: 5, "max-rate": 100_000 });
const seed = chooseSeed();
const share = 0.7;
const reloadMs = 5 * 60_000;
const maxScanBytes = 64 * 1024 * 1024;
/** QUEUE_TIMEOUT twice, SCAN_TIMEOUT, and what invariant I2 adds. */
const answerWithinMs = (30 + 90 + 5) * 1000;
/** One fault stops the gateway's own process for half a second, and its clients take their part of the machine. */
const livezBounds = { p99Ms: 500, maxMs: 5_000 };

console.log(`seed ${seed} (SEED=${seed} repeats its choices), ${minutes} minutes, ${cpus().length} × ${cpus()[0]?.model}`);
const directory = await mkdtemp(join(tmpdir(), "clamgate-soak-"));
try {
  process.exitCode = (await soak()) ? 0 : 1;
} finally {
  await rm(directory, { recursive: true, force: true });
}

async function soak(): Promise<boolean> {
  const databaseDirectory = join(directory, "signatures");
  const state = join(directory, "state");
  await mkdir(databaseDirectory);
  await mkdir(state);
  for (const [name, text] of Object.entries(testSignatures)) await writeFile(join(databaseDirectory, name), text);
  await using shelf = await openShelf();
  const env = {
    DATABASE_DIRECTORY: databaseDirectory,
    MAX_SCAN_SIZE: String(maxScanBytes),
    DOWNLOAD_MODE: "verified-stream",
    DOWNLOAD_ORIGINS: shelf.url,
    DOWNLOAD_ALLOW_PRIVATE: new URL(shelf.url).host,
    // All of the traffic comes from one client and one origin.
    DOWNLOAD_MAX: "1000",
    DOWNLOAD_MAX_PER_ORIGIN: "1000",
  };
  await using gateway = await startGatewayProcess({ args: ["serve"], state, env });
  await gateway.ready();
  const random = seededRandom(seed);
  const subjects = subjectSource(random);
  const account = openAccount({ mayDoubt: true });
  const downloads = openDownloadAccount({ mayRelease: 0 });
  const capacity = await capacityOf(gateway);
  const perSecond = Math.min(capacity * share, maxRate);
  console.log(`capacity ${capacity.toFixed(0)} requests/s, sending ${perSecond.toFixed(0)}/s`);
  const before = await settled(gateway);
  const client = countingClient(gateway.url, { connections: 512 });
  const rest = restClient({ client, account });
  const proxied = countingClient(gateway.proxyUrl, { connections: 512 });
  const send = usualDay(rest, proxied);
  const stage: SoakStage = { gateway, databaseDirectory, random, subjects, rest, bomb: bombOf(maxScanBytes) };
  const record = new SoakRecord({ capacity, perSecond });
  const over = AbortSignal.timeout(minutes * 60_000);
  const pulse = feelPulse(gateway, 500);
  const traffic = steadyTraffic(perSecond, async () => record.answered(await send()));
  const watch = setInterval(() => {
    residueOf(gateway).then(
      (residue) => record.sample(residue),
      (error: unknown) => console.log(`a sample is missing: ${error}`),
    );
  }, 10_000);
  await Promise.all([injectFaults(stage, record, over), renewSignatures(stage, record, over)]);
  await traffic.stop();
  clearInterval(watch);
  client[Symbol.dispose]();
  proxied[Symbol.dispose]();
  await pulse[Symbol.asyncDispose]();

  function usualDay(rest: RestClient, client: CountingClient): () => Promise<Served> {
    const upload = restMix({ random, subjects, rest });
    const download = downloadMix({ random, subjects, shelf, client, account: downloads });
    return () =>
      weighted(random, [
        [70, upload],
        [30, download],
      ]);
  }

  async function capacityOf({ url, proxyUrl }: GatewayProcess): Promise<number> {
    using warming = countingClient(url);
    using fetching = countingClient(proxyUrl);
    return await closedTraffic({ workers: 16, seconds: 15 }, usualDay(restClient({ client: warming, account }), fetching));
  }

  let verdict = "all invariants hold";
  let after: Residue | null = null;
  try {
    assertInvariants(account, { withinMs: answerWithinMs });
    assertDownloadInvariants(downloads, { withinMs: answerWithinMs });
    assertResponsive(pulse, livezBounds);
    after = await assertNothingLeft(gateway, { before });
    record.assertHeld(await gateway.metric('clamgate_child_restarts_total{child="clamd"}'));
  } catch (error) {
    verdict = `FAILED: ${messageOf(error)}`;
  }
  const restarts = await gateway.metric('clamgate_child_restarts_total{child="clamd"}');
  const remembered = await gateway.metric('clamgate_verdict_source_total{source="cache"}');
  console.log(
    record.report({ account, downloads, pulse, before, after: after ?? (await residueOf(gateway)), restarts, remembered }),
  );
  console.log(verdict);
  return verdict === "all invariants hold";
}

/** What a gateway that has worked holds when it rests and nobody is connected. */
async function settled(gateway: GatewayProcess): Promise<Residue> {
  for (let last = await residueOf(gateway); ; ) {
    await delay(500);
    const now = await residueOf(gateway);
    if (now.spoolBodies === 0 && now.queueLength === 0 && now.descriptors === last.descriptors) return now;
    last = now;
  }
}

async function injectFaults(stage: SoakStage, record: SoakRecord, over: AbortSignal): Promise<void> {
  for (;;) {
    await pause(20_000 + stage.random.below(20_000), over);
    if (over.aborted) return;
    const fault = stage.random.pick(soakFaults);
    console.log(`${new Date().toISOString()} ${fault.name}`);
    await record.during(fault, () => fault.run(stage));
  }
}

/** No request may be refused for it. */
async function renewSignatures(stage: SoakStage, record: SoakRecord, over: AbortSignal): Promise<void> {
  for (let epoch = 1; ; epoch += 1) {
    await pause(reloadMs, over);
    if (over.aborted) return;
    const text = `soak epoch ${epoch} of seed ${seed}`;
    const ask = (body: string) => stage.rest.send([], { path: "/scanHandlerBody", body: Buffer.from(body) });
    // Remembered as clean, under the signatures of now.
    await ask(text);
    await writeFile(join(stage.databaseDirectory, `epoch-${epoch}.ndb`), bodySignature(`Clamgate.Soak.${epoch}`, text));
    const startedAt = performance.now();
    // Clean under the old signatures and infected under the new ones: either is right until the first one is found.
    for (let turn = 1; (await ask(`${text}, asked ${turn}`)).answer?.status !== 406; turn += 1) await delay(250);
    record.reloaded(performance.now() - startedAt);
    // From now on no old verdict may come from anywhere.
    await stage.rest.raw(subject(`epoch-${epoch}`, Buffer.from(text), "infected"));
    console.log(
      `${new Date().toISOString()} signatures of epoch ${epoch} found after ${((performance.now() - startedAt) / 1000).toFixed(1)} s`,
    );
  }
}
