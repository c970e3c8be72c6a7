/** A scan that reads its body as the real one does and says what the test has scripted. */

import { createHash } from "node:crypto";
import { ClamgateError, type ErrorCode } from "../../../src/core/errors.ts";
import type { Scan, ScanOptions } from "../../../src/core/scan.ts";
import type { EngineVersion, UnscannableReason, Verdict } from "../../../src/core/verdict.ts";
import { fakeBody } from "../../fake/spooled-body.ts";

export interface ScanCall extends ScanOptions {
  readonly bytes: Buffer;
}

export interface FakeScan {
  readonly scan: Scan;
  /** Bodies that were read to their end, in that order. */
  readonly calls: readonly ScanCall[];
  /** Begun, whatever came of it. */
  readonly begun: readonly string[];
  /** Scanned bodies that nobody has disposed yet. */
  held(): number;
}

export interface FakeScanOptions {
  readonly maxBytes: number;
  readonly allowed?: readonly UnscannableReason[];
  readonly isCached?: boolean;
  readonly engine?: EngineVersion;
  /** Default: what is in the body, see `verdictOf`. */
  readonly answer?: (call: ScanCall) => Verdict | Promise<Verdict>;
}

export const realVersion: EngineVersion = {
  engine: "1.4.3",
  database: 27800,
  databaseTime: new Date(0),
  databaseDate: "Thu Oct  9 08:48:31 2025",
  tag: "t1",
};

/** Clean unless the text says `virus:<name>[,<name>]`, `unscannable:<reason>[:<heuristic>]` or `error:<code>`. */
export function verdictOf(bytes: Buffer): Verdict {
  const text = bytes.subarray(0, 200).toString("latin1");
  const [kind, what = "", heuristic] = text.trim().split(":");
  if (kind === "virus") return { kind: "infected", signatures: what.split(",") };
  if (kind === "unscannable") return { kind, reason: what as UnscannableReason, heuristic: heuristic ?? null };
  if (kind === "error") throw new ClamgateError(what as ErrorCode, `Scripted ${what}`, { detail: "never shown" });
  return { kind: "clean" };
}

export function createFakeScan(options: FakeScanOptions): FakeScan {
  const calls: ScanCall[] = [];
  const begun: string[] = [];
  let held = 0;

  const scan: Scan = async (body, scanOptions) => {
    begun.push(scanOptions.name);
    const bytes = await take(body, Math.min(options.maxBytes, scanOptions.maxBytes ?? options.maxBytes), scanOptions.signal);
    const call = { ...scanOptions, bytes };
    calls.push(call);
    const verdict = await whileThere((options.answer ?? ((asked) => verdictOf(asked.bytes)))(call), scanOptions.signal);
    const isRelaxed = verdict.kind === "unscannable" && (options.allowed ?? []).includes(verdict.reason);
    held += 1;
    const spooled = fakeBody({ size: bytes.length, bytes, read: [bytes] });
    let isHeld = true;
    const dispose = async () => {
      if (isHeld) held -= 1;
      isHeld = false;
    };
    return {
      report: {
        verdict,
        sha256: createHash("sha256").update(bytes).digest("hex"),
        size: bytes.length,
        engine: options.engine ?? realVersion,
        isCached: options.isCached ?? false,
        isRemembered: options.isCached ?? false,
        elapsedMs: 1,
      },
      decision: {
        isAllowed: verdict.kind === "clean" || isRelaxed,
        relaxedFor: isRelaxed ? verdict.reason : null,
      },
      body: spooled,
      [Symbol.asyncDispose]: dispose,
    };
  };
  return { scan, calls, begun, held: () => held };
}

/** Like the spool: leaves a body that it does not want as it is, open and unread. */
async function take(body: AsyncIterable<Uint8Array>, maxBytes: number, signal: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  const iterator = body[Symbol.asyncIterator]();
  for (;;) {
    const next = await whileThere(iterator.next(), signal);
    if (next.done) return Buffer.concat(chunks);
    size += next.value.length;
    if (size > maxBytes) throw new ClamgateError("too-large", "The body is larger than the limit");
    chunks.push(Buffer.from(next.value));
  }
}

function whileThere<T>(promise: T | Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    Promise.resolve(promise)
      .finally(() => signal.removeEventListener("abort", onAbort))
      .then(resolve, reject);
  });
}
