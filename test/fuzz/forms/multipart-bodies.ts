/** B1: what another parser would take out of a form as a file is never passed unseen. */

import assert from "node:assert/strict";
import { finished } from "node:stream/promises";
import { Busboy } from "@fastify/busboy";
import { ClamgateError } from "../../../src/core/errors.ts";
import { readParts } from "../../http/read-parts.ts";
import { marker } from "../../live/clamd.ts";
import { type Campaign, campaign } from "../harness/campaign.ts";
import type { Client } from "../harness/client.ts";
import { contentType, forms, knownForms, mark } from "./forms.ts";

interface Seen {
  readonly contents: readonly Buffer[];
  /** A part without a name is not scanned, and its form is answered by an error. */
  readonly isAccepted: boolean;
}

/** Each part's content as ours sees it; null where it refuses the form. */
async function ours(body: Buffer): Promise<Seen | null> {
  const contents: Buffer[] = [];
  let isAccepted = true;
  try {
    for await (const part of readParts(inThirds(body), mark)) {
      contents.push(Buffer.concat(await Array.fromAsync(part.body, (chunk) => Buffer.from(chunk))));
      isAccepted &&= part.fileName !== null;
    }
    return { contents, isAccepted: isAccepted && contents.length > 0 };
  } catch (error) {
    if (error instanceof ClamgateError && error.code === "malformed") return null;
    throw error;
  }
}

/** Cut at every third byte, so that no chunk's end is a matter of luck. */
async function* inThirds(body: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < body.length; at += 3) yield body.subarray(at, at + 3);
}

/** The files that a common parser takes out of it; what it had when it failed. */
async function theirs(body: Buffer): Promise<readonly Buffer[]> {
  const files: Buffer[] = [];
  const busboy = new Busboy({ headers: { "content-type": contentType } });
  busboy.on("file", (_name, stream) => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", () => {}); // the parser's own, which is heard below
    stream.on("end", () => files.push(Buffer.concat(chunks)));
  });
  const over = finished(busboy).catch(() => {}); // a refusal: what it had seen counts
  busboy.end(body);
  // Given garbage, it may never say that it is done (reliability.md 1): by the end of these turns it has seen all there is.
  const turns = (async () => {
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
  })();
  await Promise.race([over, turns]);
  return files;
}

/** How often each marker is there, by its number. */
function markersIn(contents: readonly Buffer[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const content of contents)
    for (const [found] of content.toString("latin1").matchAll(new RegExp(`${marker}(#\\d+)?`, "g")))
      counts.set(found, (counts.get(found) ?? 0) + 1);
  return counts;
}

export const multipartBodies: Campaign = campaign({
  name: "multipart bodies (B1)",
  testRuns: 4_000,
  arbitrary: forms,
  corpus: knownForms,
  least: { accepted: 0.1, compared: 0.05, "several compared": 0.015 },
  async check(body, note) {
    const mine = await ours(body);
    if (mine === null) return;
    const seen = markersIn(mine.contents);
    const hidden = markersIn(await theirs(body));
    for (const [found, times] of hidden)
      assert.ok(
        (seen.get(found) ?? 0) >= times,
        `${found}, which others take, was not seen: ${JSON.stringify(body.toString("latin1"))}`,
      );
    if (mine.isAccepted) note("accepted");
    if (hidden.size > 0) note("compared");
    if (hidden.size > 1) note("several compared");
  },
});

/** The same over the wire. */
export function uploads({ fetch }: Client, url: string): Campaign {
  return campaign({
    name: "multipart uploads to the gateway (B1)",
    testRuns: 300,
    arbitrary: forms,
    corpus: knownForms,
    least: { passed: 0.03, found: 0.05 },
    async check(body, note) {
      const answer = await fetch(`${url}/v2/scan`, {
        method: "POST",
        body: new Uint8Array(body),
        headers: { "content-type": contentType },
      });
      const text = await answer.text();
      assert.ok([200, 400, 406, 413, 422].includes(answer.status), `${answer.status} ${text}`);
      if (answer.status === 406) note("found");
      if (answer.status !== 200) return;
      if (text.includes('"Status":"OK"')) note("passed");
      const hidden = (await theirs(body)).filter((file) => file.includes(marker));
      assert.deepEqual(hidden, [], `200 for ${JSON.stringify(body.toString("latin1"))}`);
    },
  });
}
