/** A clamd in a thread of its own that answers and closes while the test's thread is blocked: the answer then lies in the socket unread. */

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { ClamdAddress } from "../../src/clamd/connection.ts";

export interface RefusingPeer extends AsyncDisposable {
  readonly address: ClamdAddress;
  /** Blocks this thread until the peer has answered its next connection and closed it. */
  refuseNow(): void;
}

/** It reads nothing: bytes that are left unread make its close a reset. */
const program = `
  const { parentPort, workerData: { reply, path, turns } } = require("node:worker_threads");
  const server = require("node:net").createServer({ pauseOnConnect: true }, (socket) => {
    Atomics.wait(turns, 0, 0);
    Atomics.store(turns, 0, 0);
    socket.on("error", () => {});
    const close = () => socket.destroy();
    socket.on("close", () => {
      Atomics.store(turns, 1, 1);
      Atomics.notify(turns, 1);
    });
    if (reply === "") close();
    else socket.write(reply, close);
  });
  server.listen(path === null ? { host: "127.0.0.1", port: 0 } : { path }, () => parentPort.postMessage(server.address()));
`;

/** @param path of its socket; null listens on TCP. */
export async function startRefusingPeer(reply: string, path: string | null): Promise<RefusingPeer> {
  const turns = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(program, { eval: true, workerData: { reply, path, turns } });
  const [listening] = await once(worker, "message");
  return {
    address: path === null ? { kind: "tcp", host: "127.0.0.1", port: listening.port } : { kind: "unix", path },
    refuseNow() {
      Atomics.store(turns, 0, 1);
      Atomics.notify(turns, 0);
      Atomics.wait(turns, 1, 0);
      Atomics.store(turns, 1, 0);
    },
    async [Symbol.asyncDispose]() {
      await worker.terminate();
    },
  };
}
