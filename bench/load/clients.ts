/** Clients of each kind of load: each sends one request, waits for its answer, checks it, and goes on. */

import { makeBodies } from "./body.ts";
import { openClamdClient } from "./clamd-client.ts";
import { HttpConnection } from "./http-connection.ts";
import { IcapConnection } from "./icap-connection.ts";
import type { Load } from "./load.ts";

export interface Client {
  /** One request. Resolves with the time to the answer's first byte, null where that cannot be told. */
  once(): Promise<number | null>;
  close(): void;
}

const boundary = "----clamgate-bench-7MA4YWxkTrZu0gW";
const partHead = `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="body.bin"\r\ncontent-type: application/octet-stream\r\n\r\n`;
const partEnd = `\r\n--${boundary}--\r\n`;

/** @param run tells the bodies of this order from those of any other: 8 characters. */
export async function openClients(load: Load, count: number, run: string): Promise<readonly Client[]> {
  switch (load.kind) {
    case "upload":
      return openUploads(load, count, run);
    case "download":
      return openDownloads(load, count, run);
    case "clamd": {
      const { command, socketPath, directory, body } = load;
      const bodies = makeBodies(body, run);
      const indices = Array.from({ length: count }, (_, index) => index);
      return Promise.all(
        indices.map(async (index) => {
          const client = await openClamdClient(command, { socketPath, directory, index });
          return { once: () => client.scan(bodies.next()).then(() => null), close: client.close };
        }),
      );
    }
    case "icap": {
      const bodies = makeBodies(load.body, run);
      const connections = await Promise.all(Array.from({ length: count }, () => IcapConnection.open(new URL(load.url))));
      return connections.map((connection) => ({
        once: () => connection.scan(bodies.next()).then(() => null),
        close: () => connection.close(),
      }));
    }
  }
}

async function openUploads(
  { url, body, isRaw = false, key }: Extract<Load, { kind: "upload" }>,
  count: number,
  run: string,
): Promise<readonly Client[]> {
  const { host, hostname, port, pathname } = new URL(url);
  const bodies = makeBodies(body, run);
  const [before, behind] = isRaw ? ["", ""] : [partHead, partEnd];
  const type = isRaw ? "application/octet-stream" : `multipart/form-data; boundary=${boundary}`;
  const length = before.length + bodies.bytes + behind.length;
  const shown = key === undefined ? "" : `authorization: Bearer ${key}\r\n`;
  const head = Buffer.from(
    `POST ${pathname} HTTP/1.1\r\nhost: ${host}\r\n${shown}content-type: ${type}\r\ncontent-length: ${length}\r\n\r\n${before}`,
    "latin1",
  );
  const end = Buffer.from(behind, "latin1");
  const isSmall = body.bytes <= 65_536;
  return Promise.all(
    Array.from({ length: count }, async () => {
      const connection = await HttpConnection.open(hostname, Number(port));
      return {
        async once() {
          const pieces = [head, ...bodies.next(), end];
          const answer = await connection.request(isSmall ? [Buffer.concat(pieces)] : pieces);
          if (answer.status !== 200 || !/\bOK\b/.test(answer.text))
            throw new Error(`${url} answered ${answer.status}: ${answer.text}`);
          return answer.firstByteMs;
        },
        close: () => connection.close(),
      };
    }),
  );
}

async function openDownloads(
  { url, headers, isUnique, bytes }: Extract<Load, { kind: "download" }>,
  count: number,
  run: string,
): Promise<readonly Client[]> {
  const { host, hostname, port, pathname } = new URL(url);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  let number = 0;
  const head = () => {
    number += 1;
    const query = isUnique ? `?${run}${number}` : "";
    return Buffer.from(`GET ${pathname}${query} HTTP/1.1\r\nhost: ${host}\r\n${lines.join("")}\r\n`, "latin1");
  };
  const same = head();
  return Promise.all(
    Array.from({ length: count }, async () => {
      const connection = await HttpConnection.open(hostname, Number(port));
      return {
        async once() {
          const { status, bodyBytes, firstByteMs, text } = await connection.request([isUnique ? head() : same]);
          if (status !== 200 || bodyBytes !== bytes) throw new Error(`${url} answered ${status}, ${bodyBytes} bytes: ${text}`);
          return firstByteMs;
        },
        close: () => connection.close(),
      };
    }),
  );
}
