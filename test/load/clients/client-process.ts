/** A process of clients: what they cost falls on no other event loop, and their sockets are not those of the gateway's process. */

import { fork } from "node:child_process";
import { once } from "node:events";
import type { ClientReply, ClientWork } from "./client-work.ts";

export interface ClientProcess extends AsyncDisposable {
  /** One piece of work at a time. Rejects with what went wrong there. */
  run<K extends keyof ClientWork>(kind: K, order: ClientWork[K]["order"]): Promise<ClientWork[K]["result"]>;
}

export async function startClientProcess(): Promise<ClientProcess> {
  const child = fork(new URL("./client-child.ts", import.meta.url), { execArgv: [] });
  const exited = once(child, "exit");
  await once(child, "spawn");
  return {
    async run<K extends keyof ClientWork>(kind: K, order: ClientWork[K]["order"]) {
      const answered = once(child, "message");
      child.send({ kind, order });
      const ended = exited.then(() => Promise.reject(new Error("the client process ended")));
      const [reply] = (await Promise.race([answered, ended])) as [ClientReply]; // what client-child.ts sends
      if (reply.kind === "failed") throw new Error(reply.reason);
      return reply.result as ClientWork[K]["result"]; // the answer to this very order
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await exited;
    },
  };
}
