import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { ClamgateError } from "../../../src/core/errors.ts";
import type { DownloadMode } from "../../../src/core/events.ts";
import type { Verdict } from "../../../src/core/verdict.ts";
import { head, keep, type OriginAct, reset, stall } from "../../fake/origin.ts";
import { eventually } from "../../process/stage.ts";
import { openProxy, virusMark } from "./proxy-stage.ts";
import { type RawAnswer, RawClient } from "./raw-client.ts";

type Ending = "clean" | "infected" | "unscannable" | "engine-error" | "scan-timeout";

interface Transfer {
  readonly size: number;
  /** Where the virus stands when there is one. */
  readonly at: number;
  readonly isChunked: boolean;
  readonly origin: "whole" | "reset" | "short";
  readonly ending: Ending;
  readonly delayMs: number;
  readonly version: "1.0" | "1.1";
  /** Whether the address was remembered as clean, with another body or with this one. */
  readonly remembered: "nothing" | "same" | "other";
}

const sizes = fc.oneof(
  fc.constantFrom(0, 1, 63, 64, 65, 66, 67, 68, 69, 1023, 1024, 1025, 65_535, 65_536, 65_537, 131_072, 300_000),
  fc.integer({ min: 0, max: 200_000 }),
);
const transfers = fc.record<Transfer>({
  size: sizes,
  at: fc.nat(),
  isChunked: fc.boolean(),
  origin: fc.constantFrom("whole", "whole", "whole", "reset", "short"),
  ending: fc.constantFrom("clean", "clean", "infected", "infected", "unscannable", "engine-error", "scan-timeout"),
  delayMs: fc.constantFrom(0, 0, 5, 15, 40),
  version: fc.constantFrom("1.0", "1.1"),
  remembered: fc.constantFrom("nothing", "same", "other"),
});

function bodyOf({ size, at, ending }: Transfer): Buffer {
  const body = Buffer.from(Uint8Array.from({ length: size }, (_, index) => 97 + ((index * 7 + (index >> 7)) % 26)));
  if (ending === "infected" && size >= virusMark.length) body.write(virusMark, at % (size - virusMark.length + 1));
  return body;
}

function actOf(transfer: Transfer, body: Buffer): OriginAct {
  const { isChunked, origin } = transfer;
  const sent = origin === "whole" ? body : body.subarray(0, Math.floor(body.length / 2));
  const start = isChunked ? head(200, "Transfer-Encoding: chunked") : head(200, `Content-Length: ${body.length}`);
  const chunk = sent.length === 0 ? [] : [`${sent.length.toString(16)}\r\n`, sent, "\r\n"];
  const pieces = isChunked ? [start, ...chunk, ...(origin === "whole" ? ["0\r\n\r\n"] : [])] : [start, sent];
  if (origin === "whole" || (body.length === 0 && !isChunked)) return keep(...pieces);
  return origin === "reset" ? reset(...pieces) : { kind: "send", pieces, after: "end" };
}

function verdictOf(ending: Ending): Verdict | ClamgateError {
  switch (ending) {
    case "clean":
      return { kind: "clean" };
    case "infected":
      return { kind: "infected", signatures: ["Test.Mark"] };
    case "unscannable":
      return { kind: "unscannable", reason: "encrypted", heuristic: null };
    case "engine-error":
    case "scan-timeout":
      return new ClamgateError(ending, "Not now");
  }
}

