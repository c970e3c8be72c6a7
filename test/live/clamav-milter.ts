/** The installed clamav-milter in the foreground, and a mail server that asks it: it speaks the milter protocol and sends no mail. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { accepts } from "./accepts.ts";
import { freePort } from "./free-port.ts";

export interface MilterAnswer {
  /** What becomes of the mail. */
  readonly action: "accept" | "reject" | "defer";
  /** What its sender is told; empty where the milter leaves that to the mail server. */
  readonly reply: string;
}

export interface LiveMilter extends AsyncDisposable {
  ask(mail: string): Promise<MilterAnswer>;
}

/** Resolves when it answers. @param clamdPort of 127.0.0.1. */
export async function startClamavMilter(clamdPort: number): Promise<LiveMilter> {
  const directory = await mkdtemp(join(tmpdir(), "clamgate-milter-"));
  const conf = join(directory, "clamav-milter.conf");
  const port = await freePort();
  const lines = [
    `MilterSocket inet:${port}@127.0.0.1`,
    `ClamdSocket tcp:127.0.0.1:${clamdPort}`,
    "Foreground yes",
    "MaxFileSize 100M",
    "OnClean Accept",
    "OnInfected Reject",
    "OnFail Defer",
    "RejectMsg Found: %v",
    `TemporaryDirectory ${directory}`,
  ];
  await writeFile(conf, `${lines.join("\n")}\n`);
  const child = spawn("clamav-milter", [`--config-file=${conf}`], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { PATH: `${process.env.PATH}:/usr/sbin` },
  });
  const said = text(child.stderr);
  const ended = once(child, "exit");
  const dispose = async () => {
    child.kill();
    await ended;
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await once(child, "spawn");
    while (!(await accepts(port))) {
      if (child.exitCode !== null) throw new Error(`clamav-milter ended:\n${await said}`);
      await delay(20);
    }
  } catch (error) {
    await dispose();
    throw error;
  }
  return { ask: (mail) => ask(port, mail), [Symbol.asyncDispose]: dispose };
}

/** What a milter may ask to be spared, each with the command that is then left out. */
const spared = { C: 0x01, H: 0x02, M: 0x04, R: 0x08, B: 0x10, L: 0x20, N: 0x40, T: 0x200 } as const;
const decisions: Readonly<Record<string, MilterAnswer["action"]>> = { a: "accept", c: "accept", r: "reject", t: "defer" };
const pieceBytes = 65_535;

async function ask(port: number, mail: string): Promise<MilterAnswer> {
  const socket = connect({ host: "127.0.0.1", port });
  const packets = packetsOf(socket);
  const next = async () => {
    const { value } = await packets.next();
    if (value === undefined) throw new Error("the milter went away");
    return value;
  };
  const send = (command: string, ...data: readonly (string | Buffer)[]) => {
    const bytes = Buffer.concat([Buffer.from(command), ...data.map((piece) => Buffer.from(piece as string, "latin1"))]);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    socket.write(Buffer.concat([length, bytes]));
  };
  try {
    await once(socket, "connect");
    const offer = Buffer.alloc(12);
    offer.writeUInt32BE(6, 0);
    offer.writeUInt32BE(0x1ff, 4);
    offer.writeUInt32BE(
      Object.values(spared).reduce((all, flag) => all | flag, 0),
      8,
    );
    send("O", offer);
    const wanted = (await next()).readUInt32BE(9);
    const end = mail.indexOf("\r\n\r\n");
    const steps: (readonly [keyof typeof spared, ...(string | Buffer)[]])[] = [
      ["C", "client.test\0", "4", Buffer.from([0, 25]), "127.0.0.1\0"],
      ["H", "client.test\0"],
      ["M", "<from@test>\0"],
      ["R", "<to@test>\0"],
      ["T"],
      ...mail
        .slice(0, end)
        .split("\r\n")
        .map((line) => ["L", `${line.replace(": ", "\0")}\0`] as const),
      ["N"],
    ];
    for (let at = end + 4; at < mail.length; at += pieceBytes) steps.push(["B", mail.slice(at, at + pieceBytes)]);
    for (const [command, ...data] of steps) {
      if ((wanted & spared[command]) !== 0) continue;
      send(command, ...data);
      const answer = answerOf(await next());
      if (answer !== null && answer.code !== "c") return answer;
    }
    send("E");
    for (;;) {
      const answer = answerOf(await next());
      if (answer !== null) return answer;
    }
  } finally {
    socket.destroy();
  }
}

/** Null for what changes the mail and decides nothing. */
function answerOf(packet: Buffer): (MilterAnswer & { readonly code: string }) | null {
  const code = packet.toString("latin1", 0, 1);
  const reply = packet.toString("latin1", 1).replace("\0", "");
  if (code === "y") return { code, action: reply.startsWith("4") ? "defer" : "reject", reply };
  const action = decisions[code];
  return action === undefined ? null : { code, action, reply };
}

async function* packetsOf(socket: Socket): AsyncGenerator<Buffer, undefined> {
  let received = Buffer.alloc(0);
  for await (const chunk of socket) {
    received = Buffer.concat([received, chunk as Buffer]);
    while (received.length >= 4 && received.length >= 4 + received.readUInt32BE(0)) {
      const length = received.readUInt32BE(0);
      yield received.subarray(4, 4 + length);
      received = received.subarray(4 + length);
    }
  }
}
