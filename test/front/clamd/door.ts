/** The clamd door on a TCP port and a Unix socket, over a scan that does as a test says. */

import { join } from "node:path";
import type { OnError } from "../../../src/codec/clamd/answer.ts";
import type { GatewayEvent } from "../../../src/core/events.ts";
import { type ClamdFront, type ClamdFrontOptions, createClamdFront } from "../../../src/front/clamd/front.ts";
import { openListeners } from "../../../src/front/clamd/listeners.ts";
import { scratchDirectory } from "../../scratch-directory.ts";
import { createFakeScan, type FakeScan, type FakeScanOptions, realVersion } from "../rest/fake-scan.ts";
import type { DoorAddress } from "./door-client.ts";

export interface Door extends AsyncDisposable {
  readonly tcp: DoorAddress;
  readonly unix: DoorAddress;
  readonly front: ClamdFront;
  readonly fake: FakeScan;
  readonly events: readonly GatewayEvent[];
  /** What it listens on no more. */
  closeListeners(): Promise<void>;
}

export interface DoorOptions {
  readonly scan?: Partial<FakeScanOptions>;
  readonly front?: Partial<ClamdFrontOptions>;
  readonly onError?: OnError;
}

export const maxBytes = 100_000;

export async function openDoor({ scan = {}, front: given = {}, onError = "error" }: DoorOptions = {}): Promise<Door> {
  const fake = createFakeScan({ maxBytes, ...scan });
  const events: GatewayEvent[] = [];
  let ids = 0;
  const front = createClamdFront({
    scan: fake.scan,
    engineVersion: () => realVersion,
    poolStats: () => ({ backendsUp: 1, slots: 10, inFlight: 1, queued: 2 }),
    maxBytes,
    scanPathRoots: [],
    allowFrom: [],
    maxConnections: 1_000,
    commandTimeoutMs: 30_000,
    readTimeoutMs: 120_000,
    minBytesPerSecond: 0,
    answerTimeoutMs: 60_000,
    uniqueId: () => {
      ids += 1;
      return `r${ids}`;
    },
    emit: (event) => events.push(event),
    clock: () => performance.now(),
    ...given,
  });
  const directory = await scratchDirectory({});
  const path = join(directory.path, "door.sock");
  const addresses = [
    { kind: "tcp", host: "127.0.0.1", port: 0, onError },
    { kind: "unix", path, mode: 0o660, onError },
  ] as const;
  const listeners = await openListeners(addresses, front.accept);
  const [tcp = ""] = listeners.addresses;
  return {
    tcp: { host: "127.0.0.1", port: Number(new URL(tcp).port) },
    unix: { path },
    front,
    fake,
    events,
    closeListeners: () => listeners.close(),
    async [Symbol.asyncDispose]() {
      await listeners.close();
      front.destroy();
      await directory[Symbol.asyncDispose]();
    },
  };
}
