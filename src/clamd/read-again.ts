/** An engine that is asked again about bodies whose first bytes make clamd overlook what is in them. */

import type { Engine, EngineScan } from "../core/engine.ts";
import type { BodyRange, SpooledBody } from "../core/spool.ts";
import type { Verdict } from "../core/verdict.ts";
import { furtherReadings, lookBytes } from "./overlooked.ts";

const hidden: Verdict = { kind: "unscannable", reason: "unsupported", heuristic: "Heuristics.Clamgate.IgnoredType" };

/**
 * The worst verdict of all readings counts; an error in one of them is an error of the whole. Each waits for a slot of its own. Two
 * reasons for which a body cannot be looked into make it unsupported, and so does what is hidden: an operator may let one of them pass.
 */
export function readAgain(engine: Engine): Engine {
  return {
    version: () => engine.version(),
    scan(body, signal, client) {
      // A look into memory costs less than a promise.
      if (body.bytes !== null && furtherReadings(body.bytes) === null) return engine.scan(body, signal, client);
      return scanWhole(engine, body, signal, client);
    },
  };
}

async function scanWhole(engine: Engine, body: SpooledBody, signal: AbortSignal, client: string): Promise<EngineScan> {
  let whole = await engine.scan(body, signal, client);
  if (whole.verdict.kind === "infected") return whole;
  const readings = furtherReadings(body.bytes ?? (await firstBytes(body)));
  if (readings === null) return whole;
  for (const prefix of readings.prefixes) {
    whole = together(whole, await engine.scan(prefixedBody(prefix, body), signal, client));
    if (whole.verdict.kind === "infected") return whole;
  }
  return readings.isHidden ? { ...whole, verdict: hidden } : whole;
}

function together(before: EngineScan, next: EngineScan): EngineScan {
  const isWorse = before.verdict.kind === "clean" || next.verdict.kind === "infected";
  const { verdict, version, backend } = isWorse ? next : before;
  const isOfTwoReasons =
    before.verdict.kind === "unscannable" && next.verdict.kind === "unscannable" && before.verdict.reason !== next.verdict.reason;
  return {
    verdict: isOfTwoReasons ? hidden : verdict,
    version,
    backend,
    // Made with two sets of signatures, it is a verdict of neither.
    isCacheable: before.isCacheable && next.isCacheable && before.version.tag === next.version.tag,
    queueMs: before.queueMs + next.queueMs,
    scanMs: before.scanMs + next.scanMs,
  };
}

async function firstBytes(body: SpooledBody): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body.read({ end: Math.min(lookBytes, body.size) })) pieces.push(piece);
  return Buffer.concat(pieces);
}

/**
 * A view: whoever holds `body` disposes it, and a hold on the view is a hold on the body. Its digest is that of the body: what is known
 * of the one counts for the other. In no file, wherever the body is; in memory where the body is, as a copy for each who asks.
 */
export function prefixedBody(prefix: Uint8Array, body: SpooledBody): SpooledBody {
  const size = prefix.length + body.size;
  return {
    size,
    sha256: body.sha256,
    get bytes() {
      const { bytes } = body;
      return bytes === null ? null : Buffer.concat([prefix, bytes]);
    },
    path: null,
    async *read({ start = 0, end = size, ...range }: BodyRange = {}) {
      // A copy: the reader may give its memory up.
      if (start < prefix.length) yield new Uint8Array(prefix.subarray(start, end));
      if (end <= prefix.length) return;
      yield* body.read({ ...range, start: Math.max(0, start - prefix.length), end: end - prefix.length });
    },
    hold: () => prefixedBody(prefix, body.hold()),
    [Symbol.asyncDispose]: () => body[Symbol.asyncDispose](),
  };
}
