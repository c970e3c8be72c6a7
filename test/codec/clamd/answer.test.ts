import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  commandsLine,
  errorLine,
  errorName,
  foundLine,
  framed,
  noDescriptor,
  okLine,
  pathErrorLine,
  statsLines,
  versionLine,
} from "../../../src/codec/clamd/answer.ts";
import { parseScanReply, parseVersionReply } from "../../../src/codec/clamd/reply.ts";
import { errorCodes } from "../../../src/core/errors.ts";

const version = { engine: "1.4.6", database: 27826, databaseTime: null, databaseDate: "Thu Nov 20 10:13:12 2025", tag: "t" };
const frame = { form: "z", id: null } as const;

describe("the lines of failures", () => {
  test("are short, and hold no word that a client would look for elsewhere", () => {
    for (const code of errorCodes) {
      const line = errorLine(code);
      assert.match(line, /^[\x20-\x7e]+$/, code);
      if (code === "client-slow") continue; // it has its own line
      const text = line.slice(0, -". ERROR".length);
      assert.match(line, /\. ERROR$/);
      assert.ok(text.length >= 8 && text.length <= 90, code);
      assert.doesNotMatch(text, /^\d|OK|FOUND|ERROR/, code);
      assert.ok(!text.includes(":"), code);
    }
  });

  test("have a name each, for listeners that say FOUND", () => {
    assert.equal(errorName("engine-unavailable"), "Heuristics.Clamgate.EngineUnavailable");
    assert.equal(errorName("stopping"), "Heuristics.Clamgate.Stopping");
    assert.equal(new Set(errorCodes.map(errorName)).size, errorCodes.length);
    for (const code of errorCodes) assert.match(errorName(code), /^Heuristics\.Clamgate\.([A-Z][a-z]+)+$/);
  });

  test("are never read as a verdict by our own engine's reader, and as a finding where they say FOUND", () => {
    for (const code of errorCodes) {
      const reply = parseScanReply(Buffer.from(framed(errorLine(code), frame)), "stream");
      if (code === "too-large")
        assert.deepEqual(reply, { kind: "verdict", verdict: { kind: "unscannable", reason: "too-large", heuristic: null } });
      else assert.equal(reply.kind, "error", code);
      const found = parseScanReply(Buffer.from(framed(foundLine("stream", errorName(code)), frame)), "stream");
      assert.deepEqual(found, { kind: "verdict", verdict: { kind: "infected", signatures: [errorName(code)] } });
    }
    assert.equal(parseScanReply(Buffer.from(framed(noDescriptor, frame)), "stream").kind, "error");
    assert.equal(parseScanReply(Buffer.from(framed(pathErrorLine("/a", "Access denied"), frame)), "/a").kind, "error");
  });
});

describe("foundLine", () => {
  test("has one word for a name, whatever is in it, and stays below milter's 128 bytes", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary", maxLength: 400 }),
        fc.constantFrom("z", "n"),
        fc.option(fc.nat(99)),
        (name, form, id) => {
          const reply = framed(foundLine("stream", name), { form, id });
          assert.match(reply, /^(\d+: )?stream: [!-'*-9;-~]{1,100} FOUND[\0\n]$/);
          if (id === null) assert.ok(Buffer.byteLength(reply) <= 127);
          if (id !== null || form !== "z") return;
          const read = parseScanReply(Buffer.from(reply), "stream");
          assert.ok(read.kind === "verdict" && read.verdict.kind !== "clean");
        },
      ),
    );
    assert.equal(foundLine("stream", ""), "stream: Unnamed FOUND");
    assert.equal(foundLine("/a", "A b:c(d)é"), "/a: A_b_c_d__ FOUND");
  });
});

describe("okLine", () => {
  test("is clean to our own engine's reader", () => {
    assert.deepEqual(parseScanReply(Buffer.from(framed(okLine("stream"), frame)), "stream"), {
      kind: "verdict",
      verdict: { kind: "clean" },
    });
  });
});

describe("framed", () => {
  test("ends as the command did, and begins with its number in a session", () => {
    assert.equal(framed("PONG", { form: "z", id: null }), "PONG\0");
    assert.equal(framed("PONG", { form: "n", id: 3 }), "3: PONG\n");
    assert.equal(framed("PONG", { form: "plain", id: null }), "PONG\n");
  });
});

describe("the lines about the engine", () => {
  test("are those of clamd", () => {
    assert.equal(versionLine(version), "ClamAV 1.4.6/27826/Thu Nov 20 10:13:12 2025");
    assert.deepEqual(parseVersionReply(Buffer.from(framed(versionLine(version), frame)))?.database, 27826);
    assert.equal(versionLine({ ...version, database: 0, databaseDate: "" }), "ClamAV 1.4.6");
  });

  test("name the commands that are open, in clamd's order", () => {
    assert.equal(
      commandsLine(version, { hasPaths: false }),
      "ClamAV 1.4.6/27826/Thu Nov 20 10:13:12 2025| COMMANDS: PING VERSIONCOMMANDS VERSION END STATS IDSESSION INSTREAM",
    );
    assert.match(
      commandsLine(version, { hasPaths: true }),
      /: SCAN PING CONTSCAN VERSIONCOMMANDS VERSION END MULTISCAN STATS IDSESSION INSTREAM ALLMATCHSCAN$/,
    );
  });

  test("tell slots, what is free of them, and the queue", () => {
    const lines = statsLines({ backendsUp: 2, slots: 20, inFlight: 3, queued: 7 }).split("\n");
    assert.deepEqual(lines.slice(0, 6), [
      "POOLS: 1",
      "",
      "STATE: VALID PRIMARY",
      "THREADS: live 20  idle 17 max 20 idle-timeout 30",
      "QUEUE: 7 items",
      "",
    ]);
    assert.match(lines[6] ?? "", /^MEMSTATS: heap N\/A .* pools_total 0\.000M$/);
    assert.deepEqual(lines.slice(7), ["END"]);
  });
});
