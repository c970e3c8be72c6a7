/** A TCP port that answers no connection: its backlog is full and nobody accepts, as a host behind a firewall that drops. */

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Worker } from "node:worker_threads";
import type { ClamdAddress } from "../../src/clamd/connection.ts";

export interface DeafListener extends AsyncDisposable {
  readonly address: ClamdAddress;
}

/** The thread that listens goes to sleep with its backlog of one. */
const program = `
  const { parentPort } = require("node:worker_threads");
  const server = require("node:net").createServer().listen({ host: "127.0.0.1", port: 0, backlog: 1 }, () => {
    parentPort.postMessage(server.address().port);
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
  });
`;

export async function startDeafListener(): Promise<DeafListener> {
  const worker = new Worker(program, { eval: true });
  const [port] = await once(worker, "message");
  const sockets: Socket[] = [];
  // Those that the backlog still takes; the first one that stays unconnected shows that it is full.
  for (let isFull = false; !isFull; ) {
    const socket = connect({ host: "127.0.0.1", port });
    socket.on("error", () => {}); // it is cut at the end
    sockets.push(socket);
    isFull = await Promise.race([
      once(socket, "connect").then(() => false),
      new Promise<true>((resolve) => setTimeout(resolve, 200, true)),
    ]);
  }
  return {
    address: { kind: "tcp", host: "127.0.0.1", port },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await worker.terminate();
    },
  };
}
