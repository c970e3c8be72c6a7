/** The connections to a cluster: each key goes to the node that owns it. */

import { createCluster, SocketClosedUnexpectedlyError, SocketTimeoutError } from "@redis/client";
import { type Access, clientOptions, connectTimeoutMs, keyOf, type RedisSession, refusalCode } from "./session.ts";
import { type HostPort, hostPortOf } from "./target.ts";

/** A node that is asked nothing is asked this often whether it is still there, */
const pingMs = 1000;
/** and is dialled anew after this long without a word. */
const silenceMs = 3000;
const redialMs = 1000;
/** A key moves once, or twice while slots are moved about. */
const maxRedirections = 3;

/** @param signal ends the attempt, and nothing of it stays. */
export async function openCluster(
  nodes: readonly HostPort[],
  access: Access,
  random: () => number,
  signal: AbortSignal,
): Promise<RedisSession> {
  const silent = new Set<string>();
  const cluster = createCluster({
    RESP: clientOptions.RESP,
    commandOptions: clientOptions.commandOptions,
    rootNodes: nodes.map((node) => ({ socket: { ...node, socketTimeout: connectTimeoutMs } })),
    defaults: {
      ...clientOptions,
      ...access.credentials,
      pingInterval: pingMs,
      socket: { ...access.tls, connectTimeout: connectTimeoutMs, socketTimeout: silenceMs, reconnectStrategy: redial(random) },
    },
    // One node that is down must not keep us from the others.
    minimizeConnections: true,
    maxCommandRedirections: maxRedirections,
  });
  cluster.on("error", () => {}); // of a try to learn the nodes; the command that needed it fails too
  cluster.on("node-error", (error: unknown, node: HostPort) => {
    // Refusing our ping is an answer as well.
    if (refusalCode(error) === null) silent.add(hostPortOf(node));
  });
  cluster.on("node-ready", (node: HostPort) => silent.delete(hostPortOf(node)));
  cluster.on("node-disconnect", (node: HostPort) => silent.delete(hostPortOf(node)));
  const destroy = () => cluster.destroy();
  signal.addEventListener("abort", destroy, { once: true });
  try {
    await cluster.connect();
  } finally {
    signal.removeEventListener("abort", destroy);
    if (signal.aborted) destroy();
  }
  signal.throwIfAborted();
  return {
    send: (command) => cluster.sendCommand(keyOf(command), command[0] === "GETRANGE", [...command]),
    // Asks every node, so that each is known to be there or not; where the key is kept elsewhere, it says so.
    async probe(key) {
      const asked = cluster.masters.map(async (node) =>
        (await cluster.nodeClient(node)).sendCommand(["GETRANGE", key, "0", "0"]),
      );
      await Promise.any(asked.map((answer) => answer.catch(unlessAnswered)));
    },
    isWhole: () => silent.size === 0,
    lost: new Promise(() => {}),
    destroy,
  };
}

function unlessAnswered(thrown: unknown): void {
  const code = refusalCode(thrown);
  if (code !== "MOVED" && code !== "ASK" && code !== "WRONGTYPE") throw thrown;
}

/**
 * A node that was there is dialled until it is back. One that could not be reached at first is given up: the client lets every
 * command wait for its first connection, and the next command tries anew.
 */
function redial(random: () => number): (retries: number, cause: Error) => number | false {
  return (retries, cause) => (retries > 0 || wasConnected(cause) ? redialMs * (0.5 + random() / 2) : false);
}

function wasConnected(cause: Error): boolean {
  if (cause instanceof SocketClosedUnexpectedlyError || cause instanceof SocketTimeoutError) return true;
  return "syscall" in cause && (cause.syscall === "read" || cause.syscall === "write");
}
