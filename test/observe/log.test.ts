import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { createLog, logLevels, logTo } from "../../src/observe/log.ts";
import { eventually } from "../supervise/stage.ts";
import { capturedLog } from "./captured-log.ts";

/** What breaks a line somewhere: in a file, a terminal, a JavaScript or a Python reader. */
const hostile = "a\r\nb\u001b[31mc\0d\u2028e\u2029f\u0085g\u202eh";
const logModule = new URL("../../src/observe/log.ts", import.meta.url).href;
const run = promisify(execFile);

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

describe("logTo", () => {
  test("has written what is urgent when write returns, with all before it, and the rest soon", async () => {
    const directory = mkdtempSync(join(tmpdir(), "clamgate-log-"));
    const path = join(directory, "log");
    const descriptor = openSync(path, "w");
    try {
      const log = createLog({ level: "info", format: "json", destination: logTo(descriptor) });
      const written = () =>
        readFileSync(path, "utf8")
          .split("\n")
          .filter((line) => line !== "")
          .map((line) => JSON.parse(line).msg);
      log.write("info", "first");
      log.write("error", "second");
      assert.deepEqual(written(), ["first", "second"]);
      log.write("warn", "third");
      log.write("warn", "fourth", {}, true);
      assert.deepEqual(written(), ["first", "second", "third", "fourth"]);
      log.write("warn", "fifth");
      assert.equal(written().length, 4);
      await eventually("it is written", () => written().length === 5);
      log.write("info", "sixth");
      log.flush();
      assert.equal(written().at(-1), "sixth");
      log.write("info", "x".repeat(70_000));
      assert.equal(written().length, 7);
    } finally {
      closeSync(descriptor);
      rmSync(directory, { recursive: true });
    }
  });

  test("costs nothing but the lines when the descriptor refuses them", () => {
    const directory = mkdtempSync(join(tmpdir(), "clamgate-log-"));
    const path = join(directory, "log");
    writeFileSync(path, "");
    const descriptor = openSync(path, "r");
    try {
      const log = createLog({ level: "info", format: "json", destination: logTo(descriptor) });
      for (let line = 0; line < 3000; line += 1) log.write("error", "x".repeat(1000));
      assert.equal(readFileSync(path, "utf8"), "");
    } finally {
      closeSync(descriptor);
      rmSync(directory, { recursive: true });
    }
  });

  for (const end of [
    "process.exit(3)",
    "throw new Error('unforeseen')",
    "setTimeout(() => process.kill(process.pid, 'SIGKILL'), 100)",
    "log.write('error', 'the last'); process.kill(process.pid, 'SIGKILL')",
  ]) {
    test(`loses no line before ${end}`, async () => {
      const script = `
        const { createLog, logTo } = await import(${JSON.stringify(logModule)});
        const log = createLog({ level: "info", format: "json", destination: logTo(1) });
        for (let line = 0; line < 500; line += 1) log.write("info", "line " + line);
        ${end};`;
      const ended = await run(process.execPath, ["--input-type=module", "-e", script]).catch((error: unknown) => error);
      assert.ok(ended instanceof Error && "stdout" in ended);
      const lines = String(ended.stdout).trimEnd().split("\n");
      assert.equal(lines.length, end.includes("the last") ? 501 : 500);
      assert.ok(lines[499]?.includes("line 499"));
    });
  }

  test("lets the process live on when its reader goes away", async () => {
    const script = `
      const { createLog, logTo } = await import(${JSON.stringify(logModule)});
      const log = createLog({ level: "info", format: "json", destination: logTo(1) });
      process.stdin.once("data", () => {
        for (let line = 0; line < 100; line += 1) log.write("info", "line");
        process.exit(7);
      });`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["pipe", "pipe", "inherit"] });
    const code = new Promise((resolve) => child.once("exit", resolve));
    child.stdout.destroy();
    await new Promise((resolve) => child.stdout.once("close", resolve));
    child.stdin.end("go\n");
    assert.equal(await code, 7);
  });
});
