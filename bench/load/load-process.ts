/** The process that makes the load: one of its own, so that what it costs is known and costs nobody else an event loop. */

import { fork } from "node:child_process";
import { once } from "node:events";
import type { LoadOrder, LoadReply, LoadResult } from "./load.ts";

export interface LoadProcess extends AsyncDisposable {
  readonly pid: number;
  /** Rejects when a request of it failed. */
  run(order: LoadOrder): Promise<LoadResult>;
}

export async function startLoadProcess(): Promise<LoadProcess> {
  const child = fork(new URL("./load-child.ts", import.meta.url), { execArgv: [] });
  await once(child, "spawn");
  const exited = once(child, "exit");
  if (child.pid === undefined) throw new Error("the load process was not started");
  return {
    pid: child.pid,
    async run(order) {
      child.send(order);
      const [reply] = (await Promise.race([once(child, "message"), exited.then(() => Promise.reject(new Error("ended")))])) as [
        LoadReply,
      ];
      if (reply.kind === "failed") throw new Error(reply.reason);
      return reply.result;
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await exited;
    },
  };
}
