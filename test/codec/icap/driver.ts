/** Feeds ICAP requests in every way they can be cut and insists that all ways tell the same. */

import assert from "node:assert/strict";
import { IcapFault } from "../../../src/codec/icap/fault.ts";
import { type IcapEvent, IcapReader } from "../../../src/codec/icap/reader.ts";

/** One character per byte. */
export interface ReadRequest {
  method: string;
  service: string;
  requestHead: string | null;
  responseHead: string | null;
  hasBody: boolean;
  preview: number | null;
  body: string;
  /** How many bytes of the body stood in the preview that did not end it; null where there was no such. */
  askedAfter: number | null;
  trailers: string;
  isInPreview: boolean;
  isWhole: boolean;
}

export interface Outcome {
  readonly requests: ReadRequest[];
  /** Status and message of the fault. */
  fault: string | null;
  /** Whether a request has begun at the end that is not whole. */
  isWithin: boolean;
}

/** Each preview that does not end its body is answered with 100, each whole request with something that keeps the connection. */
export function parse(chunks: Iterable<Uint8Array>): Outcome {
  const reader = new IcapReader();
  const outcome: Outcome = { requests: [], fault: null, isWithin: false };
  try {
    for (const chunk of chunks) {
      // A copy that is wiped afterwards: nothing may be kept of what was fed.
      const copy = Buffer.from(chunk);
      reader.receive(copy);
      for (let event = reader.next(); event !== null; event = reader.next()) {
        take(outcome, event);
        if (event.type === "preview-end") reader.proceed();
        if (event.type === "end") reader.restart();
      }
      copy.fill("!");
    }
    outcome.isWithin = reader.isWithinRequest;
  } catch (thrown) {
    if (!(thrown instanceof IcapFault)) throw thrown;
    outcome.fault = `${thrown.status} ${thrown.message}`;
    assert.throws(() => reader.next(), thrown, "a failed reader stays failed");
    // How much had come before the fault was seen depends on the cut.
    const last = outcome.requests.at(-1);
    if (last?.isWhole === false) last.body = "";
  }
  return outcome;
}

/** Whole, byte by byte, and in two pieces cut at every offset. */
export function parseInEveryCut(text: string): Outcome {
  const bytes = Buffer.from(text, "latin1");
  const whole = parse([bytes]);
  const each = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
  assert.deepEqual(withoutPlace(parse(each)), withoutPlace(whole), "byte by byte");
  const step = Math.max(1, Math.floor(bytes.length / 2_000));
  for (let cut = 0; cut <= bytes.length; cut += step) {
    const parsed = parse([bytes.subarray(0, cut), bytes.subarray(cut)]);
    assert.deepEqual(withoutPlace(parsed), withoutPlace(whole), `cut at ${cut}`);
  }
  return whole;
}

/** A fault in a line is seen sooner or later, by where the line was cut. */
function withoutPlace(outcome: Outcome): Outcome {
  return { ...outcome, fault: outcome.fault?.replace(/ \(byte \d+ of the request\)$/, "") ?? null };
}

function take(outcome: Outcome, event: IcapEvent): void {
  const last = outcome.requests.at(-1);
  switch (event.type) {
    case "request":
      assert.ok(last === undefined || last.isWhole, "requests do not overlap");
      outcome.requests.push({
        method: event.request.method,
        service: event.request.service,
        requestHead: null,
        responseHead: null,
        hasBody: false,
        preview: null,
        body: "",
        askedAfter: null,
        trailers: "",
        isInPreview: false,
        isWhole: false,
      });
      return;
    case "message":
      assert.ok(last !== undefined && !last.isWhole);
      last.requestHead = event.message.requestHead?.toString("latin1") ?? null;
      last.responseHead = event.message.responseHead?.toString("latin1") ?? null;
      last.hasBody = event.message.hasBody;
      last.preview = event.message.preview;
      return;
    case "data":
      assert.ok(last?.hasBody && !last.isWhole, "data belongs to a body");
      assert.ok(event.bytes.length > 0, "no empty data");
      last.body += Buffer.from(event.bytes).toString("latin1");
      return;
    case "preview-end":
      assert.ok(last?.hasBody && last.askedAfter === null, "one preview in a request");
      last.askedAfter = last.body.length;
      return;
    case "end":
      assert.ok(last !== undefined && !last.isWhole);
      last.trailers = event.trailers.toString("latin1");
      last.isInPreview = event.isInPreview;
      last.isWhole = true;
      return;
  }
}
