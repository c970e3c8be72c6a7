/** A stream that lets bytes pass once they have been scanned, for pipelines that end in a disk or a bucket. */

import type { Duplex } from "node:stream";
import { ScanError, toScanError } from "./errors.ts";
import type { HeldBody } from "./hold.ts";
import { BlockedError, type Report } from "./report.ts";
import { counted, type Source, sourceOf } from "./source.ts";
import type { TargetScan } from "./target.ts";

/** Of one stream. */
export interface ThroughOptions {
  /**
   * `verdict` (the default) sends nothing before the verdict. `tail` lets all flow but the last byte, so that what lies behind must
   * throw away what it has when the stream is destroyed.
   */
  readonly release?: "verdict" | "tail";
  readonly name?: string;
  readonly signal?: AbortSignal;
}

/** Its report rejects with a ScanError where there is none. */
export type ScannedThrough = Duplex & { readonly report: Promise<Report> };

/** What a scanner lends: its time limits, its target, its limit of bytes. */
export interface Scanning {
  /** Ends `work` by its signal once the time is over; called with what moves, and told of it. */
  timed<T>(signal: AbortSignal | undefined, work: (signal: AbortSignal, moved: () => void) => Promise<T>): Promise<T>;
  scan(source: Source, options: Omit<TargetScan, "maxBytes">): Promise<Report>;
  readonly maxBytes: number;
}

/** @throws ScanError `unsupported` where the platform has no Node streams. */
export function scanThrough(scanning: Scanning, { release = "verdict", name, signal }: ThroughOptions): ScannedThrough {
  const { Duplex: NodeDuplex, PassThrough } = nodeStreams();
  const left = new AbortController();
  const input = new PassThrough();
  const either = signal === undefined ? left.signal : AbortSignal.any([signal, left.signal]);
  const report = scanning.timed(either, async (signal, moved) => {
    const options = { name: name ?? null, signal, moved };
    if (release === "tail") return await scanning.scan(sourceOf(input), options);
    const { hold } = await import("./hold.ts");
    const held = await hold(counted(sourceOf(input).read(), scanning.maxBytes, moved), signal);
    try {
      const report = await scanning.scan(held, options);
      // The report is known before the bytes have been taken, which may last.
      if (report.allowed) void flow(held).finally(() => held.dispose());
      else await held.dispose();
      return report;
    } catch (error) {
      await held.dispose();
      throw error;
    }
  });
  report.catch(() => {}); // the stream is destroyed with it
  let last: Buffer | null = null;
  let resume: (() => void) | null = null;

  const stream: Duplex = new NodeDuplex({
    write(chunk: Buffer, _encoding, done) {
      const isTaken = input.write(chunk);
      if (release === "tail") {
        const whole = last === null ? chunk : Buffer.concat([last, chunk]);
        last = whole.subarray(whole.length - 1);
        if (whole.length > 1 && !stream.push(whole.subarray(0, -1))) {
          resume = () => (isTaken ? done() : input.once("drain", done));
          return;
        }
      }
      if (isTaken) done();
      else input.once("drain", () => done());
    },
    final(done) {
      input.end();
      report.then(
        ({ allowed }) => {
          if (!allowed) return; // destroyed below
          if (release === "tail") {
            if (last !== null && last.length > 0) stream.push(last);
            stream.push(null);
          }
          done();
        },
        () => {}, // destroyed below
      );
    },
    read() {
      resume?.();
      resume = null;
    },
    destroy(error, done) {
      left.abort(new ScanError("aborted", "the stream was destroyed", { cause: error }));
      input.destroy();
      resume = null;
      done(error);
    },
  });
  report.then(
    (told) => {
      if (!told.allowed) stream.destroy(new BlockedError(told));
    },
    (error) => stream.destroy(toScanError(error)),
  );
  // A scan that needs no more bytes leaves the input: the writer must not wait for it.
  input.on("error", () => {}); // its end is told by the report
  return Object.assign(stream, { report });

  async function flow(held: HeldBody): Promise<void> {
    for await (const chunk of held.read()) {
      if (!stream.push(chunk)) {
        await new Promise<void>((resolve) => {
          resume = resolve;
        });
      }
    }
    stream.push(null);
  }
}

function nodeStreams(): typeof import("node:stream") {
  const stream = globalThis.process?.getBuiltinModule?.("node:stream");
  if (stream === undefined) throw new ScanError("unsupported", "through() needs Node streams: Node 20.16 or newer, Bun or Deno");
  return stream;
}
