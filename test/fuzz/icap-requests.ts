/** ICAP requests that are wrong by a few bytes, or hold others inside: no marker passes, and nothing that stands in a body is taken for a request. */

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import fc from "fast-check";
import { type Answer, chunked, type RawIcap, rawIcap, reqmod, respmod } from "../front/icap/raw-icap.ts";
import { marker } from "../live/clamd.ts";
import { type Campaign, campaign } from "./harness/campaign.ts";
import { changed, changes } from "./harness/mutated.ts";

/** Sent at once, each on a connection of its own: one that is not whole is waited for. */
const batch = 50;
/** For the answer to what may not be whole: none is as good as a refusal. */
const mutatedMs = 300;
/** For the answer to what is whole, on a busy machine. */
const wholeMs = 15_000;
/** For what may come behind an answer. */
const behindMs = 50;

interface Sent {
  readonly bytes: Buffer;
  /** What is wrong with it is in its framing; else its framing is as it should be, and its body says anything. */
  readonly isMutated: boolean;
}

/** Taken for a request it would be answered 204. */
const smuggled = "REQMOD icap://h/avscan ICAP/1.0\r\nAllow: 204\r\nEncapsulated: null-body=0\r\n\r\n";
/** Without a colon: what a mutation makes a trailer of must not be one. */
const evil = `some text ${marker} more text`;

const fields = fc
  .array(fc.constantFrom("Allow: 204\r\n", "Allow: 204, trailers\r\n", "X-Client-IP: 127.0.0.1\r\n", "User-Agent: x\r\n"), {
    maxLength: 2,
  })
  .map((lines) => lines.join(""));
const services = fc.constantFrom("avscan", "proxy", "told");
const makers = fc.constantFrom(reqmod, respmod);
const preview = fc.constantFrom("", "Preview: 4096\r\n", "Preview: 0\r\n");
const last = fc.constantFrom("0", "0; ieof", "000", "0;a=b");

/** Requests that are right; what stands behind a preview that does not end its body is sent with it. */
function requestOf(body: fc.Arbitrary<string>): fc.Arbitrary<Buffer> {
  return fc.tuple(makers, services, fields, preview, body, last).map(([make, service, lines, previewLine, text, end]) => {
    const isWhole = end === "0; ieof" && previewLine !== "";
    const rest = previewLine === "" || isWhole ? "" : "0\r\n\r\n";
    return Buffer.from(make({ service, fields: lines + previewLine, body: chunked(text, end) + rest }), "latin1");
  });
}

const pieces = fc.constantFrom(
  smuggled,
  "\r\n0\r\n\r\n",
  "0\r\n\r\n",
  "\r\n",
  "\r\n\r\n",
  "0; ieof\r\n\r\n",
  "5\r\nhello\r\n",
  "HTTP/1.1 200 OK\r\n\r\n",
  "ICAP/1.0 204 No Content\r\n\r\n",
  "some text",
);
const tricks = fc
  .tuple(fc.array(pieces, { maxLength: 6 }), fc.array(pieces, { maxLength: 6 }))
  .map(([before, behind]) => [...before, evil, ...behind].join(""));

const sent: fc.Arbitrary<Sent> = fc.oneof(
  fc.tuple(requestOf(fc.constant(evil)), changes).map(([bytes, some]) => ({ bytes: changed(bytes, some), isMutated: true })),
  requestOf(tricks).map((bytes) => ({ bytes, isMutated: false })),
);

export function icapRequests(port: number): Campaign {
  return campaign({
    name: "ICAP requests (icap.md 56, 59)",
    testRuns: 8,
    arbitrary: fc.array(sent, { minLength: batch, maxLength: batch }),
    corpus: [],
    least: { blocked: 15, failed: 5 },
    before: () => showThatItWorks(port),
    async check(all, note) {
      await Promise.all(all.map((one) => tryOne(port, one, note)));
    },
  });
}

async function tryOne(port: number, { bytes, isMutated }: Sent, note: (outcome: string) => void): Promise<void> {
  using client = rawIcap(port);
  await client.send(bytes);
  const answers = await answersOf(client, isMutated ? mutatedMs : wholeMs);
  const label = JSON.stringify(bytes.toString("latin1").slice(0, 800));
  const received = client.received().toString("latin1");
  assert.ok(!received.includes(marker), `its own bytes are in the answer to ${label}`);
  const final = answers.filter(({ status }) => status !== 100);
  assert.ok(final.length <= 1 || isMutated, `${final.length} answers to ${label}`);
  for (const { status, httpHead } of final) {
    assert.ok(status !== 500, `500 for ${label}`);
    if (!bytes.includes(marker)) continue;
    assert.notEqual(status, 204, `clean, for ${label}`);
    if (httpHead !== null && httpHead !== "") assert.match(httpHead, /^HTTP\/1\.1 (403|503) /, `echoed, for ${label}`);
  }
  const isBlocked = final.some(({ httpHead }) => httpHead?.startsWith("HTTP/1.1 403") === true);
  note(isBlocked ? "blocked" : "failed");
}

/** To the end of the connection, or to where nothing more comes. */
async function answersOf(client: RawIcap, firstMs: number): Promise<readonly Answer[]> {
  const answers: Answer[] = [];
  for (;;) {
    const timer = new AbortController();
    const isAnswered = answers.some(({ status }) => status !== 100);
    const late = delay(isAnswered ? behindMs : firstMs, null, { signal: timer.signal });
    const answer = await Promise.race([client.answerOrEnd(), late.catch(() => null)]);
    timer.abort();
    if (answer === null) return answers;
    answers.push(answer);
  }
}

/** What must not happen would be seen: a clean body is 204, and what is smuggled is one, too. */
async function showThatItWorks(port: number): Promise<void> {
  using client = rawIcap(port);
  await client.send(respmod({ fields: "Allow: 204\r\n", body: chunked("clean") }) + smuggled);
  assert.equal((await client.answer()).status, 204);
  assert.equal((await client.answer()).status, 204);
}
