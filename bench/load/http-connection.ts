/** One keep-alive HTTP/1.1 connection that does as little as a client can: what it costs is taken from what it measures. */

import { connect, type Socket } from "node:net";

export interface HttpAnswer {
  readonly status: number;
  /** Status line and headers, as they came. */
  readonly head: string;
  readonly bodyBytes: number;
  /** The beginning of the body, as far as it came with the head. */
  readonly text: string;
  /** From the first byte of the request to the first of the answer. */
  readonly firstByteMs: number;
}

const headEnd = Buffer.from("\r\n\r\n");
const lengthPattern = /\r\ncontent-length: *(\d+)/i;

export class HttpConnection {
  readonly #socket: Socket;
  #head: Buffer = Buffer.alloc(0);
  /** Null while the head is not whole. */
  #left: number | null = null;
  #status = 0;
  #headText = "";
  #bodyBytes = 0;
  #text = "";
  #sentAt = 0;
  #firstByteMs = 0;
  #settle: { readonly resolve: (answer: HttpAnswer) => void; readonly reject: (error: Error) => void } | null = null;
  #broken: Error | null = null;
  #onDrained: (() => void) | null = null;

  /** @param from the address to come from, where the system is not to choose. */
  static open(host: string, port: number, from?: string): Promise<HttpConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, noDelay: true, ...(from === undefined ? {} : { localAddress: from }) });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new HttpConnection(socket));
      });
    });
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("drain", () => this.#onDrained?.());
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new Error("the server closed the connection")));
  }

  /** Sends one request and resolves with its answer. The pieces must be left alone until then. One at a time. */
  request(pieces: readonly Buffer[]): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      if (this.#broken !== null) return reject(this.#broken);
      this.#settle = { resolve, reject };
      this.#sentAt = performance.now();
      this.#firstByteMs = 0;
      void this.#send(pieces);
    });
  }

  close(): void {
    this.#socket.removeAllListeners("close").destroy();
  }

  async #send(pieces: readonly Buffer[]): Promise<void> {
    this.#socket.cork();
    for (const piece of pieces) {
      if (this.#socket.write(piece) || this.#socket.writableLength < 8 * 1024 * 1024) continue;
      // Only bodies of many pieces come here: everything else goes out in one system call.
      this.#socket.uncork();
      await new Promise<void>((resolve) => {
        this.#onDrained = resolve;
      });
      this.#socket.cork();
    }
    this.#socket.uncork();
  }

  #read(chunk: Buffer): void {
    if (this.#firstByteMs === 0) this.#firstByteMs = performance.now() - this.#sentAt;
    if (this.#left === null) {
      this.#head = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk]);
      const end = this.#head.indexOf(headEnd);
      if (end < 0) return;
      const head = this.#head.toString("latin1", 0, end);
      const length = lengthPattern.exec(head)?.[1];
      if (length === undefined) {
        this.#fail(new Error(`an answer without Content-Length: ${head.slice(0, 300)}`));
        return;
      }
      this.#status = Number(head.slice(9, 12));
      this.#headText = head;
      const body = this.#head.subarray(end + headEnd.length);
      this.#text = body.toString("latin1", 0, 300);
      this.#left = Number(length) - body.length;
      this.#bodyBytes = Number(length);
    } else this.#left -= chunk.length;
    if (this.#left === 0) this.#finish();
    else if (this.#left < 0) this.#fail(new Error("more bytes than the answer's Content-Length"));
  }

  #finish(): void {
    const settle = this.#settle;
    this.#settle = null;
    this.#head = Buffer.alloc(0);
    this.#left = null;
    settle?.resolve({
      status: this.#status,
      head: this.#headText,
      bodyBytes: this.#bodyBytes,
      text: this.#text,
      firstByteMs: this.#firstByteMs,
    });
  }

  #fail(error: Error): void {
    this.#broken ??= error;
    this.#settle?.reject(error);
    this.#settle = null;
    this.#onDrained?.();
    this.#socket.destroy();
  }
}
