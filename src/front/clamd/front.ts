/** The clamd door: whoever may come in gets a conversation, and all of them end when the gateway stops (clamd-front.md 5). */

import type { Socket } from "node:net";
import type { OnError } from "../../codec/clamd/answer.ts";
import { mayConnect, type PeerRule } from "../../codec/clamd/peer-rule.ts";
import { clientNetwork } from "../../codec/ip-address.ts";
import type { ClamdRefusal } from "../../core/events.ts";
import { ActiveSet } from "../../core/queues/active-set.ts";
import { createTurns } from "../../core/queues/turns.ts";
import { createScanRoots } from "../paths/scan-roots.ts";
import { walkLimits, walkTurnLimits } from "../paths/walk.ts";
import { Conversation, type ConversationParts } from "./conversation.ts";
import type { Peer } from "./streamed-body.ts";

export interface ClamdFrontOptions extends Omit<ConversationParts, "roots" | "walkLimits" | "walkTurns"> {
  /** SCAN_PATH_ROOTS: absolute paths; none closes SCAN and its relatives. */
  readonly scanPathRoots: readonly string[];
  /** Besides this machine. */
  readonly allowFrom: readonly PeerRule[];
  /** At once, of all listeners together. */
  readonly maxConnections: number;
}

export interface ClamdFront {
  /** @param socket just accepted, by a listener with `allowHalfOpen` and `noDelay`. */
  accept(socket: Socket, listener: { readonly kind: "tcp" | "unix"; readonly onError: OnError }): void;
  /** Open now. */
  connections(): number;
  /** Resolves when the last one has been answered and has ended. */
  drain(): Promise<void>;
  /** Cuts what is left. */
  destroy(): void;
}

/** For a client that is refused to read why, before the close takes it along. */
const refusalMs = 1_000;
/** Refusals that wait at once for that; further ones are cut. */
const maxRefusals = 256;

const refusals = {
  peer: "Access denied. ERROR\n",
  connections: "Too many connections. ERROR\n",
} as const satisfies Partial<Record<ClamdRefusal, string>>;

export function createClamdFront(options: ClamdFrontOptions): ClamdFront {
  const { scanPathRoots, allowFrom, maxConnections, emit } = options;
  const parts: ConversationParts = {
    ...options,
    roots: scanPathRoots.length === 0 ? null : createScanRoots(scanPathRoots),
    walkLimits,
    walkTurns: createTurns(walkTurnLimits),
  };
  const open = new ActiveSet<{ readonly socket: Socket; readonly conversation: Conversation }>();
  const refused = new Set<Socket>();
  let isDraining = false;
  let onEmpty: (() => void) | null = null;

  function refuse(socket: Socket, peer: Peer, reason: keyof typeof refusals): void {
    emit({ kind: "clamd-refused", reason, peer: peer.name, detail: "" });
    socket.on("error", () => {}); // it may be gone already
    if (refused.size >= maxRefusals) {
      socket.destroy();
      return;
    }
    refused.add(socket);
    const timer = setTimeout(() => socket.destroy(), refusalMs);
    socket.on("close", () => {
      clearTimeout(timer);
      refused.delete(socket);
    });
    socket.end(refusals[reason]);
    socket.resume();
  }

  return {
    accept(socket, { kind, onError }) {
      const peer = kind === "unix" ? localPeer : peerOf(socket);
      if (kind === "tcp" && !mayConnect(socket.remoteAddress ?? "", allowFrom)) {
        refuse(socket, peer, "peer");
        return;
      }
      if (open.size >= maxConnections) {
        refuse(socket, peer, "connections");
        return;
      }
      const conversation = new Conversation(socket, { peer, onError, parts });
      const leave = open.add({ socket, conversation });
      socket.on("close", () => {
        leave();
        if (open.size === 0) onEmpty?.();
      });
      if (isDraining) conversation.drain();
    },
    connections: () => open.size,
    drain() {
      isDraining = true;
      for (const { conversation } of open.items()) conversation.drain();
      if (open.size === 0) return Promise.resolve();
      return new Promise((resolve) => {
        onEmpty = resolve;
      });
    },
    destroy() {
      for (const { socket } of open.items()) socket.destroy();
      for (const socket of refused) socket.destroy();
    },
  };
}

const localPeer: Peer = { client: "local", name: "local" };

function peerOf({ remoteAddress = "", remotePort = 0 }: Socket): Peer {
  return { client: clientNetwork(remoteAddress), name: `${remoteAddress.replace(/^::ffff:/, "")}@${remotePort}` };
}
