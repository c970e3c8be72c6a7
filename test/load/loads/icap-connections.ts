/** L10: the ICAP server with connections that do nothing or next to nothing, and with large bodies at once. */

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { LoadResult } from "../../../bench/load/load.ts";
import { assertNothingLeft } from "../../fault/harness/invariants.ts";
import { eventually } from "../../process/stage.ts";
import type { Findings } from "../criterion.ts";
import { type LoadStage, nothingLeft } from "../load-stage.ts";
import { mebibytes } from "../table.ts";
import { peaksDuring } from "../watch.ts";

const mebibyte = 1024 * 1024;
const idle = 1_000;
const trickling = 200;
const active = 16;
const large = 32;
/** Of bodies; the load's own processor counts too, so the active are few. */
const smallBytes = 10_000;

export async function icapConnections(stage: LoadStage, findings: Findings): Promise<void> {
  const clamd = await stage.scriptedClamd({ slots: 16, scanMs: 1 });
  const limits = { MAX_FILE_SIZE: "110M", MAX_SCAN_SIZE: "110M", QUEUE_TIMEOUT: "10m" };
  const gateway = await stage.gateway({ ...clamd, ...limits, ICAP_PORT: "0", ICAP_MAX_CONNECTIONS: "2000" });
  const port = Number(/icap:\/\/127\.0\.0\.1:(\d+)/.exec(await gateway.line("ICAP on icap://"))?.[1]);
  const url = `icap://127.0.0.1:${port}/avscan`;
  const work = (bytes: number, clients: number, seconds: number, most: number | null = null) =>
    stage.load.run({ load: { kind: "icap", url, body: { kind: "random", bytes, isUnique: true } }, clients, seconds, most });
  await work(smallBytes, active, 10, 4_000);

  stage.say(`${active} active connections alone`);
  const first = await work(smallBytes, active, stage.seconds);
  stage.say(`beside ${idle} idle ones and ${trickling} that trickle`);
  const crowd = await gather(port);
  await eventually("all are there", async () => (await gateway.metric("clamgate_icap_connections")) === idle + trickling);
  const beside = await work(smallBytes, active, stage.seconds);
  const cut = crowd.disperse();
  await assertNothingLeft(gateway, { ...gateway, withinMs: 30_000 });
  stage.say("alone again");
  const second = await work(smallBytes, active, stage.seconds);
  tell(findings, { first, beside, second });
  findings.none(`${idle} idle, ${trickling} trickling: connections that were ended`, cut);

  stage.say(`${large} bodies of 100 MiB at once`);
  const before = await gateway.residentBytes();
  const { peaks } = await peaksDuring(gateway, work(100 * mebibyte, large, 3_600, large));
  const growth = peaks.residentBytes - before;
  const figures = `${mebibytes(growth)} (${mebibytes(before)} before)`;
  findings.invariant(`${large} bodies of 100 MiB: resident memory grows by`, "≤ 64 MiB", figures, growth <= 64 * mebibyte);
  await nothingLeft(findings, gateway);
}

function tell(findings: Findings, { first, beside, second }: Readonly<Record<"first" | "beside" | "second", LoadResult>>): void {
  const usual = (first.latency.p99 + second.latency.p99) / 2;
  const ratio = beside.latency.p99 / usual;
  const alone = `alone ${first.latency.p99.toFixed(1)} before, ${second.latency.p99.toFixed(1)} after`;
  const rates = [first, beside, second].map(({ count, seconds }) => (count / seconds).toFixed(0)).join(", ");
  findings.goal(
    `${idle} idle, ${trickling} trickling: p99 of ${active} active`,
    "≤ 2 × alone",
    `${ratio.toFixed(2)} ×: ${beside.latency.p99.toFixed(1)} ms; ${alone}; ${rates} a second`,
    ratio <= 2,
  );
}

interface IcapCrowd {
  /** Goes; what was said to one of them, or that it was ended, in words. */
  disperse(): readonly string[];
}

const tricklingHead = "RESPMOD icap://x/avscan ICAP/1.0\r\nEncapsulated: res-hdr=0, res-body=19\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";

async function gather(port: number): Promise<IcapCrowd> {
  const faults: string[] = [];
  const opened = Array.from({ length: idle + trickling }, (_, index): Socket => {
    const socket = connect({ port, host: "127.0.0.1", localAddress: `127.0.0.${2 + (index % 16)}`, noDelay: true });
    socket.on("error", (error) => faults.push(error.message));
    socket.on("end", () => faults.push("it was ended"));
    return socket;
  });
  await Promise.all(opened.map((socket) => once(socket, "connect")));
  const slow = opened.slice(idle);
  for (const socket of slow) {
    socket.write(tricklingHead);
    socket.on("data", (bytes) => faults.push(bytes.toString("latin1")));
  }
  for (const socket of opened.slice(0, idle)) socket.write("OPTIONS icap://x/avscan ICAP/1.0\r\n\r\n");
  await Promise.all(opened.slice(0, idle).map((socket) => once(socket, "data")));
  // A byte a second from each, and not all at one moment.
  let turn = 0;
  const timer = setInterval(() => {
    for (const [index, socket] of slow.entries()) if (index % 20 === turn % 20) socket.write("1\r\nx\r\n");
    turn += 1;
  }, 50);
  return {
    disperse() {
      clearInterval(timer);
      for (const socket of opened) socket.removeAllListeners("end").destroy();
      return faults;
    },
  };
}
