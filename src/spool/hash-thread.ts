/** Hashes large bodies in a thread of its own: it is a third of what they cost the gateway, and every other request would wait for it. */

import { Worker } from "node:worker_threads";
import { ClamgateError } from "../core/errors.ts";
import type { BodyHash, BodyHasher } from "./body-hash.ts";
import type { HashOrder, HashReply } from "./hash-worker.ts";

export interface HashThread extends BodyHasher {
  /** What is being hashed rejects with `internal`. */
  close(): Promise<void>;
}

/** It holds hashes and views of others' memory, and nothing else. */
const resourceLimits = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 32 };

/** Started at once, and again where it has ended by a fault. Keeps the process alive only while it is being waited for. */
export function hashThread(entry: URL = new URL("./hash-worker.ts", import.meta.url)): HashThread {
  let running: RunningThread | null = startThread(entry);
  let nextId = 0;
  return {
    begin() {
      if (running === null || running.hasEnded()) running = startThread(entry);
      return running.begin(nextId++);
    },
    allocate: (bytes) => new Uint8Array(new SharedArrayBuffer(bytes)),
    async close() {
      await running?.end();
    },
  };
}

interface RunningThread {
  begin(id: number): BodyHash;
  hasEnded(): boolean;
  end(): Promise<void>;
}

function startThread(entry: URL): RunningThread {
  const worker = new Worker(entry, { resourceLimits });
  const waiting = new Map<number, PromiseWithResolvers<string>>();
  let fault: ClamgateError | null = null;

  const fail = (detail: string) => {
    fault ??= new ClamgateError("internal", "Internal error", { detail: `the hashing thread ended: ${detail}` });
    for (const { reject } of waiting.values()) reject(fault);
    waiting.clear();
  };
  worker.on("message", ({ id, sha256 }: HashReply) => {
    waiting.get(id)?.resolve(sha256);
    waiting.delete(id);
    if (waiting.size === 0) worker.unref();
  });
  worker.on("error", (error: Error) => fail(error.message));
  worker.on("exit", (code) => fail(`code ${code}`));
  worker.unref();

  function ask(order: HashOrder): Promise<string> {
    if (fault !== null) return Promise.reject(fault);
    const answer = Promise.withResolvers<string>();
    waiting.set(order.id, answer);
    worker.ref();
    worker.postMessage(order);
    return answer.promise;
  }

  function begin(id: number): BodyHash {
    let isOver = false;
    return {
      async update(bytes) {
        if (bytes.length > 0) await ask({ kind: "update", id, bytes });
      },
      digest() {
        isOver = true;
        return ask({ kind: "digest", id });
      },
      abandon() {
        if (!isOver) worker.postMessage({ kind: "abandon", id } satisfies HashOrder);
      },
    };
  }

  return {
    begin,
    hasEnded: () => fault !== null,
    async end() {
      await worker.terminate();
    },
  };
}
