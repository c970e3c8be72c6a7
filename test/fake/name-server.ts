/** A DNS server on loopback that answers as its script says, over UDP and TCP at one port (RFC 1035). */

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { parseIpAddress } from "../../src/codec/ip-address.ts";
import { listening } from "../listening.ts";

export type Kind = "A" | "AAAA";

export type Script = (name: string, kind: Kind) => Reply;

export type Reply =
  | "nxdomain"
  | "servfail"
  | "refused"
  /** Nothing comes back. */
  | "silent"
  /** Of the kind that was asked for; none: the name is there without such an address. */
  | readonly string[]
  /** Cut off over UDP, whole over TCP. */
  | { readonly truncated: readonly string[] };

export interface NameServer extends AsyncDisposable {
  /** `127.0.0.1:port` */
  readonly address: string;
  /** `udp A name.example`, in order. */
  readonly asked: string[];
}

const codes = { servfail: 2, nxdomain: 3, refused: 5 } as const;
const kinds: ReadonlyMap<number, Kind> = new Map([
  [1, "A"],
  [28, "AAAA"],
]);

export async function startNameServer(script: Script): Promise<NameServer> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const udp = createSocket("udp4");
  const tcp = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {}); // whoever asked has gone
    socket.on("close", () => sockets.delete(socket));
    // Questions are small: each comes in one piece.
    socket.on("data", (data: Buffer) => {
      const answer = answerTo(data.subarray(2), "tcp");
      if (answer === null) return;
      const length = Buffer.alloc(2);
      length.writeUInt16BE(answer.length);
      socket.write(Buffer.concat([length, answer]));
    });
  });
  const port = await listening(tcp);
  udp.on("message", (data, from) => {
    const answer = answerTo(data, "udp");
    if (answer !== null) udp.send(answer, from.port, from.address, () => {}); // whoever asked may have gone
  });
  udp.bind(port, "127.0.0.1");
  await once(udp, "listening");

  function answerTo(question: Buffer, over: "udp" | "tcp"): Buffer | null {
    const { name, end } = nameIn(question);
    const kind = kinds.get(question.readUInt16BE(end));
    if (kind === undefined) throw new Error("only addresses are asked for here");
    asked.push(`${over} ${kind} ${name}`);
    const reply = script(name, kind);
    if (reply === "silent") return null;
    const isCut = typeof reply === "object" && "truncated" in reply && over === "udp";
    const whole = typeof reply === "object" && "truncated" in reply ? reply.truncated : reply;
    const code = typeof whole === "string" ? codes[whole] : 0;
    const addresses = isCut || typeof whole === "string" ? [] : whole;
    const head = Buffer.alloc(12);
    head.writeUInt16BE(question.readUInt16BE(0), 0);
    head.writeUInt16BE(0x8180 | (isCut ? 0x0200 : 0) | code, 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(addresses.length, 6);
    return Buffer.concat([head, question.subarray(12, end + 4), ...addresses.map((address) => record(address, kind))]);
  }

  return {
    address: `127.0.0.1:${port}`,
    asked,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      udp.close();
      tcp.close();
      await Promise.all([once(udp, "close"), once(tcp, "close")]);
    },
  };
}

function nameIn(message: Buffer): { name: string; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = message.readUInt8(at); length > 0; length = message.readUInt8(at)) {
    labels.push(message.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join("."), end: at + 1 };
}

/** The name is the question's; the answer stands for a minute. */
function record(address: string, kind: Kind): Buffer {
  const data = kind === "A" ? Buffer.from(address.split(".").map(Number)) : ipv6Bytes(address);
  const head = Buffer.from([0xc0, 12, 0, kind === "A" ? 1 : 28, 0, 1, 0, 0, 0, 60, 0, data.length]);
  return Buffer.concat([head, data]);
}

function ipv6Bytes(address: string): Buffer {
  const [before = "", after = ""] = (parseIpAddress(address)?.text ?? address).split("::");
  const groups = (text: string) => text.split(":").filter((group) => group !== "");
  const zeros = Array.from({ length: 8 - groups(before).length - groups(after).length }, () => "0");
  const all = [...groups(before), ...zeros, ...groups(after)];
  return Buffer.from(all.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]));
}
