/** B3: what a clamd may say instead of an answer. Only the exact grammar of one reply means clean. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { parseScanReply, parseVersionReply, withoutNumber } from "../../src/codec/clamd/reply.ts";
import { type Campaign, campaign } from "./harness/campaign.ts";
import { mutated } from "./harness/mutated.ts";

const valid = [
  "stream: OK\0",
  "stream: Eicar-Signature FOUND\0",
  "stream: Heuristics.Limits.Exceeded.MaxFiles FOUND\0",
  "stream: Heuristics.Encrypted.Zip FOUND\0",
  "stream: Can't allocate memory ERROR\0",
  "INSTREAM size limit exceeded. ERROR\0",
  "COMMAND READ TIMED OUT\n",
  "UNKNOWN COMMAND\0",
  "/tmp/body: OK\0",
  "1: stream: OK\0",
  "2: stream: OK\0",
  "11: stream: OK\0",
  "1: PONG\0",
  "PONG\0",
  "ClamAV 1.4.6/27001/Thu Nov 20 10:13:12 2025\0",
];

const text = fc.oneof(
  fc.constantFrom(...valid),
  fc.tuple(fc.constantFrom(...valid), fc.constantFrom(...valid)).map(([first, second]) => first + second),
  fc
    .array(fc.constantFrom("stream", ": ", "1", "2", "OK", "FOUND", " ", "\0", "\n", "ERROR", "a", ": OK", " FOUND"), {
      maxLength: 8,
    })
    .map((parts) => parts.join("")),
);

const corpus = [
  "",
  "1: stream: OK\x002: stream: OK\0",
  "1: 1: stream: OK\0",
  "01: stream: OK\0",
  "1:stream: OK\0",
  "stream: OK",
  "stream: OK\n",
  "stream: OK\0\0",
  "stream: OK\0stream: X FOUND\0",
  "stream: : OK FOUND\0",
  "stream: X: OK\0",
  "stream: stream: OK\0",
  "stream:OK\0",
  " stream: OK\0",
  "stream: OK \0",
  "stream: ok\0",
  "Stream: OK\0",
  "stream: O\u212a\0",
  "\ufeffstream: OK\0",
  `stream: ${"A".repeat(1_000_000)} FOUND\0`,
].map((reply) => Buffer.from(reply));

export const clamdReplies: Campaign = campaign({
  name: "replies of clamd (B3)",
  testRuns: 20_000,
  arbitrary: mutated(text.map((reply) => Buffer.from(reply))),
  corpus,
  check(reply) {
    for (const subject of ["stream", "/tmp/body"]) {
      const parsed = parseScanReply(reply, subject);
      const isClean = parsed.kind === "verdict" && parsed.verdict.kind === "clean";
      assert.equal(isClean, reply.equals(Buffer.from(`${subject}: OK\0`)), JSON.stringify(reply.toString("latin1")));
      if (parsed.kind !== "verdict") continue;
      // Whatever it is, it was one reply.
      assert.equal(reply.indexOf(0), reply.length - 1);
    }
    parseVersionReply(reply);
    for (const number of [1, 2, 11]) {
      const answer = withoutNumber(reply, number);
      const parsed = answer === null ? null : parseScanReply(answer, "stream");
      const isClean = parsed?.kind === "verdict" && parsed.verdict.kind === "clean";
      assert.equal(isClean, reply.equals(Buffer.from(`${number}: stream: OK\0`)), JSON.stringify(reply.toString("latin1")));
    }
  },
});
