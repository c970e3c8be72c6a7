/** Connects to a target at one of its checked addresses and at no other; over TLS the name is proved (download-proxy.md S4, S21, P24, P30). */

import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, createSecureContext, getCACertificates, type SecureContext } from "node:tls";
import { systemCodeOf } from "../core/errors.ts";
import { tookTooLong, type UpstreamError, unreachable } from "./refusal.ts";
import type { Target } from "./target.ts";

/**
 * Opens one TCP connection. Rejects with the socket's error, or the signal's reason.
 * @param address canonical; never a name.
 */
export type Connect = (address: string, port: number, signal: AbortSignal) => Promise<Socket>;

export interface DialerOptions {
  readonly connect: Connect;
  /** For all addresses together. */
  readonly connectTimeoutMs: number;
  readonly tlsTimeoutMs: number;
  /** How long one address is tried alone before the next is tried beside it. RFC 8305 §5 recommends 250. */
  readonly nextAddressMs: number;
  /** PEM certificates that are trusted besides the usual ones; null for none. */
  readonly extraCa: string | null;
}

export interface Dialer {
  /**
   * The socket is ready for HTTP/1.1, and the caller's to destroy. Rejects with `upstream-failed`, `upstream-timeout`, or the signal's reason.
   * @param addresses all checked; tried in this order, families by turns.
   */
  dial(target: Target, addresses: readonly string[], signal: AbortSignal): Promise<Socket>;
}

/** A plain socket, nothing from the environment, no second lookup. */
export function tcpConnect(address: string, port: number, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    // Node's own `signal` option would go on to end the socket after it has connected.
    const socket = connectTcp({ host: address, port, autoSelectFamily: false, noDelay: true, keepAlive: true });
    const onAbort = () => socket.destroy(signal.reason);
    signal.addEventListener("abort", onAbort);
    socket.once("connect", () => {
      signal.removeEventListener("abort", onAbort);
      socket.off("error", reject);
      resolve(socket);
    });
    socket.once("error", reject);
    socket.once("close", () => signal.removeEventListener("abort", onAbort));
  });
}

export function createDialer(options: DialerOptions): Dialer {
  let context: SecureContext | null = null;
  return {
    async dial(target, addresses, signal) {
      const socket = await connectAny(target, addresses, signal);
      if (target.scheme === "http") return socket;
      // Reading all roots takes milliseconds: once, and only where TLS is spoken.
      context ??= secureContext(options.extraCa);
      return await secure(socket, target.host, context, options.tlsTimeoutMs, signal);
    },
  };

  async function connectAny({ port }: Target, addresses: readonly string[], signal: AbortSignal): Promise<Socket> {
    const timeout = AbortSignal.timeout(options.connectTimeoutMs);
    try {
      return await raceConnections(familiesByTurns(addresses), {
        attempt: (address, attemptSignal) => options.connect(address, port, attemptSignal),
        nextAfterMs: options.nextAddressMs,
        signal: AbortSignal.any([timeout, signal]),
      });
    } catch (error) {
      signal.throwIfAborted();
      if (timeout.aborted) throw tookTooLong("Connecting to the origin took too long");
      throw unreachable(error, { isTransient: true });
    }
  }
}

function secureContext(extraCa: string | null): SecureContext {
  return createSecureContext(extraCa === null ? {} : { ca: [...getCACertificates("default"), extraCa] });
}

function secure(
  raw: Socket,
  host: string,
  secureContext: SecureContext,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const isAddress = host.includes(":") || /^\d+(\.\d+){3}$/.test(host);
    const socket = connectTls({
      socket: raw,
      secureContext,
      host,
      // RFC 6066 §3: no address in SNI; the certificate is held against `host` then.
      ...(isAddress ? {} : { servername: host }),
      // No second protocol, so no second origin on the connection (S19).
      ALPNProtocols: ["http/1.1"],
      // Also against NODE_TLS_REJECT_UNAUTHORIZED=0 (P30).
      rejectUnauthorized: true,
    });
    const end = (settle: () => void) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      settle();
    };
    const fail = (error: unknown) =>
      end(() => {
        socket.on("error", () => {}); // it has failed already
        socket.destroy();
        raw.destroy();
        reject(error);
      });
    const timer = setTimeout(() => fail(tookTooLong("The TLS handshake with the origin took too long")), timeoutMs);
    const onAbort = () => fail(signal.reason);
    const onError = (error: Error): void => fail(handshakeFailed(error));
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort);
    socket.once("error", onError);
    socket.once("secureConnect", () =>
      end(() => {
        socket.off("error", onError);
        resolve(socket);
      }),
    );
  });
}

/** A certificate that is wrong stays wrong. */
function handshakeFailed(error: Error): UpstreamError {
  return unreachable(error, { isTransient: systemCodeOf(error) === "ECONNRESET" });
}

function familiesByTurns(addresses: readonly string[]): string[] {
  const isFirstFamily = (address: string) => address.includes(":") === addresses[0]?.includes(":");
  const first = addresses.filter(isFirstFamily);
  const second = addresses.filter((address) => !isFirstFamily(address));
  return first.flatMap((address, index) => [address, ...second.slice(index, index + 1)]).concat(second.slice(first.length));
}

export interface RaceOptions {
  /** Rejects with the signal's reason when it is called off. */
  readonly attempt: (address: string, signal: AbortSignal) => Promise<Socket>;
  readonly nextAfterMs: number;
  readonly signal: AbortSignal;
}

/** Rejects with the last error when every address has failed, or with the signal's reason. Losers are called off, late ones destroyed. */
export async function raceConnections(
  addresses: readonly string[],
  { attempt, nextAfterMs, signal }: RaceOptions,
): Promise<Socket> {
  signal.throwIfAborted();
  const losers = new AbortController();
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const waiting = [...addresses];
  let open = 0;
  let winner: Socket | null = null;
  let timer: NodeJS.Timeout | undefined;
  let lastError: unknown = new Error("no address to connect to");

  const next = () => {
    clearTimeout(timer);
    const address = waiting.shift();
    if (address === undefined) {
      if (open === 0) reject(lastError);
      return;
    }
    open += 1;
    if (waiting.length > 0) timer = setTimeout(next, nextAfterMs);
    attempt(address, losers.signal).then(
      (socket) => {
        if (winner !== null || losers.signal.aborted) {
          socket.on("error", () => {}); // nobody is interested
          socket.destroy();
          return;
        }
        winner = socket;
        resolve(socket);
      },
      (error: unknown) => {
        open -= 1;
        lastError = error;
        if (!losers.signal.aborted) next();
      },
    );
  };
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    next();
    return await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
    losers.abort(new Error("another address was quicker, or nobody waits"));
  }
}
