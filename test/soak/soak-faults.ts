/** The faults of a soak: each begins, ends, and leaves the gateway to itself. */

import { rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { GatewayProcess } from "../e2e/gateway-process.ts";
import type { Random } from "../fault/harness/random.ts";
import { clamdOf } from "../fault/harness/residue.ts";
import type { RestClient } from "../fault/harness/rest-client.ts";
import { type Subject, type SubjectSource, subject } from "../fault/harness/subjects.ts";
import { zip } from "../live/zip.ts";
import { closedTraffic } from "../load/traffic.ts";

export interface SoakStage {
  readonly gateway: GatewayProcess;
  readonly databaseDirectory: string;
  readonly random: Random;
  readonly subjects: SubjectSource;
  readonly rest: RestClient;
  readonly bomb: Subject;
}

export interface SoakFault {
  readonly name: string;
  /** How often it makes the gateway start clamd again. */
  readonly restarts: 0 | 1;
  /** True where requests may be refused until it is over. */
  readonly excuses: boolean;
  readonly run: (stage: SoakStage) => Promise<void>;
}

export const soakFaults: readonly SoakFault[] = [
  { name: "kill -9 of clamd", restarts: 1, excuses: true, run: killClamd },
  { name: "clamd stopped for 3-8 s", restarts: 0, excuses: true, run: stopClamd },
  { name: "gateway stopped for 0.5 s", restarts: 0, excuses: true, run: stopGateway },
  { name: "malformed signatures", restarts: 0, excuses: false, run: breakSignatures },
  { name: "60 clients that leave", restarts: 0, excuses: false, run: leaveOften },
  { name: "100 clients that trickle", restarts: 0, excuses: false, run: trickle },
  { name: "300 idle connections, then resets", restarts: 0, excuses: false, run: idle },
  { name: "overload: 100 clients at once for 3 s", restarts: 0, excuses: true, run: overload },
  { name: "16 bodies of 20 MB at once", restarts: 0, excuses: true, run: largeBodies },
  { name: "zip bombs", restarts: 0, excuses: false, run: bombs },
];

async function killClamd({ gateway }: SoakStage): Promise<void> {
  const pid = await clamdOf(gateway);
  if (pid === null) throw new Error("no clamd to kill");
  process.kill(pid, "SIGKILL");
  // Ready again is not enough: it may not have noticed yet.
  for (let next = await clamdOf(gateway); next === null || next === pid; next = await clamdOf(gateway)) await delay(20);
  await gateway.ready();
}

async function stopClamd({ gateway, random }: SoakStage): Promise<void> {
  const pid = await clamdOf(gateway);
  if (pid === null) throw new Error("no clamd to stop");
  process.kill(pid, "SIGSTOP");
  await delay(3_000 + random.below(5_000));
  process.kill(pid, "SIGCONT");
  await gateway.ready();
}

async function stopGateway({ gateway }: SoakStage): Promise<void> {
  process.kill(gateway.pid, "SIGSTOP");
  await delay(500);
  process.kill(gateway.pid, "SIGCONT");
}

async function breakSignatures({ gateway, databaseDirectory }: SoakStage): Promise<void> {
  const rejected = () => gateway.metric('clamgate_reloads_total{outcome="rejected"}');
  const before = await rejected();
  const path = join(databaseDirectory, "broken.ndb");
  await writeFile(path, "This is no signature\n");
  while ((await rejected()) === before) await delay(200);
  await rm(path);
}

async function leaveOften({ random, subjects, rest }: SoakStage): Promise<void> {
  const leaving = Array.from({ length: 60 }, (_, index) => {
    const leave = new AbortController();
    setTimeout(() => leave.abort(), random.below(200));
    const subject = index % 2 === 0 ? subjects.infected(300_000) : subjects.clean(2_000_000);
    return index % 3 === 0 ? rest.raw(subject, leave.signal) : rest.upload([subject], leave.signal);
  });
  await Promise.all(leaving);
}

async function trickle({ gateway }: SoakStage): Promise<void> {
  const head = "POST /scanHandlerBody HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n";
  const sockets = openSockets(gateway.port, 100, head);
  for (let second = 0; second < 10; second += 1) {
    for (const socket of sockets) socket.write("x");
    await delay(1_000);
  }
  for (const socket of sockets) socket.destroy();
}

async function idle({ gateway }: SoakStage): Promise<void> {
  const sockets = openSockets(gateway.port, 300, "");
  await delay(5_000);
  for (const socket of sockets) socket.resetAndDestroy();
}

function openSockets(port: number, count: number, head: string): readonly Socket[] {
  return Array.from({ length: count }, () => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {}); // it may be cut
    socket.resume();
    if (head !== "") socket.write(head);
    return socket;
  });
}

async function overload({ subjects, random, rest }: SoakStage): Promise<void> {
  await closedTraffic({ workers: 100, seconds: 3 }, () =>
    rest.raw(random.next() < 0.5 ? subjects.infected(4096) : subjects.clean(4096)),
  );
}

async function largeBodies({ subjects, rest }: SoakStage): Promise<void> {
  const bodies = Array.from({ length: 16 }, (_, index) =>
    index % 2 === 0 ? subjects.infected(20_000_000) : subjects.clean(20_000_000),
  );
  await Promise.all(bodies.map((body) => rest.upload([body])));
}

async function bombs({ bomb, rest }: SoakStage): Promise<void> {
  await Promise.all([rest.raw(bomb), rest.upload([bomb]), rest.upload([bomb])]);
}

/** More than MAX_SCAN_SIZE of nothing: no verdict is right but "unscannable". */
export function bombOf(maxScanBytes: number): Subject {
  const bytes = Buffer.alloc(8 * 1024 * 1024);
  const count = Math.ceil(maxScanBytes / bytes.length) + 1;
  const entries = Array.from({ length: count }, (_, index) => ({ name: `nothing-${index}`, bytes }));
  return subject("bomb.zip", zip(entries), "unscannable");
}
