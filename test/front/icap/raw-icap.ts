/** An ICAP client that sends the bytes it is given and reads answers one after the other. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

export interface Answer {
  readonly status: number;
  /** The ICAP head as it came, without its blank line. */
  readonly head: string;
  /** Of that name; empty where there is none. */
  field(name: string): string;
  /** What is encapsulated. One character per byte; null where there is none. */
  readonly httpHead: string | null;
  readonly body: string | null;
  readonly trailers: string;
}

export type End = "fin" | "reset";

export interface RawIcap extends Disposable {
  readonly socket: Socket;
  send(bytes: string | Uint8Array): Promise<void>;
  /** The next one; null where the connection ends first. */
  answerOrEnd(): Promise<Answer | null>;
  answer(): Promise<Answer>;
  /** How the server has ended the connection, and that it has said nothing more. */
  ended(): Promise<End>;
  /** All that has come. */
  received(): Buffer;
}

export function rawIcap(port: number): RawIcap {
  return onSocket(connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true }));
}

export function onSocket(socket: Socket): RawIcap {
  let all = Buffer.alloc(0);
  let at = 0;
  let end: End | null = null;
  let wake = () => {};
  socket.on("data", (chunk: Buffer) => {
    all = Buffer.concat([all, chunk]);
    wake();
  });
  socket.on("end", () => {
    end ??= "fin";
    wake();
  });
  socket.on("error", () => {
    end = "reset";
    wake();
  });
  socket.on("close", () => {
    end ??= "reset";
    wake();
  });
  const changed = () =>
    new Promise<void>((resolve) => {
      wake = resolve;
    });

  async function answerOrEnd(): Promise<Answer | null> {
    for (;;) {
      const parsed = parseAnswer(all.subarray(at));
      if (parsed !== null) {
        at += parsed.bytes;
        return parsed.answer;
      }
      if (end !== null) return null;
      await changed();
    }
  }

  return {
    socket,
    async send(bytes) {
      if (socket.connecting) await once(socket, "connect").catch(() => {});
      if (!socket.destroyed && !socket.write(bytes))
        await Promise.race([once(socket, "drain"), once(socket, "close")]).catch(() => {});
    },
    answerOrEnd,
    async answer() {
      return (
        (await answerOrEnd()) ??
        assert.fail(`the connection ended (${end}): ${JSON.stringify(all.subarray(at).toString("latin1"))}`)
      );
    },
    async ended() {
      while (end === null) await changed();
      assert.equal(all.subarray(at).toString("latin1"), "", "nothing more was said");
      // A reset may follow a FIN that has been read.
      if (end === "fin") await Promise.race([once(socket, "close"), delay(20)]).catch(() => {});
      return end;
    },
    received: () => all,
    [Symbol.dispose]: () => socket.destroy(),
  };
}

/** Null where it is not whole. */
export function parseAnswer(bytes: Buffer): { readonly answer: Answer; readonly bytes: number } | null {
  const text = bytes.toString("latin1");
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd < 0) return null;
  const head = text.slice(0, headEnd);
  const [, status] = /^ICAP\/1\.0 (\d{3}) \S/.exec(head) ?? assert.fail(`no ICAP answer: ${JSON.stringify(head)}`);
  assert.ok(!/\r(?!\n)|[^\r]\n|\0/.test(head), "a head without bare line ends");
  const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(head)?.[1]?.trimEnd() ?? "";
  const answer = { status: Number(status), head, field };
  let at = headEnd + 4;
  const [, body, offset] = /\b(re[qs]-body|null-body)=(\d+)$/.exec(field("Encapsulated")) ?? [];
  if (body === undefined) return { answer: { ...answer, httpHead: null, body: null, trailers: "" }, bytes: at };
  const httpHead = text.slice(at, at + Number(offset));
  if (httpHead.length < Number(offset)) return null;
  at += Number(offset);
  if (body === "null-body") return { answer: { ...answer, httpHead, body: null, trailers: "" }, bytes: at };
  const chunks = parseChunks(text.slice(at));
  return chunks === null
    ? null
    : { answer: { ...answer, httpHead, body: chunks.body, trailers: chunks.trailers }, bytes: at + chunks.bytes };
}

function parseChunks(text: string): { readonly body: string; readonly trailers: string; readonly bytes: number } | null {
  const pieces: string[] = [];
  let at = 0;
  for (;;) {
    const lineEnd = text.indexOf("\r\n", at);
    if (lineEnd < 0) return null;
    const size = Number.parseInt(text.slice(at, lineEnd), 16);
    assert.ok(Number.isInteger(size), `a chunk begins with ${JSON.stringify(text.slice(at, lineEnd))}`);
    at = lineEnd + 2;
    if (size > 0) {
      if (text.length < at + size + 2) return null;
      pieces.push(text.slice(at, at + size));
      assert.equal(text.slice(at + size, at + size + 2), "\r\n", "a chunk ends in CRLF");
      at += size + 2;
      continue;
    }
    const end = text.startsWith("\r\n", at) ? at : text.indexOf("\r\n\r\n", at);
    if (end < 0 || text.length < at + 2) return null;
    const trailers = end === at ? "" : text.slice(at, end + 2);
    return { body: pieces.join(""), trailers, bytes: end === at ? at + 2 : end + 4 };
  }
}

export function chunked(body: string | Buffer, last = "0"): string {
  const text = typeof body === "string" ? body : body.toString("latin1");
  return `${text === "" ? "" : `${text.length.toString(16)}\r\n${text}\r\n`}${last}\r\n\r\n`;
}

export interface ModParts {
  readonly service?: string;
  /** Lines of the ICAP head, each with its CRLF. */
  readonly fields?: string;
  readonly requestHead?: string | null;
  readonly responseHead?: string | null;
  /** Chunks and all; null: null-body. */
  readonly body?: string | null;
}

export const getHead = "GET http://origin.example/file HTTP/1.1\r\nHost: origin.example\r\n\r\n";

export function okHead(...lines: readonly string[]): string {
  return `HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`;
}

export function respmod({
  service = "avscan",
  fields = "",
  requestHead = null,
  responseHead = okHead(),
  body = null,
}: ModParts): string {
  const heads = [
    ...(requestHead === null ? [] : [["req-hdr", requestHead] as const]),
    ...(responseHead === null ? [] : [["res-hdr", responseHead] as const]),
  ];
  return mod("RESPMOD", service, fields, heads, body === null ? "null-body" : "res-body", body);
}

export function reqmod({ service = "avscan", fields = "", requestHead = getHead, body = null }: ModParts): string {
  const heads = requestHead === null ? [] : [["req-hdr", requestHead] as const];
  return mod("REQMOD", service, fields, heads, body === null ? "null-body" : "req-body", body);
}

function mod(
  method: string,
  service: string,
  fields: string,
  heads: readonly (readonly [string, string])[],
  bodyName: string,
  body: string | null,
): string {
  let offset = 0;
  const items: string[] = [];
  for (const [name, head] of heads) {
    items.push(`${name}=${offset}`);
    offset += head.length;
  }
  items.push(`${bodyName}=${offset}`);
  const head = `${method} icap://127.0.0.1/${service} ICAP/1.0\r\nHost: 127.0.0.1\r\n${fields}Encapsulated: ${items.join(", ")}\r\n\r\n`;
  return head + heads.map(([, text]) => text).join("") + (body ?? "");
}
