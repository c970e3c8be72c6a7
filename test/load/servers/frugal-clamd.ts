/** A scripted clamd for load: so many threads, the same time for every scan, and no body kept. `node frugal-clamd.ts SOCKET --threads N --scan-ms N` */

import { createServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { eicar, marker } from "../../live/clamd.ts";
import { numbersFrom } from "../arguments.ts";

const [path = "", ...argv] = process.argv.slice(2);
const { threads, "scan-ms": scanMs } = numbersFrom({ threads: 12, "scan-ms": 1 }, argv);

const needles = [eicar, Buffer.from(marker)];
const longestNeedle = Math.max(...needles.map(({ length }) => length));

/** One command in `z` form; of the body behind INSTREAM only what it holds of evil. */
class Command {
  name: string | null = null;
  isInfected = false;
  #head: Buffer = Buffer.alloc(0);
  #left = 0;
  #tail: Buffer = Buffer.alloc(0);

  /** True once the command is whole. */
  read(bytes: Buffer): boolean {
    let rest = bytes;
    if (this.name === null) {
      this.#head = Buffer.concat([this.#head, bytes]);
      const end = this.#head.indexOf(0);
      if (end < 0) return false;
      this.name = this.#head.toString("latin1", 1, end);
      rest = this.#head.subarray(end + 1);
      this.#head = Buffer.alloc(0);
      if (this.name !== "INSTREAM") return true;
    }
    while (rest.length > 0) {
      if (this.#left > 0) {
        const piece = rest.subarray(0, this.#left);
        this.#look(piece);
        this.#left -= piece.length;
        rest = rest.subarray(piece.length);
        continue;
      }
      const missing = 4 - this.#head.length;
      this.#head = Buffer.concat([this.#head, rest.subarray(0, missing)]);
      rest = rest.subarray(missing);
      if (this.#head.length < 4) return false;
      this.#left = this.#head.readUInt32BE(0);
      this.#head = Buffer.alloc(0);
      if (this.#left === 0) return true;
    }
    return false;
  }

  #look(piece: Buffer): void {
    const seam = Buffer.concat([this.#tail, piece.subarray(0, longestNeedle)]);
    this.isInfected ||= needles.some((needle) => seam.includes(needle) || piece.includes(needle));
    this.#tail = Buffer.concat([this.#tail, piece.subarray(-longestNeedle)]).subarray(-longestNeedle);
  }
}

let free = threads;
const waiting: (() => void)[] = [];

/** As in clamd, whoever comes when every thread is at work waits for one: a gateway that sends too much would make PING wait. */
async function onThread(work: () => Promise<string> | string): Promise<string> {
  if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve));
  else free -= 1;
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next === undefined) free += 1;
    else next();
  }
}

function answerTo({ name, isInfected }: Command): Promise<string> | string {
  if (name === "VERSION") return "ClamAV 1.4.6/27001/Thu Nov 20 10:13:12 2025\0";
  if (name === "PING") return onThread(() => "PONG\0");
  if (name !== "INSTREAM") return "UNKNOWN COMMAND\0";
  return onThread(async () => {
    await delay(scanMs);
    return isInfected ? "stream: Scripted.Marker FOUND\0" : "stream: OK\0";
  });
}

function serve(socket: Socket): void {
  const command = new Command();
  socket.on("error", () => {}); // the gateway may cut it
  socket.on("data", (chunk: Buffer) => {
    if (!command.read(chunk)) return;
    socket.removeAllListeners("data").resume();
    void Promise.resolve(answerTo(command)).then((text) => socket.end(text));
  });
}

createServer({ allowHalfOpen: true }, serve).listen({ path, backlog: 1024 }, () => console.log(`listening on unix://${path}`));
process.on("SIGTERM", () => process.exit());
