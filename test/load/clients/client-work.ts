/** What a client process can be told to do, and what it answers. */

import type { Arrivals, ArrivalsOrder } from "./arrivals.ts";
import type { CrowdPlan, CrowdState } from "./crowd.ts";
import type { DownloadedStream, StreamsOrder } from "./download-streams.ts";
import type { FloodPlan, FloodState } from "./flood.ts";
import type { HoardPlan, HoardState } from "./hoard.ts";
import type { Others, OthersOrder } from "./others.ts";
import type { Upload, UploadsOrder } from "./uploads.ts";

export interface ClientWork {
  readonly arrivals: { readonly order: ArrivalsOrder; readonly result: Arrivals };
  /** Opens the crowd and answers when all of it is there; it stays until `disperse`. */
  readonly gather: { readonly order: CrowdPlan; readonly result: CrowdState };
  readonly count: { readonly order: null; readonly result: CrowdState };
  readonly disperse: { readonly order: null; readonly result: CrowdState };
  /** Answers when all its connections are open; it goes on until `release`. */
  readonly hoard: { readonly order: HoardPlan; readonly result: HoardState };
  readonly hoarded: { readonly order: null; readonly result: HoardState };
  readonly release: { readonly order: null; readonly result: HoardState };
  readonly others: { readonly order: OthersOrder; readonly result: Others };
  /** Answers when it has begun; it runs until `ebb`. */
  readonly flood: { readonly order: FloodPlan; readonly result: FloodState };
  readonly ebb: { readonly order: null; readonly result: FloodState };
  readonly uploads: { readonly order: UploadsOrder; readonly result: readonly Upload[] };
  readonly streams: { readonly order: StreamsOrder; readonly result: readonly DownloadedStream[] };
}

export type ClientOrder = {
  readonly [K in keyof ClientWork]: { readonly kind: K; readonly order: ClientWork[K]["order"] };
}[keyof ClientWork];

export type ClientReply =
  | { readonly kind: "done"; readonly result: ClientWork[keyof ClientWork]["result"] }
  | { readonly kind: "failed"; readonly reason: string };
