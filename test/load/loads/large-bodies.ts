/** L4: one body of 1 GiB, and 32 of 100 MiB at once: what the gateway grows by, and that it makes fast clients wait. */

import type { ClientProcess } from "../clients/client-process.ts";
import type { UploadsOrder } from "../clients/uploads.ts";
import type { Findings } from "../criterion.ts";
import { type LoadStage, nothingLeft, type WarmGateway } from "../load-stage.ts";
import { mebibytes } from "../table.ts";
import { peaksDuring } from "../watch.ts";

const mebibyte = 1024 * 1024;
const mostGrowth = 64 * mebibyte;

export async function largeBodies(stage: LoadStage, findings: Findings): Promise<void> {
  const clamd = await stage.scriptedClamd({ slots: 4, scanMs: 1 });
  const gateway = await stage.gateway({ ...clamd, MAX_FILE_SIZE: "1100M", MAX_SCAN_SIZE: "1100M", QUEUE_TIMEOUT: "10m" });
  const clients = await stage.clients();
  for (const { what, count, bytes, infectedEvery } of [
    { what: "one body of 1 GiB", count: 1, bytes: 1024 * mebibyte, infectedEvery: 1 },
    { what: "32 bodies of 100 MiB at once", count: 32, bytes: 100 * mebibyte, infectedEvery: 8 },
  ]) {
    stage.say(what);
    await measure(findings, { gateway, clients, what, order: { port: gateway.port, count, bytes, infectedEvery } });
  }
  await clients[Symbol.asyncDispose]();
  await nothingLeft(findings, gateway);
}

interface Case {
  readonly gateway: WarmGateway;
  readonly clients: ClientProcess;
  readonly what: string;
  readonly order: UploadsOrder;
}

async function measure(findings: Findings, { gateway, clients, what, order }: Case): Promise<void> {
  const before = await gateway.residentBytes();
  const startedAt = performance.now();
  const { peaks, result } = await peaksDuring(gateway, clients.run("uploads", order));
  const perSecond = (order.count * order.bytes) / 1e3 / (performance.now() - startedAt);
  const growth = peaks.residentBytes - before;
  const figures = `${mebibytes(growth)} (${mebibytes(before)} before)`;
  findings.invariant(`${what}: resident memory grows by`, "≤ 64 MiB", figures, growth <= mostGrowth);
  findings.goal(
    `${what}: received, hashed, sent to a scripted clamd`,
    "≥ 250 MB/s",
    `${perSecond.toFixed(0)} MB/s`,
    perSecond >= 250,
  );
  const waits = Math.min(...result.map((upload) => upload.waits));
  const share = result.reduce((sum, { waitedMs, ms }) => sum + waitedMs / ms, 0) / result.length;
  const paused = `${waits} times at least, ${(share * 100).toFixed(0)} % of the time`;
  findings.invariant(`${what}: each client had to wait until more was taken`, "every one", paused, waits > 0);
  const wrong = result.filter(({ isInfected, status }) => status !== (isInfected ? 406 : 200));
  findings.none(
    `${what}: wrong verdicts, one in ${order.infectedEvery} infected in its last bytes`,
    wrong.map(({ isInfected, status }) => `${isInfected ? "infected" : "clean"} answered ${status}`),
  );
}
