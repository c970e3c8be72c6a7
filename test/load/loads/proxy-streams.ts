/** L7: 200 downloads of 10 MiB at once, one in twenty infected, byte by byte against what the origin has. */

import { testDatabase } from "../../fault/test-database.ts";
import type { DownloadedStream } from "../clients/download-streams.ts";
import type { Findings } from "../criterion.ts";
import { type LoadStage, nothingLeft } from "../load-stage.ts";
import { streamBytes } from "../servers/stream-body.ts";
import { mebibytes, quantile } from "../table.ts";

const count = 200;
const trickleAfterSeconds = 2;
/** What the first byte of a trickle may be late by: the machine's own delay. */
const graceSeconds = 1;

export async function proxyStreams(stage: LoadStage, findings: Findings): Promise<void> {
  const originUrl = await stage.server("./servers/stream-origin.ts");
  await using database = await testDatabase();
  for (const [index, mode, mayRelease] of [
    [0, "strict", 0],
    [1, "trickle", 64],
  ] as const) {
    await using gateway = await stage.gateway({
      DATABASE_DIRECTORY: database.path,
      DOWNLOAD_PROXY_PORT: "0",
      DOWNLOAD_MODE: mode,
      DOWNLOAD_TRICKLE_AFTER: `${trickleAfterSeconds}s`,
      DOWNLOAD_ORIGINS: originUrl,
      DOWNLOAD_ALLOW_PRIVATE: new URL(originUrl).host,
      DOWNLOAD_MAX: String(count),
      DOWNLOAD_MAX_PER_ORIGIN: String(count),
      QUEUE_TIMEOUT: "5m",
    });
    stage.say(`${count} downloads of ${mebibytes(streamBytes)} at once, mode ${mode}`);
    const clients = await stage.clients();
    const startedAt = performance.now();
    const order = { proxyUrl: gateway.proxyUrl, originUrl, from: index * count, count };
    const streams = await clients.run("streams", order);
    stage.say(`${((count * streamBytes) / 1e3 / (performance.now() - startedAt)).toFixed(0)} MB/s`);
    tell(findings, mode, mayRelease, streams);
    await clients[Symbol.asyncDispose]();
    await nothingLeft(findings, gateway);
  }
}

function tell(findings: Findings, mode: "strict" | "trickle", mayRelease: number, streams: readonly DownloadedStream[]): void {
  const infected = streams.filter(({ isInfected }) => isInfected);
  const clean = streams.filter(({ isInfected }) => !isInfected);
  const label = ({ status, bytes, ms, text }: DownloadedStream) =>
    `${status} with ${bytes} bytes after ${(ms / 1000).toFixed(1)} s ${text}`;
  const released = infected.filter(({ isWhole, bytes }) => isWhole || bytes > mayRelease).map(label);
  findings.none(`${mode}: infected files delivered, or more than ${mayRelease} bytes of one (of ${infected.length})`, released);
  const bad = clean.filter(({ status, isWhole, isIdentical }) => status !== 200 || !isWhole || !isIdentical).map(label);
  findings.none(`${mode}: clean files not delivered byte for byte (of ${clean.length})`, bad);
  const firstSeconds = streams.map(({ firstByteMs }) => firstByteMs / 1000).filter((seconds) => !Number.isNaN(seconds));
  const text = `p50 ${quantile(firstSeconds, 0.5).toFixed(1)} s, most ${quantile(firstSeconds, 1).toFixed(1)} s`;
  if (mode === "strict") findings.goal("strict: first byte", "once the verdict is there", text, true);
  else {
    const most = trickleAfterSeconds + graceSeconds;
    findings.goal(`trickle after ${trickleAfterSeconds} s: first byte`, `≤ ${most} s`, text, quantile(firstSeconds, 1) <= most);
  }
}
