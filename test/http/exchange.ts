/** A plain HTTP/1.1 or h2c server for one test, whose exchanges are handed to the test as they come. */

import { createServer } from "node:http";
import { createServer as createHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import type { RawRequest, RawResponse } from "../../src/http/raw.ts";
import { listening } from "../listening.ts";

export interface TestServer extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
}

export async function serve(
  version: 1 | 2,
  exchange: (request: RawRequest, response: RawResponse) => Promise<void>,
): Promise<TestServer> {
  const sockets = new Set<Socket>();
  const server = version === 1 ? createServer(exchange) : createHttp2(exchange);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
  });
  server.on("sessionError", () => {});
  const port = await listening(server);
  return {
    port,
    url: `http://127.0.0.1:${port}/`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The two versions' methods have no common signature. */
export function say(response: RawResponse, text: string): void {
  if ("stream" in response) response.write(text);
  else response.write(text);
}

export function answer(response: RawResponse, status: number, text: string): void {
  if (!response.headersSent) response.statusCode = status;
  if ("stream" in response) response.end(text);
  else response.end(text);
}

/** A raw connection that reads nothing until it is asked to. */
export class RawClient implements Disposable {
  readonly socket: Socket;
  #text = "";
  #error: Error | null = null;

  constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    this.socket.on("error", (error) => {
      this.#error = error;
    });
    this.socket.pause();
  }

  /** Writes and waits until the kernel has it all. */
  async send(bytes: string | Uint8Array): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.socket.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** What the server has said so far, until it matches. Fails when the connection ends before it does. */
  async readUntil(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.#text)) {
      const chunk: Buffer | null = this.socket.read();
      if (chunk !== null) this.#text += chunk.toString("latin1");
      else if (this.socket.readableEnded || this.socket.destroyed)
        throw new Error(`ended after ${JSON.stringify(this.#text)}`, { cause: this.#error });
      else await this.#change();
    }
    const read = this.#text;
    this.#text = "";
    return read;
  }

  /** Resolves when the server has closed or reset the connection; what it said before is dropped. */
  async closed(): Promise<void> {
    this.socket.resume();
    if (!this.socket.readableEnded && !this.socket.destroyed) await this.#change(["end", "close"]);
  }

  async #change(events: readonly string[] = ["readable", "end", "close"]): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const event of events) this.socket.once(event, resolve);
    await promise;
    for (const event of events) this.socket.off(event, resolve);
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}
