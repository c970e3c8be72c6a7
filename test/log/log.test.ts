import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createLog, logLevels } from "../../src/log/log.ts";
import { capturedLog } from "./captured-log.ts";

/** What breaks a line somewhere: in a file, a terminal, a JavaScript or a Python reader. */
const hostile = "a\r\nb\u001b[31mc\0d\u2028e\u2029f\u0085g\u202eh";

describe("createLog", () => {
  test("writes one line of JSON with level, time, message and fields", () => {
    const { log, only } = capturedLog();
    log.write("warn", "hello", { size: 3, isWhole: true, backend: null, signatures: ["A", "B"] });
    assert.deepEqual(only(), {
      level: "warn",
      time: "2026-01-02T03:04:05.678Z",
      msg: "hello",
      size: 3,
      isWhole: true,
      backend: null,
      signatures: ["A", "B"],
    });
  });

  test("takes a message as it is, percent signs and braces included", () => {
    const { log, only } = capturedLog();
    log.write("info", "100%s %d %% {name}", { name: "x" });
    assert.equal(only().msg, "100%s %d %% {name}");
  });

  for (const [index, level] of logLevels.entries()) {
    test(`set to ${level}, writes that level and those above`, () => {
      const { log, written } = capturedLog({ level });
      for (const each of logLevels) log.write(each, "line");
      assert.equal(written.length, logLevels.length - index);
      assert.deepEqual(
        logLevels.map((each) => log.isOn(each)),
        logLevels.map((_, position) => position >= index),
      );
    });
  }

  test("set to trace, writes every level; set to fatal or silent, none", () => {
    for (const [level, lines] of [
      ["trace", logLevels.length],
      ["fatal", 0],
      ["silent", 0],
    ] as const) {
      const { log, written } = capturedLog({ level });
      for (const each of logLevels) log.write(each, "line");
      assert.equal(written.length, lines);
    }
  });

  for (const format of ["json", "text"] as const) {
    test(`keeps a hostile message and hostile fields on one line of ${format}`, () => {
      const { log, written } = capturedLog({ format });
      log.write("warn", hostile, {
        name: hostile,
        signatures: [hostile],
        hostname: hostile,
        caller: hostile,
        type: "Error",
        stack: hostile,
      });
      assert.equal(written.length, 1);
      assert.match(written[0] ?? "", /^[^\p{Cc}\u2028\u2029\u202e]+\n$/u);
    });
  }

  test("gives a hostile name back whole to whoever parses the JSON", () => {
    const { log, only } = capturedLog();
    log.write("info", hostile, { name: hostile });
    assert.equal(only().name, hostile);
    assert.equal(only().msg, hostile);
  });

  test("writes text for eyes: time, level, message, pairs", () => {
    const { log, written } = capturedLog({ format: "text" });
    log.write("warn", "scanned", { name: "a b.pdf", size: 3, backend: null, signatures: ["Eicar-Test", "x y"] });
    assert.match(
      written.join(""),
      /^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.678\] WARN: scanned name="a b\.pdf" size=3 backend=null signatures=Eicar-Test,"x y"\n$/,
    );
  });

  test("lets no name in the text format look like another pair", () => {
    const { log, written } = capturedLog({ format: "text" });
    log.write("info", "scanned", { name: 'x" verdict=clean \\', verdict: "infected" });
    assert.match(written.join(""), /name="x\\" verdict=clean \\\\" verdict=infected\n$/);
  });

  test("colours only when told to", () => {
    const plain = capturedLog({ format: "text" });
    const colored = capturedLog({ format: "text", isColored: true });
    for (const { log } of [plain, colored]) log.write("error", "line");
    assert.equal(plain.written.join("").includes("\u001b["), false);
    assert.equal(colored.written.join("").includes("\u001b["), true);
  });

  test("survives a destination that throws", () => {
    const log = createLog({
      level: "info",
      format: "json",
      destination: {
        write() {
          throw new Error("no space left");
        },
      },
    });
    log.write("error", "line");
    log.flush();
  });
});
