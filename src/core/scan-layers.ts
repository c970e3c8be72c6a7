/** Scans a body as it came and as it unpacks: nobody knows how many of its codings a reader takes off, so the worst verdict counts. */

import { ClamgateError } from "./errors.ts";
import type { Scan, ScannedBody, ScanOptions } from "./scan.ts";
import type { SpooledBody } from "./spool.ts";
import { decodesTooLarge, unknownCoding } from "./verdict.ts";

/**
 * Undoes one coding. Single use; returned where it is not read to its end. Throws a ClamgateError where the body is not what its coding
 * has it to be, and what reading it throws.
 */
export type Decode = (body: SpooledBody) => AsyncGenerator<Uint8Array, void, undefined>;

export interface Codings {
  /** Outermost first. */
  readonly decoders: readonly Decode[];
  /** The name of a further coding, of what they leave, which nobody here can undo; null where there is none. */
  readonly unknown: string | null;
}

export interface LayersOptions extends ScanOptions {
  /** Null where the body is as it came. */
  readonly codings: Codings | null;
}

/** What was found, without the bytes. */
export type Finding = Pick<ScannedBody, "report" | "decision">;

/** Bytes, size and digest are those of the body as it came; the verdict is that of the worst layer. */
export interface ScannedLayers extends ScannedBody {
  /** The last layer of a body that was decoded to its end. It goes with the body, or is disposed before it. */
  readonly decoded?: SpooledBody;
}

/**
 * A decoded layer may be as large as any body, but beyond `freeBytes` only `maxRatio` times as large as what came: few bytes sent must not
 * become gigabytes written. 128 MiB of zeros pass, of which gzip makes a thousandth and brotli nearly nothing.
 */
const freeBytes = 128 * 1024 * 1024;
const maxRatio = 256;

/** Rejects as `scan` does, and with what a decoder throws, unless a layer before that may not pass. Nothing is kept then. */
export function scanLayers(scan: Scan, source: AsyncIterable<Uint8Array>, options: LayersOptions): Promise<ScannedLayers> {
  return options.codings === null ? scan(source, options) : scanCoded(scan, source, options, options.codings);
}

async function scanCoded(
  scan: Scan,
  source: AsyncIterable<Uint8Array>,
  options: ScanOptions,
  { decoders, unknown }: Codings,
): Promise<ScannedLayers> {
  const isUnknown = (depth: number) => unknown !== null && depth === decoders.length;
  const raw = await scan(source, isUnknown(0) ? { ...options, insteadOfClean: unknownCoding } : options);
  if (decoders.length === 0 || raw.body.size === 0) return raw;

  const { via, requestId, name, client, signal } = options;
  const maxBytes = Math.max(freeBytes, maxRatio * raw.body.size);
  const findings: Finding[] = [raw];
  let last: ScannedBody = raw;
  const dispose = async () => {
    await last[Symbol.asyncDispose]();
    await raw[Symbol.asyncDispose]();
  };
  const finish = (): ScannedLayers => ({ ...worstOf(raw, findings), body: raw.body, [Symbol.asyncDispose]: dispose });
  try {
    for (const [depth, decode] of decoders.entries()) {
      if (last.report.verdict.kind === "infected") return finish();
      const mark = isUnknown(depth + 1) ? { insteadOfClean: unknownCoding } : {};
      const layer = await scanDecoded(scan, last.body, decode, { via, requestId, name, client, signal, maxBytes, ...mark });
      findings.push(layer.scanned);
      if (last !== raw) await last[Symbol.asyncDispose]();
      last = layer.scanned;
      if (!layer.isDecoded) return finish();
    }
    return { ...finish(), decoded: last.body };
  } catch (error) {
    if (findings.some(({ decision }) => !decision.isAllowed)) return finish();
    await dispose();
    throw error;
  }
}

/** What decodes to more than it may is not decoded: that is said of the layer that it is in. */
async function scanDecoded(
  scan: Scan,
  body: SpooledBody,
  decode: Decode,
  options: ScanOptions,
): Promise<{ readonly scanned: ScannedBody; readonly isDecoded: boolean }> {
  const bytes = decode(body);
  try {
    return { scanned: await scan(bytes, { ...options, isUnpacked: true }), isDecoded: true };
  } catch (error) {
    if (!(error instanceof ClamgateError) || error.code !== "too-large") throw error;
    return { scanned: await scan(body.read(), { ...options, insteadOfClean: decodesTooLarge }), isDecoded: false };
  } finally {
    await bytes.return();
  }
}

/**
 * The worst of several findings as one about the whole. Its tag is that of no signatures where they are not all of the same: nobody may
 * remember it.
 */
export function worstOf({ report: { sha256, size } }: Finding, findings: readonly Finding[]): Finding {
  const [worst] = findings.toSorted((one, other) => severityOf(one) - severityOf(other));
  if (worst === undefined) throw new RangeError("there is no worst of no findings");
  const reports = findings.map(({ report }) => report);
  const engine = { ...worst.report.engine, tag: [...new Set(reports.map(({ engine: { tag } }) => tag))].join("+") };
  const isCached = reports.every((report) => report.isCached);
  const isRemembered = reports.some((report) => report.isRemembered);
  const elapsedMs = reports.reduce((sum, report) => sum + report.elapsedMs, 0);
  return { report: { ...worst.report, sha256, size, engine, isCached, isRemembered, elapsedMs }, decision: worst.decision };
}

/** Least is worst. */
function severityOf({ report, decision }: Finding): number {
  if (report.verdict.kind === "infected") return 0;
  if (!decision.isAllowed) return 1;
  return decision.relaxedFor === null ? 3 : 2;
}
