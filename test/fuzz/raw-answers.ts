/** Sends bytes over a connection of its own and reads whatever comes back as HTTP/1.1 answers, strictly. */

import { connect } from "node:net";

export interface RawReply {
  readonly answers: readonly { readonly status: number; readonly head: string; readonly body: string }[];
  /** True where bytes came that are no answer. */
  readonly isGarbled: boolean;
  readonly isClosed: boolean;
}

export interface RawOptions {
  /** How long to wait after the last byte for more, where the connection stays open. */
  readonly quietMs?: number;
  readonly maxMs?: number;
}

export async function sendRaw(
  port: number,
  bytes: Uint8Array,
  { quietMs = 60, maxMs = 10_000 }: RawOptions = {},
): Promise<RawReply> {
  const socket = connect(port, "127.0.0.1");
  let text = "";
  let isClosed = false;
  await new Promise<void>((resolve) => {
    const most = setTimeout(resolve, maxMs);
    let quiet: NodeJS.Timeout | undefined;
    const end = () => {
      clearTimeout(most);
      clearTimeout(quiet);
      resolve();
    };
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      clearTimeout(quiet);
      quiet = setTimeout(end, quietMs);
    });
    socket.on("error", () => {}); // reset: what came before counts
    socket.on("close", () => {
      isClosed = true;
      end();
    });
    socket.write(bytes);
  });
  socket.destroy();
  return { ...read(text), isClosed };
}

function read(text: string): Pick<RawReply, "answers" | "isGarbled"> {
  const answers: { status: number; head: string; body: string }[] = [];
  let rest = text;
  while (rest !== "") {
    const end = rest.indexOf("\r\n\r\n");
    const status = /^HTTP\/1\.[01] (\d{3})[ \r]/.exec(rest)?.[1];
    if (end === -1 || status === undefined) return { answers, isGarbled: true };
    const head = rest.slice(0, end);
    const length = Number(/\r\nContent-Length: *(\d+)/i.exec(head)?.[1] ?? 0);
    const isChunked = /\r\nTransfer-Encoding: *chunked/i.test(head);
    if (isChunked) {
      const last = rest.indexOf("0\r\n\r\n", end);
      if (last === -1) return { answers, isGarbled: true };
      answers.push({ status: Number(status), head, body: rest.slice(end + 4, last) });
      rest = rest.slice(last + 5);
      continue;
    }
    if (Number(status) >= 200) answers.push({ status: Number(status), head, body: rest.slice(end + 4, end + 4 + length) });
    rest = rest.slice(end + 4 + (Number(status) >= 200 ? length : 0));
  }
  return { answers, isGarbled: false };
}
