/** What a load process is told to do, and what it answers. */

import type { BodyPlan } from "./body.ts";

export type Load =
  | {
      readonly kind: "upload";
      readonly url: string;
      readonly body: BodyPlan;
      /** The body alone, in no form. */
      readonly isRaw?: boolean;
      /** That shows who asks. */
      readonly key?: string;
    }
  | {
      readonly kind: "download";
      readonly url: string;
      /** Besides Host. */
      readonly headers: Readonly<Record<string, string>>;
      /** Puts another number behind the URL's query each time. */
      readonly isUnique: boolean;
      readonly bytes: number;
    }
  | {
      readonly kind: "clamd";
      readonly socketPath: string;
      readonly command: ClamdCommand;
      readonly body: BodyPlan;
      /** For the files of SCAN: readable to clamd. */
      readonly directory: string;
    }
  | {
      /** RESPMODs on kept connections. */
      readonly kind: "icap";
      readonly url: string;
      readonly body: BodyPlan;
    };

/**
 * instream: a connection per scan; session: all scans of one client in one IDSESSION; write-and-scan: SCAN by path of a file
 * that is written first, as unique content must be; scan: SCAN of a file that lies there already.
 */
export type ClamdCommand = "instream" | "session" | "write-and-scan" | "scan";

export interface LoadOrder {
  readonly load: Load;
  /** Connections that each wait for their answer before they go on. */
  readonly clients: number;
  readonly seconds: number;
  /** Ends earlier when so many have been answered. */
  readonly most: number | null;
}

export interface LoadResult {
  readonly count: number;
  /** From the first request to the last answer. */
  readonly seconds: number;
  /** Of bodies. */
  readonly bytes: number;
  /** Of processor, of the load process itself. */
  readonly cpuSeconds: number;
  readonly latency: Latency;
  readonly firstByte: Latency;
}

/** Milliseconds. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export type LoadReply =
  | { readonly kind: "done"; readonly result: LoadResult }
  | { readonly kind: "failed"; readonly reason: string };
