/** Sends bytes over a connection of its own and reads whatever comes back as HTTP/1.1 answers, strictly. */

import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

export interface RawReply {
  readonly answers: readonly RawAnswer[];
  /** What stands behind the last answer: the beginning of one more, or what begins none. */
  readonly rest: "nothing" | "part" | "garbage";
}

export interface RawAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

export interface RawConnection {
  /** All that has come so far. */
  bytes(): Buffer;
  reply(): RawReply;
  isClosed(): boolean;
  readonly closed: Promise<void>;
  /** Resolves when nothing more has come for so long after something, and when the connection is closed. */
  quiet(ms: number): Promise<void>;
  destroy(): void;
}

export function openRaw(port: number, bytes: Uint8Array): RawConnection {
  const chunks: Buffer[] = [];
  let isClosed = false;
  const socket = connect(port, "127.0.0.1");
  const closed = new Promise<void>((resolve) => {
    socket.on("close", () => {
      isClosed = true;
      resolve();
    });
  });
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => {}); // reset: what came before counts
  socket.write(bytes);
  const received = () => Buffer.concat(chunks);
  return {
    bytes: received,
    reply: () => read(received().toString("latin1")),
    isClosed: () => isClosed,
    closed,
    async quiet(ms) {
      const { promise, resolve } = Promise.withResolvers<void>();
      let timer: NodeJS.Timeout | undefined;
      const wait = () => {
        clearTimeout(timer);
        timer = setTimeout(resolve, ms);
      };
      socket.on("data", wait);
      if (chunks.length > 0) wait();
      await Promise.race([promise, closed]);
      socket.off("data", wait);
      clearTimeout(timer);
    },
    destroy: () => void socket.destroy(),
  };
}

export interface RawOptions {
  /** How long to wait after the last byte for more, where the connection stays open. */
  readonly quietMs: number;
  readonly maxMs: number;
}

export async function sendRaw(port: number, bytes: Uint8Array, { quietMs, maxMs }: RawOptions): Promise<RawReply> {
  const connection = openRaw(port, bytes);
  await Promise.race([connection.quiet(quietMs), delay(maxMs, undefined, { ref: false })]);
  connection.destroy();
  return connection.reply();
}

function read(text: string): RawReply {
  const answers: RawAnswer[] = [];
  let at = 0;
  while (at < text.length) {
    const next = answerAt(text, at);
    if (next === null) return { answers, rest: mayBecomeAnswer(text.slice(at)) ? "part" : "garbage" };
    // RFC 9110 §15.2: one that is not final belongs to the one behind it.
    if (next.answer.status >= 200) answers.push(next.answer);
    at = next.end;
  }
  return { answers, rest: "nothing" };
}

const statusLine = /^HTTP\/1\.[01] ([1-5]\d\d)[ \r]/;

function mayBecomeAnswer(rest: string): boolean {
  return (
    statusLine.test(rest) ||
    (rest.length < 13 && /^HTTP\/1\.[01] [1-5]?\d{0,2}$|^HTTP\/1\.$/.test(rest)) ||
    "HTTP/1.".startsWith(rest)
  );
}

function answerAt(text: string, start: number): { readonly answer: RawAnswer; readonly end: number } | null {
  const blank = text.indexOf("\r\n\r\n", start);
  if (blank === -1) return null;
  const head = text.slice(start, blank);
  const status = Number(statusLine.exec(`${head}\r`)?.[1]);
  if (Number.isNaN(status)) return null;
  const bodyAt = blank + 4;
  if (status < 200 || status === 204 || status === 304) return { answer: { status, head, body: "" }, end: bodyAt };
  if (/\r\nTransfer-Encoding: *chunked/i.test(head)) {
    const chunked = chunksAt(text, bodyAt);
    return chunked === null ? null : { answer: { status, head, body: chunked.body }, end: chunked.end };
  }
  const end = bodyAt + Number(/\r\nContent-Length: *(\d+)/i.exec(head)?.[1] ?? 0);
  return end > text.length ? null : { answer: { status, head, body: text.slice(bodyAt, end) }, end };
}

function chunksAt(text: string, start: number): { readonly body: string; readonly end: number } | null {
  let body = "";
  let at = start;
  for (;;) {
    const size = /^([0-9a-f]{1,8})\r\n/i.exec(text.slice(at, at + 10));
    if (size === null) return null;
    const [line, hex = ""] = size;
    const length = Number.parseInt(hex, 16);
    at += line.length;
    if (!text.startsWith("\r\n", at + length)) return null;
    body += text.slice(at, at + length);
    at += length + 2;
    if (length === 0) return { body, end: at };
  }
}
