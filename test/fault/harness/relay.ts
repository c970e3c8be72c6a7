/** A TCP relay that does to each connection what a test says: late, cut, reset, silent, or with other bytes in the answer. */

import { once } from "node:events";
import { connect, createServer, type NetConnectOpts, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { resetConnection } from "../../../src/http/connections.ts";
import { listening } from "../../listening.ts";

/** What befalls one connection. */
export type RelayFault =
  | { readonly kind: "none" }
  /** Reset as soon as it is there. */
  | { readonly kind: "refuse" }
  /** Taken, and never anything else. */
  | { readonly kind: "silence" }
  /** Nobody is behind it: each piece of what is asked is answered by that. */
  | { readonly kind: "babble"; readonly reply: Buffer }
  /** Each piece in either direction so much later. */
  | { readonly kind: "late"; readonly ms: number }
  /** Ended once so many bytes have gone that way; the byte behind them never arrives. */
  | {
      readonly kind: "cut";
      readonly way: "request" | "reply";
      readonly afterBytes: number;
      readonly how: "end" | "reset";
    }
  /**
   * Each reply of clamd is kept until its end and then given on as this, with its number where it has one; `request` is the beginning of what
   * was asked, as far as it had come.
   */
  | { readonly kind: "rewrite"; readonly reply: (reply: Buffer, request: Buffer) => Buffer };

export interface RelayOptions {
  /** The real part behind it. */
  readonly to: NetConnectOpts;
  /** Asked for each connection, counted from 0; default: none. */
  readonly fault?: (index: number) => RelayFault;
}

export interface Relay extends AsyncDisposable {
  readonly port: number;
  /** From the next connection on. */
  setFault(fault: (index: number) => RelayFault): void;
  /** Pieces of what was asked, over all connections. */
  pieces(): number;
  /** Connections that are open now. */
  open(): number;
  /** Resets those that are open. */
  resetAll(): void;
}

const keptRequestBytes = 64 * 1024;

export async function startRelay({ to, fault = () => ({ kind: "none" }) }: RelayOptions): Promise<Relay> {
  let decide = fault;
  let taken = 0;
  let pieces = 0;
  const links = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const index = taken;
    taken += 1;
    links.add(near);
    near.on("error", () => {}); // its other end is told by "close"
    near.on("close", () => links.delete(near));
    near.on("data", () => {
      pieces += 1;
    });
    link(near, to, decide(index));
  });
  const port = await listening(server);
  const cut = () => {
    for (const near of links) resetConnection(near);
  };
  return {
    port,
    setFault(next) {
      decide = next;
    },
    pieces: () => pieces,
    open: () => links.size,
    resetAll: cut,
    async [Symbol.asyncDispose]() {
      cut();
      server.close();
      if (server.listening) await once(server, "close");
    },
  };
}

function link(near: Socket, to: NetConnectOpts, fault: RelayFault): void {
  if (fault.kind === "refuse") return void resetConnection(near);
  if (fault.kind === "silence") return void near.resume();
  if (fault.kind === "babble") return void near.on("data", () => near.write(fault.reply));
  const far = connect({ ...to, allowHalfOpen: true });
  far.on("error", () => resetConnection(near));
  near.on("close", () => far.destroy());
  far.on("close", () => near.destroySoon());
  switch (fault.kind) {
    case "none":
      near.pipe(far);
      far.pipe(near);
      return;
    case "late":
      void carry(near, far, fault.ms);
      void carry(far, near, fault.ms);
      return;
    case "cut": {
      const cut = () => {
        if (fault.how === "reset") resetConnection(near);
        else near.destroySoon();
        far.destroy();
      };
      const [from, onward] = fault.way === "request" ? [near, far] : [far, near];
      upTo(fault.afterBytes, from, onward, cut);
      onward.pipe(from);
      return;
    }
    case "rewrite": {
      let request = Buffer.alloc(0);
      let reply = Buffer.alloc(0);
      let isAnswered = false;
      near.on("data", (chunk: Buffer) => {
        if (isAnswered) request = Buffer.alloc(0);
        isAnswered = false;
        if (request.length < keptRequestBytes) request = Buffer.concat([request, chunk]);
      });
      near.pipe(far);
      far.on("data", (chunk: Buffer) => {
        reply = Buffer.concat([reply, chunk]);
        for (let end = reply.indexOf(0); end !== -1; end = reply.indexOf(0)) {
          const [number = ""] = /^(\d+: )?/.exec(reply.toString("latin1")) ?? [];
          near.write(Buffer.concat([Buffer.from(number), fault.reply(reply.subarray(number.length, end + 1), request)]));
          reply = reply.subarray(end + 1);
          isAnswered = true;
        }
      });
      far.on("end", () => (reply.length > 0 ? near.end(fault.reply(reply, request)) : near.end()));
      return;
    }
  }
}

async function carry(from: Socket, to: Socket, ms: number): Promise<void> {
  try {
    for await (const chunk of from) {
      await delay(ms);
      if (to.destroyed) return;
      to.write(chunk);
    }
    to.end();
  } catch {
    to.destroy(); // the other end has broken: so does this one
  }
}

function upTo(bytes: number, from: Socket, to: Socket, cut: () => void): void {
  let left = bytes;
  if (left === 0) {
    cut();
    return;
  }
  from.on("data", (chunk: Buffer) => {
    if (left <= 0) return;
    const piece = chunk.subarray(0, left);
    left -= piece.length;
    to.write(piece, () => {
      if (left <= 0) cut();
    });
  });
  from.on("end", () => to.end());
}
