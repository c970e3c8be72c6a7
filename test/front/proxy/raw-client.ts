/** A client of the proxy that leaves nothing to a library: it counts bytes, and knows a reset from an end. */

import { connect, type Socket } from "node:net";

export interface RawAnswer {
  readonly status: number;
  readonly httpVersion: string;
  /** In order, as received. */
  readonly lines: readonly (readonly [name: string, value: string])[];
  /** The first value, by its name in lower case. */
  header(name: string): string | undefined;
  /** Of a body that was cut: what came of it. */
  readonly body: Buffer;
  /** By its length, its last chunk, or (HTTP/1.0) the end of the connection. */
  readonly isWhole: boolean;
}

/** A whole request; `Host` and `Connection: close` are added unless `lines` have them. */
export function requestText(path: string, lines: readonly string[] = [], { method = "GET", version = "1.1" } = {}): string {
  const has = (name: string) => lines.some((line) => line.toLowerCase().startsWith(`${name}:`));
  const all = [...lines];
  if (!has("host")) all.push("Host: proxy.test");
  if (!has("connection")) all.push("Connection: close");
  return [`${method} ${path} HTTP/${version}`, ...all, "", ""].join("\r\n");
}

export class RawClient implements Disposable {
  readonly socket: Socket;
  #bytes: Buffer = Buffer.alloc(0);
  #state: "open" | "ended" | "reset" = "open";
  #wake: () => void = () => {};

  constructor(port: number, localAddress = "127.0.0.1") {
    this.socket = connect({ host: "127.0.0.1", port, localAddress });
    this.socket.on("data", (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#wake();
    });
    this.socket.on("end", () => this.#finish("ended"));
    this.socket.on("error", () => this.#finish("reset"));
    this.socket.on("close", () => this.#finish("ended"));
  }

  get state(): "open" | "ended" | "reset" {
    return this.#state;
  }

  /** Everything received that no answer has been made of. */
  get received(): Buffer {
    return this.#bytes;
  }

  send(text: string | Uint8Array): void {
    this.socket.write(text, "latin1");
  }

  /** Resolves when that much is there, or rejects when the connection ends before. */
  async until(isEnough: (received: Buffer) => boolean): Promise<Buffer> {
    while (!isEnough(this.#bytes)) {
      if (this.#state !== "open") throw new Error(`${this.#state} after ${JSON.stringify(this.#bytes.toString("latin1"))}`);
      await this.#change();
    }
    return this.#bytes;
  }

  async closed(): Promise<"ended" | "reset"> {
    while (this.#state === "open") await this.#change();
    return this.#state;
  }

  /** The next answer: to its end, or as far as it came before the connection ended. */
  async answer({ isHead = false } = {}): Promise<RawAnswer> {
    for (;;) {
      const parsed = parse(this.#bytes, isHead, this.#state);
      if (parsed !== null) {
        this.#bytes = this.#bytes.subarray(parsed.used);
        return parsed.answer;
      }
      if (this.#state !== "open") throw new Error(`${this.#state} without an answer`);
      await this.#change();
    }
  }

  #finish(state: "ended" | "reset"): void {
    if (this.#state === "open") this.#state = state;
    this.#wake();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** One request on a connection of its own. */
export async function ask(port: number, text: string): Promise<RawAnswer> {
  using client = new RawClient(port);
  client.send(text);
  return await client.answer({ isHead: text.startsWith("HEAD ") });
}

function parse(bytes: Buffer, isHead: boolean, state: string): { readonly answer: RawAnswer; readonly used: number } | null {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd < 0) return null;
  const [first = "", ...rest] = bytes.subarray(0, headEnd).toString("latin1").split("\r\n");
  const [, httpVersion = "", status = "0"] = /^HTTP\/(\d\.\d) (\d{3})/.exec(first) ?? [];
  const lines = rest.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()] as const);
  const header = (name: string) => lines.find(([known]) => known.toLowerCase() === name)?.[1];
  const start = headEnd + 4;
  const made = (body: Buffer, isWhole: boolean, used: number) => ({
    answer: { status: Number(status), httpVersion, lines, header, body, isWhole },
    used,
  });
  if (isHead || status === "204" || status === "304") return made(Buffer.alloc(0), true, start);
  const available = bytes.subarray(start);
  const length = header("content-length");
  if (length !== undefined) {
    const isWhole = available.length >= Number(length);
    if (!isWhole && state === "open") return null;
    const body = available.subarray(0, Number(length));
    return made(body, isWhole, start + body.length);
  }
  if (header("transfer-encoding") === "chunked") {
    const { body, used, isWhole } = unchunked(available);
    return isWhole || state !== "open" ? made(body, isWhole, start + used) : null;
  }
  return state === "open" ? null : made(available, state === "ended", bytes.length);
}

function unchunked(bytes: Buffer): { readonly body: Buffer; readonly used: number; readonly isWhole: boolean } {
  const pieces: Buffer[] = [];
  let at = 0;
  for (;;) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd < 0) break;
    const size = Number.parseInt(bytes.subarray(at, lineEnd).toString("latin1"), 16);
    const start = lineEnd + 2;
    if (size === 0) {
      const isWhole = bytes.length >= start + 2;
      return { body: Buffer.concat(pieces), used: isWhole ? start + 2 : bytes.length, isWhole };
    }
    pieces.push(bytes.subarray(start, Math.min(start + size, bytes.length)));
    if (bytes.length < start + size + 2) break;
    at = start + size + 2;
  }
  return { body: Buffer.concat(pieces), used: bytes.length, isWhole: false };
}
