/** B1: forms of every wrongness. What another parser would take out of one as a file is never passed unseen. */

import assert from "node:assert/strict";
import { finished } from "node:stream/promises";
import { Busboy } from "@fastify/busboy";
import fc from "fast-check";
import { MultipartParser } from "../../src/codec/multipart.ts";
import { ProtocolError } from "../../src/codec/protocol-error.ts";
import { marker } from "../live/clamd.ts";
import { type Campaign, campaign, mutated } from "./campaign.ts";
import type { Client } from "./client.ts";

const mark = "B";
const contentType = `multipart/form-data; boundary=${mark}`;

const disposition = fc.constantFrom(
  'form-data; name="f"; filename="a"',
  'form-data; name="f"; filename=a',
  "form-data; name=\"f\"; filename*=UTF-8''a",
  'form-data; name=""; filename=""',
  'form-data; name="f"',
  'attachment; filename="../a"',
  'form-data; name="f"; filename="a"; filename="b"',
);
const extra = fc.constantFrom(
  "",
  "Content-Type: text/plain\r\n",
  "Content-Transfer-Encoding: base64\r\n",
  "Content-Type: multipart/mixed; boundary=C\r\n",
  " folded\r\n",
  "X\r\n",
);
const content = fc.array(
  fc.constantFrom(marker, "\r\n", "\n", "\r", "--", `\r\n--${mark}`, `--${mark}`, `--${mark}--`, "x", "\r\n--C\r\n", "\0"),
  { maxLength: 5 },
);
const lineEnd = fc.constantFrom("\r\n", "\r\n", "\r\n", "\n");

const form = fc
  .record({
    prefix: fc.constantFrom("", "", "preamble\r\n", "\r\n"),
    parts: fc.array(fc.record({ disposition, extra, content, lineEnd }), { maxLength: 4 }),
    suffix: fc.constantFrom(`--${mark}--\r\n`, `--${mark}--`, `--${mark}`, "", `--${mark}--\r\nepilogue`, `--${mark}-`),
  })
  .map(({ prefix, parts, suffix }) => {
    const written = parts.map(
      (part) =>
        `--${mark}${part.lineEnd}Content-Disposition: ${part.disposition}\r\n${part.extra}\r\n${part.content.join("")}${part.lineEnd}`,
    );
    return Buffer.from(prefix + written.join("") + suffix, "latin1");
  });

const head = `--${mark}\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n`;
/** CVE-2022-24434, CVE-2025-47935, -47944, -48997, -7338 and their kin: reliability.md 1. */
const corpus = [
  "",
  `--${mark}`,
  `--${mark}--`,
  `--${mark}\r\n\r\n\r\n--${mark}--`,
  `--${mark}\r\n Content-Disposition: form-data; name="f"; filename="a"\r\n\r\n${marker}\r\n--${mark}--`,
  `${head}\r\n${marker}`,
  `${head}\r\n${marker}\r\n--${mark}`,
  `${head}\r\n${marker}\r\n--${mark}-`,
  `--${mark}\r\nContent-Disposition: form-data; name=""; filename="a"\r\n\r\n${marker}\r\n--${mark}--`,
  `${head}X-Long: ${"a".repeat(100_000)}\r\n\r\n${marker}\r\n--${mark}--`,
  `${head}\r\n${marker}\n--${mark}--`,
  `junk\r\n${head}\r\n${marker}\r\n--${mark}--\r\njunk`,
  // Found here: a blank line of LF alone, and what is the end for one parser is a header for another.
  `${head}\n--${mark}--\r\n${head}\r\n${marker}\r\n--${mark}--`,
  `${head}\r\n${`\r\n--${mark}x`.repeat(100)}${marker}\r\n--${mark}--`,
].map((text) => Buffer.from(text, "latin1"));

/** Each part's content as ours sees it; null where it refuses the body. */
export function ours(body: Buffer): readonly Buffer[] | null {
  const parser = new MultipartParser(mark);
  const parts: Buffer[] = [];
  try {
    // Cut at every third byte as well, so that no chunk's end is a matter of luck.
    for (let at = 0; at < body.length; at += 3) take(parser.feed(body.subarray(at, at + 3)));
    take(parser.finish());
    return parts;
  } catch (error) {
    if (error instanceof ProtocolError) return null;
    throw error;
  }

  function take(events: ReturnType<MultipartParser["feed"]>): void {
    for (const event of events) {
      if (event.type === "part-begin") parts.push(Buffer.alloc(0));
      if (event.type === "data") parts.push(Buffer.concat([parts.pop() ?? Buffer.alloc(0), event.bytes]));
    }
  }
}

/** The files that a common parser takes out of it; what it had when it failed. */
export async function theirs(body: Buffer): Promise<readonly Buffer[]> {
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

export const multipartBodies: Campaign = campaign({
  name: "multipart bodies (B1)",
  testRuns: 4_000,
  arbitrary: mutated(form),
  corpus,
  async check(body) {
    const mine = ours(body);
    if (mine === null) return;
    const hidden = (await theirs(body)).filter((file) => file.includes(marker));
    const seen = mine.filter((part) => part.includes(marker));
    assert.ok(
      seen.length >= Math.min(1, hidden.length),
      `a file that others would take was not seen: ${JSON.stringify(body.toString("latin1"))}`,
    );
  },
});

/** The same over the wire. */
export function uploads({ fetch }: Client, url: string): Campaign {
  return campaign({
    name: "multipart uploads to the gateway (B1)",
    testRuns: 300,
    arbitrary: mutated(form),
    corpus,
    async check(body) {
      const answer = await fetch(`${url}/v2/scan`, {
        method: "POST",
        body: new Uint8Array(body),
        headers: { "content-type": contentType },
      });
      const text = await answer.text();
      assert.ok([200, 400, 406, 413, 422].includes(answer.status), `${answer.status} ${text}`);
      if (answer.status !== 200) return;
      const hidden = (await theirs(body)).filter((file) => file.includes(marker));
      assert.deepEqual(hidden, [], `200 for ${JSON.stringify(body.toString("latin1"))}`);
    },
  });
}
