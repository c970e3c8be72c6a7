/** Feeds one multipart body in every way it can be cut and insists that all ways tell the same. */

import assert from "node:assert/strict";
import { type MultipartLimits, MultipartParser } from "../../../src/codec/multipart/parser.ts";
import { ProtocolError } from "../../../src/codec/protocol-error.ts";

export interface ReadPart {
  readonly headers: Record<string, string>;
  /** One character per byte. Of a part that is not whole as much as had come before the fault was seen, which is forgotten here. */
  body: string;
  isWhole: boolean;
}

export interface Outcome {
  readonly parts: ReadPart[];
  isEnded: boolean;
  /** The ProtocolError's message; any other error fails the test. */
  error: string | null;
}

export interface Sample {
  readonly boundary: string;
  readonly limits?: MultipartLimits;
}

export function parse(chunks: Iterable<Uint8Array>, sample: Sample): Outcome {
  const outcome: Outcome = { parts: [], isEnded: false, error: null };
  const parser = new MultipartParser(sample.boundary, sample.limits);
  try {
    for (const chunk of chunks) take(outcome, parser.feed(chunk));
    take(outcome, parser.finish());
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw thrown;
    outcome.error = thrown.message;
    const last = outcome.parts.at(-1);
    if (last?.isWhole === false) last.body = "";
    assert.throws(() => [...parser.finish()], ProtocolError, "a failed parser stays failed");
  }
  assert.ok(outcome.isEnded || outcome.error !== null, "a body ends or fails");
  return outcome;
}

/** Whole, byte by byte, and in two pieces cut at every offset. */
export function parseInEveryCut(body: Uint8Array, sample: Sample): Outcome {
  const whole = parse([body], sample);
  assert.deepEqual(parse(bytesOf(body), sample), whole, "byte by byte");
  for (let cut = 0; cut <= body.length; cut += 1) {
    assert.deepEqual(parse([body.subarray(0, cut), body.subarray(cut)], sample), whole, `cut at ${cut}`);
  }
  return whole;
}

export function* bytesOf(body: Uint8Array): Generator<Uint8Array, void, undefined> {
  for (let at = 0; at < body.length; at += 1) yield body.subarray(at, at + 1);
}

/** One character per byte. */
export function bytes(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

function take(outcome: Outcome, events: ReturnType<MultipartParser["feed"]>): void {
  for (const event of events) {
    assert.ok(!outcome.isEnded, "nothing follows the end");
    const part = outcome.parts.at(-1);
    switch (event.type) {
      case "part-begin":
        assert.ok(part === undefined || part.isWhole, "parts do not overlap");
        outcome.parts.push({ headers: Object.fromEntries(event.headers.fields), body: "", isWhole: false });
        break;
      case "data":
        assert.ok(part !== undefined && !part.isWhole, "data belongs to an open part");
        assert.ok(event.bytes.length > 0, "no empty data");
        part.body += Buffer.from(event.bytes).toString("latin1");
        break;
      case "part-end":
        assert.ok(part !== undefined && !part.isWhole);
        part.isWhole = true;
        break;
      case "end":
        assert.ok(part === undefined || part.isWhole);
        outcome.isEnded = true;
        break;
    }
  }
}