async function transferOnce(mode: DownloadMode, transfer: Transfer): Promise<void> {
  const body = bodyOf(transfer);
  const earlier = transfer.remembered === "same" ? body : Buffer.alloc(transfer.size, "o");
  let isFirst = transfer.remembered !== "nothing";
  await using proxy = await openProxy(
    () => (isFirst ? keep(head(200, `Content-Length: ${earlier.length}`), earlier) : actOf(transfer, body)),
    {
      mode,
      front: { trickle: { afterMs: 5, intervalMs: 1, maxBytes: 64 } },
    },
  );
  if (isFirst) {
    proxy.engine.answerAll(() => ({ kind: "clean" }));
    assert.equal((await proxy.get("/x", ["Cache-Scan: true"])).status, 200);
    isFirst = false;
    // The engine has said clean of these very bytes, and its word stands for them.
    if (transfer.remembered === "other") proxy.digests.entries.clear();
  }
  const hasProof = transfer.remembered === "same";
  const mayPass =
    transfer.origin === "whole" || (body.length === 0 && !transfer.isChunked) ? hasProof || transfer.ending === "clean" : false;
  proxy.engine.answerAll(null);
  const scansBefore = proxy.engine.scans.length;
  using client = new RawClient(proxy.port);
  client.send(proxy.text("/x", ["Cache-Scan: true"], { version: transfer.version }));
  let answer: RawAnswer | null = null;
  const answering = client.answer().then(
    (got) => {
      answer = got;
    },
    () => {}, // reset before its head
  );
  const scan = async () => {
    await eventually(
      "it is scanned or answered",
      () => proxy.engine.scans.length > scansBefore || answer !== null || client.state !== "open",
    );
    const begun = proxy.engine.scans[scansBefore];
    if (begun === undefined) return;
    await new Promise((resolve) => setTimeout(resolve, transfer.delayMs));
    const verdict = verdictOf(transfer.ending);
    if (verdict instanceof ClamgateError) begun.fail(verdict);
    else begun.finish(verdict);
  };
  await Promise.all([answering, scan()]);
  await eventually("it is told of", () => proxy.downloads().length === (transfer.remembered === "nothing" ? 1 : 2));
  const told = proxy.downloads().at(-1);
  const got: RawAnswer | null = answer;
  assert.ok(told !== undefined);
  assert.ok(told.releasedBytes <= (mode === "trickle" ? 64 : 0), "H1");
  if (mayPass) assert.deepEqual([told.status, told.outcome], [200, "delivered"]);
  // What streams by in pieces has been proved, though the rest may never come.
  checkAnswer(got, client, body, mayPass, { strict: 0, trickle: 64, "verified-stream": hasProof ? transfer.size - 1 : 0 }[mode]);
}

function checkAnswer(answer: RawAnswer | null, client: RawClient, body: Buffer, mayPass: boolean, releasable: number): void {
  if (answer === null) {
    assert.equal(client.state, "reset", "H3");
    assert.equal(mayPass, false);
    return;
  }
  if (mayPass && answer.isWhole && answer.status === 200) {
    assert.ok(answer.body.equals(body), "H8");
    return;
  }
  if (answer.status !== 200) {
    assert.equal(mayPass, false, `${answer.status} for what is clean`);
    assert.ok([409, 502, 503, 504].includes(answer.status), String(answer.status));
    assert.match(answer.body.toString(), /^\{"detail":"[^"]+"\}$/);
    return;
  }
  assert.equal(answer.isWhole, false, "H2");
  assert.equal(client.state, "reset", "H3");
  assert.ok(answer.body.length <= releasable, "H1");
  assert.ok(body.subarray(0, answer.body.length).equals(answer.body), "H8: a true prefix");
}

describe("in every mode, whatever the body, the origin, the engine and the client", () => {
  for (const mode of ["strict", "trickle", "verified-stream"] as const) {
    test(`${mode}: nothing whole without a clean verdict, no more than it may before, a reset where it began (H1-H3, H7, H8)`, async () => {
      await fc.assert(
        fc.asyncProperty(transfers, (transfer) => transferOnce(mode, transfer)),
        { numRuns: 60 },
      );
    });
  }

  test("a stalled origin and a client that leaves leave nothing behind", async () => {
    for (const mode of ["strict", "trickle", "verified-stream"] as const) {
      await using proxy = await openProxy(() => stall(head(200, "Content-Length: 100"), "abc"), {
        mode,
        front: { trickle: { afterMs: 1, intervalMs: 1, maxBytes: 64 } },
      });
      const client = new RawClient(proxy.port);
      client.send(proxy.text("/x"));
      await eventually("the body has begun", () => proxy.spool.usage().bodies === 1);
      client[Symbol.dispose]();
      await eventually("nothing is left", () => proxy.spool.usage().bodies === 0 && proxy.downloads().length === 1);
      await proxy.origin.idle();
    }
  });
});
