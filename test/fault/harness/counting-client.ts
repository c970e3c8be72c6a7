/** A client that counts every byte it sends and gets, and never takes a cut answer for a whole one. */

import { Agent, type ClientRequest, type IncomingMessage, request as send } from "node:http";
import type { Socket } from "node:net";

export interface Exchange {
  /** Null where no whole answer came. */
  readonly answer: Answer | null;
  /** Why there is none. */
  readonly fault: string | null;
  /** True where this client itself has ended the exchange. */
  readonly hasLeft: boolean;
  /** What had come of the body of an answer that was cut. */
  readonly cutBody: Buffer | null;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly elapsedMs: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

export interface Message {
  readonly method?: string;
  /** Absolute path with its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
  /** Ends the exchange by force. */
  readonly signal?: AbortSignal;
}

export interface CountingClient extends Disposable {
  /** Never rejects. */
  send(message: Message): Promise<Exchange>;
}

/** Less than the gateway keeps an idle connection for. Without one Node's agent does not heed the gateway's `Keep-Alive` either. */
const idleMs = 60_000;

/** @param url of the gateway, `http:`. */
export function countingClient(url: string, { connections = 64 }: { readonly connections?: number } = {}): CountingClient {
  const agent = new Agent({ keepAlive: true, maxSockets: connections, timeout: idleMs });
  return {
    send: (message) => exchange(url, agent, message),
    [Symbol.dispose]: () => agent.destroy(),
  };
}

function exchange(url: string, agent: Agent, { method = "POST", path, headers = {}, body, signal }: Message): Promise<Exchange> {
  const startedAt = performance.now();
  const { promise, resolve } = Promise.withResolvers<Exchange>();
  const isWhole = body instanceof Uint8Array;
  const length = isWhole ? { "content-length": String(body.length) } : {};
  const outgoing = send(new URL(path, url), { method, agent, headers: { ...length, ...headers } });
  const count = byteCounter(outgoing);
  let chunks: Buffer[] | null = null;
  const settle = (answer: Answer | null, fault: string | null) => {
    const hasLeft = signal?.aborted === true;
    const cutBody = answer === null && chunks !== null ? Buffer.concat(chunks) : null;
    resolve({ answer, fault, hasLeft, cutBody, ...count(), elapsedMs: performance.now() - startedAt });
  };
  const leave = () => outgoing.destroy(new Error("the client left"));
  if (signal?.aborted) leave();
  signal?.addEventListener("abort", leave, { once: true });
  outgoing.on("close", () => signal?.removeEventListener("abort", leave));
  // A reset in mid-answer is told here first.
  outgoing.on("error", (error) => settle(null, error.message));
  outgoing.on("response", (incoming) => {
    const received: Buffer[] = [];
    chunks = received;
    incoming.on("data", (chunk: Buffer) => received.push(chunk));
    const cut = () => settle(null, "the answer was cut");
    incoming.on("error", cut).on("close", cut);
    incoming.on("end", () => {
      if (!incoming.complete) return cut();
      settle({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(received) }, null);
    });
  });
  if (body === undefined || isWhole) outgoing.end(body);
  else void pour(body, outgoing);
  return promise;
}

async function pour(body: Iterable<Uint8Array> | AsyncIterable<Uint8Array>, outgoing: ClientRequest): Promise<void> {
  for await (const chunk of body) {
    if (outgoing.destroyed) return;
    if (outgoing.write(chunk)) continue;
    await new Promise<void>((resolve) => outgoing.once("drain", resolve).once("close", resolve));
  }
  outgoing.end();
}

/** What went over the socket since the request got it; a socket is kept for the next request. */
function byteCounter(outgoing: ClientRequest): () => Pick<Exchange, "sentBytes" | "receivedBytes"> {
  let socket: Socket | null = null;
  let sentBefore = 0;
  let receivedBefore = 0;
  outgoing.once("socket", (given: Socket) => {
    socket = given;
    sentBefore = given.bytesWritten;
    receivedBefore = given.bytesRead;
  });
  return () => ({
    sentBytes: socket === null ? 0 : socket.bytesWritten - sentBefore,
    receivedBytes: socket === null ? 0 : socket.bytesRead - receivedBefore,
  });
}
