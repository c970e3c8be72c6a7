import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseScanReply, parseVersionReply } from "../../../src/codec/clamd/reply.ts";

const parse = (text: string, subject = "stream") => parseScanReply(Buffer.from(text, "latin1"), subject);

describe("parseScanReply", () => {
  test("takes one exact OK for clean", () => {
    assert.deepEqual(parse("stream: OK\0"), { kind: "verdict", verdict: { kind: "clean" } });
    assert.deepEqual(parse("/spool/a b: OK\0", "/spool/a b"), { kind: "verdict", verdict: { kind: "clean" } });
  });

  const infected = {
    "stream: Win.Test.EICAR_HDB-1 FOUND\0": "Win.Test.EICAR_HDB-1",
    "stream: Clamgate.Test.A.UNOFFICIAL FOUND\0": "Clamgate.Test.A.UNOFFICIAL",
    "stream: a: OK FOUND\0": "a: OK",
    "stream: FOUND FOUND\0": "FOUND",
    "stream: (null) FOUND\0": "(null)",
    "stream:  FOUND\0": "(unnamed)",
  };
  for (const [text, name] of Object.entries(infected)) {
    test(`finds ${JSON.stringify(name)} in ${JSON.stringify(text)}`, () => {
      assert.deepEqual(parse(text), { kind: "verdict", verdict: { kind: "infected", signatures: [name] } });
    });
  }

  const unscannable = {
    "Heuristics.Limits.Exceeded.MaxFileSize": "limit-size",
    "Heuristics.Limits.Exceeded.MaxScanSize": "limit-size",
    "Heuristics.Limits.Exceeded.MaxFiles": "limit-files",
    "Heuristics.Limits.Exceeded.MaxRecursion": "limit-recursion",
    "Heuristics.Limits.Exceeded.MaxScanTime": "limit-time",
    "Heuristics.Limits.Exceeded.Whatever": "limit-size",
    "Heuristics.Encrypted.Zip": "encrypted",
    "Heuristics.Encrypted.PDF": "encrypted",
  };
  for (const [heuristic, reason] of Object.entries(unscannable)) {
    test(`calls ${heuristic} unscannable: ${reason}`, () => {
      assert.deepEqual(parse(`stream: ${heuristic} FOUND\0`), {
        kind: "verdict",
        verdict: { kind: "unscannable", reason, heuristic },
      });
    });
  }

  test("calls a body over clamd's own size limit unscannable: too-large", () => {
    assert.deepEqual(parse("INSTREAM size limit exceeded. ERROR\0"), {
      kind: "verdict",
      verdict: { kind: "unscannable", reason: "too-large", heuristic: null },
    });
  });

  const errors = {
    "stream: Can't allocate memory ERROR\0": "Can't allocate memory",
    "Error writing to temporary file ERROR\0": '"Error writing to temporary file"',
    "COMMAND READ TIMED OUT\n": "COMMAND READ TIMED OUT",
  };
  for (const [text, expected] of Object.entries(errors)) {
    test(`reports ${JSON.stringify(text)} as an error`, () => {
      assert.deepEqual(parse(text), { kind: "error", text: expected });
    });
  }

  test("tells a close without a word from every answer", () => {
    assert.deepEqual(parse(""), { kind: "nothing" });
  });

  const garbage = [
    "stream: OK",
    "stream: OK\n",
    "stream: O\0",
    "stream: OK\0\0",
    "stream: OK\0stream: OK\0",
    "stream: OK\0stream: X FOUND\0",
    "stream: OK\0x",
    " stream: OK\0",
    "\xef\xbb\xbfstream: OK\0", // a byte order mark
    "stream:OK\0",
    "stream: ok\0",
    "stream: OK \0",
    "1: stream: OK\0",
    "fd[10]: OK\0",
    "/other: OK\0",
    "PONG\0",
    "UNKNOWN COMMAND\0",
    "COMMAND UNAVAILABLE\0",
    "HTTP/1.1 400 Bad Request\r\n\r\n",
    "\0",
  ];
  for (const text of garbage) {
    test(`takes ${JSON.stringify(text)} for no answer at all`, () => {
      assert.equal(parse(text).kind, "garbage");
    });
  }

  test("never reads clean out of anything but the one exact reply", () => {
    const valid = "stream: OK\0";
    const noise = fc.oneof(fc.string(), fc.constantFrom(valid, "stream: X FOUND\0", "stream: ", "OK", "\0", " FOUND", "\n"));
    fc.assert(
      fc.property(fc.array(noise, { maxLength: 4 }), (pieces) => {
        const text = pieces.join("");
        const reply = parse(text);
        if (reply.kind === "verdict" && reply.verdict.kind === "clean") assert.equal(text, valid);
      }),
      { numRuns: 2000 },
    );
  });

  test("survives bytes that are no UTF-8", () => {
    const reply = parse("stream: \xff\xfe FOUND\0");
    assert.deepEqual(reply, { kind: "verdict", verdict: { kind: "infected", signatures: ["\ufffd\ufffd"] } });
  });
});

describe("parseVersionReply", () => {
  const cases = {
    "ClamAV 1.4.6/27826/Thu Nov 20 10:13:12 2025\0": {
      engine: "1.4.6",
      database: 27826,
      databaseDate: "Thu Nov 20 10:13:12 2025",
    },
    "ClamAV 1.4.6\0": { engine: "1.4.6", database: 0, databaseDate: "" },
    "ClamAV 1.5.0-beta/1/x\0": { engine: "1.5.0-beta", database: 1, databaseDate: "x" },
  };
  for (const [text, expected] of Object.entries(cases)) {
    test(`reads ${JSON.stringify(text)}`, () => assert.deepEqual(parseVersionReply(Buffer.from(text)), expected));
  }

  for (const text of ["", "ClamAV 1.4.6", "ClamAV 1.4.6/4294967295/x\0", "PONG\0", "ClamAV \0", "ClamAV 1.4.6/x/y\0"]) {
    test(`takes ${JSON.stringify(text)} for no version`, () => assert.equal(parseVersionReply(Buffer.from(text)), null));
  }
});
