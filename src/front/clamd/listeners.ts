/** The sockets that the clamd door listens on (clamd-front.md D35-D37). */

import { chmod, lstat, rename, rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { describeListenAddress, type ListenAddress } from "../../codec/clamd/listen-address.ts";
import { systemCodeOf } from "../../core/errors.ts";

export interface Listeners {
  /** As `tcp://127.0.0.1:3310`, with the port that was given. */
  readonly addresses: readonly string[];
  /** Takes no new connections, and removes the sockets' files. */
  close(): Promise<void>;
}

/** Whoever listens there answers at once. */
const probeMs = 1_000;

/** Rejects with the address that cannot be had, in an Error's message, and why as its cause; nothing listens then. */
export async function openListeners(
  addresses: readonly ListenAddress[],
  accept: (socket: Socket, address: ListenAddress) => void,
): Promise<Listeners> {
  const opened: { readonly address: string; readonly close: () => Promise<void> }[] = [];
  const close = async () => {
    await Promise.all(opened.map((listener) => listener.close()));
  };
  try {
    for (const address of addresses) {
      const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => accept(socket, address));
      try {
        opened.push(address.kind === "tcp" ? await listenOnPort(server, address) : await listenOnPath(server, address));
      } catch (error) {
        const isOptional = address.kind === "tcp" && address.isOptional === true;
        if (!isOptional || !isAddressMissing(error)) throw new Error(describeListenAddress(address), { cause: error });
      }
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { addresses: opened.map(({ address }) => address), close };
}

async function listenOnPort(server: Server, address: ListenAddress & { readonly kind: "tcp" }) {
  // Both families only where all addresses are meant.
  const ipv6Only = address.host !== "::";
  await listening(server, { host: address.host, port: address.port, ipv6Only });
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : address.port;
  return { address: describeListenAddress({ ...address, port }), close: async () => void server.close() };
}

/** Made under a name of its own and put in place whole, with its permissions: nobody finds it half-made. */
async function listenOnPath(server: Server, address: ListenAddress & { readonly kind: "unix" }) {
  const { path, mode } = address;
  const found = await lstat(path).catch(() => null);
  if (found !== null && !found.isSocket()) throw new Error(`${path} is there and is no socket`);
  if (found !== null && (await isAnswered(path))) throw new Error(`${path} is in use: something answers there`);
  const privatePath = `${path}~`;
  await rm(privatePath, { force: true });
  await listening(server, { path: privatePath });
  await chmod(privatePath, mode);
  await rename(privatePath, path);
  const { ino } = await lstat(path);
  return {
    address: describeListenAddress(address),
    async close() {
      server.close();
      // Another gateway may have put its own there since.
      const now = await lstat(path).catch(() => null);
      if (now?.ino === ino) await rm(path, { force: true });
    },
  };
}

function listening(server: Server, options: { host: string; port: number; ipv6Only: boolean } | { path: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ ...options, backlog: 511 }, () => {
      server.off("error", reject);
      // As of accept(2) without a free descriptor: later connections are served again.
      server.on("error", () => {});
      resolve();
    });
  });
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path, timeout: probeMs });
    const settle = (isThere: boolean) => {
      socket.destroy();
      resolve(isThere);
    };
    socket.once("connect", () => settle(true));
    // One that has no room in its line for us is there too.
    socket.once("timeout", () => settle(true));
    socket.once("error", (error: NodeJS.ErrnoException) => settle(error.code === "EAGAIN"));
  });
}

function isAddressMissing(error: unknown): boolean {
  const code = systemCodeOf(error);
  return code === "EADDRNOTAVAIL" || code === "EAFNOSUPPORT";
}
