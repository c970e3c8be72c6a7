/** One kept connection to an ICAP server that has responses scanned, one after the other, with a preview as web proxies send it. */

import { connect, type Socket } from "node:net";

/** What c-icap asks for, and Squid sends. */
const previewBytes = 1024;
const ended = "\r\n\r\n";
const httpHead = (bytes: number) =>
  `HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: ${bytes}\r\n\r\n`;
const bodyEnd = Buffer.from("\r\n0\r\n\r\n");

export class IcapConnection {
  readonly #socket: Socket;
  readonly #url: URL;
  #received = "";
  /** Of the body, while its preview is on its way. */
  #rest: readonly Buffer[] = [];
  #settle: { readonly resolve: () => void; readonly reject: (error: Error) => void } | null = null;
  #broken: Error | null = null;

  static open(url: URL): Promise<IcapConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new IcapConnection(socket, url));
      });
    });
  }

  private constructor(socket: Socket, url: URL) {
    this.#socket = socket;
    this.#url = url;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new Error("the server closed the connection")));
  }

  /** A RESPMOD whose body is the pieces, longer than a preview the first one. Rejects where the answer is anything but 204. */
  scan(pieces: readonly Buffer[]): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#broken !== null) return reject(this.#broken);
      this.#settle = { resolve, reject };
      const { host, href } = this.#url;
      const size = pieces.reduce((sum, piece) => sum + piece.length, 0);
      const response = httpHead(size);
      const composition = `Encapsulated: res-hdr=0, res-body=${response.length}`;
      const fields = `Host: ${host}\r\nAllow: 204\r\nPreview: ${previewBytes}\r\n${composition}`;
      const [first = Buffer.alloc(0), ...others] = pieces;
      this.#rest = [chunkHead(size - previewBytes), first.subarray(previewBytes), ...others, bodyEnd];
      const head = Buffer.from(`RESPMOD ${href} ICAP/1.0\r\n${fields}\r\n\r\n${response}`, "latin1");
      this.#write([head, chunkHead(previewBytes), first.subarray(0, previewBytes), bodyEnd]);
    });
  }

  close(): void {
    this.#socket.removeAllListeners("close").destroy();
  }

  #read(chunk: Buffer): void {
    this.#received += chunk.toString("latin1");
    if (!this.#received.endsWith(ended)) return;
    const answer = this.#received;
    this.#received = "";
    const [, status] = /^ICAP\/1\.0 (\d+) /.exec(answer) ?? [];
    if (status === "100") this.#write(this.#rest);
    else if (status === "204") {
      this.#settle?.resolve();
      this.#settle = null;
    } else this.#fail(new Error(`the ICAP server answered ${answer.slice(0, 300)}`));
  }

  #write(pieces: readonly Buffer[]): void {
    this.#socket.cork();
    for (const piece of pieces) this.#socket.write(piece);
    this.#socket.uncork();
  }

  #fail(error: Error): void {
    this.#broken ??= error;
    this.#settle?.reject(error);
    this.#settle = null;
    this.#socket.destroy();
  }
}

function chunkHead(size: number): Buffer {
  return Buffer.from(`${size.toString(16)}\r\n`, "latin1");
}
