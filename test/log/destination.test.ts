import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { logTo } from "../../src/log/destination.ts";
import { createLog } from "../../src/log/log.ts";
import { eventually } from "../process/stage.ts";

const modules = `
  const { createLog } = await import(${JSON.stringify(new URL("../../src/log/log.ts", import.meta.url).href)});
  const { logTo } = await import(${JSON.stringify(new URL("../../src/log/destination.ts", import.meta.url).href)});
  const log = createLog({ level: "info", format: "json", destination: logTo(1) });`;
const run = promisify(execFile);

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

  test("writes the first of many findings at once, and the others together", async () => {
    const directory = mkdtempSync(join(tmpdir(), "clamgate-log-"));
    const descriptor = openSync(join(directory, "log"), "w+");
    try {
      const log = createLog({ level: "info", format: "json", destination: logTo(descriptor) });
      const sizes = new Set<number>();
      const startedAt = performance.now();
      for (let line = 0; line < 500; line += 1) {
        log.write("warn", "found", {}, true);
        sizes.add(fstatSync(descriptor).size);
      }
      const most = 1 + (performance.now() - startedAt) / 10;
      assert.ok(!sizes.has(0) && sizes.size <= most, `${sizes.size} writes, at most ${most}`);
      const lines = () => readFileSync(join(directory, "log"), "utf8").split("\n").length - 1;
      await eventually("all are written", () => lines() === 500);
      log.write("warn", "found", {}, true);
      log.write("warn", "found", {}, true);
      log.write("error", "backend down");
      assert.equal(lines(), 503, "an error is written at once, with all before it");
    } finally {
      closeSync(descriptor);
      rmSync(directory, { recursive: true });
    }
  });

  test("costs nothing but the lines when the descriptor refuses them", async () => {
    // In a process of its own: it tries again for as long as it lives.
    const script = `${modules}
      const { openSync } = await import("node:fs");
      const refusing = createLog({ level: "info", format: "json", destination: logTo(openSync("/dev/null", "r")) });
      for (let line = 0; line < 5000; line += 1) refusing.write("error", "x".repeat(1000));
      refusing.flush();
      log.write("info", String(refusing.lostLines() > 2000));`;
    const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script]);
    assert.equal(JSON.parse(stdout).msg, "true");
  });

  for (const end of [
    "process.exit(3)",
    "throw new Error('unforeseen')",
    "for (let line = 0; line < 9; line += 1) log.write('warn', 'found', {}, true); process.exit(3)",
    "for (let line = 0; line < 9; line += 1) log.write('warn', 'found', {}, true); throw new Error('unforeseen')",
    "setTimeout(() => process.kill(process.pid, 'SIGKILL'), 100)",
    "log.write('error', 'the last'); process.kill(process.pid, 'SIGKILL')",
  ]) {
    test(`loses no line before ${end}`, async () => {
      const script = `${modules}
        for (let line = 0; line < 500; line += 1) log.write("info", "line " + line);
        ${end};`;
      const ended = await run(process.execPath, ["--input-type=module", "-e", script]).catch((error: unknown) => error);
      assert.ok(ended instanceof Error && "stdout" in ended);
      const lines = String(ended.stdout).trimEnd().split("\n");
      assert.equal(lines.length, end.includes("the last") ? 501 : end.includes("found") ? 509 : 500);
      assert.ok(lines[499]?.includes("line 499"));
    });
  }

  test("lets the process live on when its reader goes away", async () => {
    const script = `${modules}
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

  /** A process that logs as it is told on its standard input; what it says on standard error is not part of the log. */
  const chatter = `${modules}
    let lines = 0;
    const { createInterface } = await import("node:readline");
    for await (const order of createInterface({ input: process.stdin })) {
      const [count, level] = order.split(" ");
      const startedAt = performance.now();
      for (let line = 0; line < Number(count); line += 1) log.write(level, String(lines++).padStart(1000, "."));
      process.stderr.write(JSON.stringify({ ms: performance.now() - startedAt, lost: log.lostLines() }) + "\\n");
    }`;
  const node = [process.execPath, "--input-type=module", "-e", chatter];

  /** Whose standard output is read by nobody at first; a pipe of the shell's own until its fourth descriptor ends, a socket until we do. */
  const stalled = {
    socket: ["sh", "-c", '"$@"; echo ended >&2', "sh", ...node],
    pipe: ["sh", "-c", '("$@" 3<&-; echo ended >&2) | (read -r go <&3; cat)', "sh", ...node],
  } as const;

  for (const [kind, [program, ...args]] of Object.entries(stalled)) {
    const start = () => spawn(program, args, { stdio: ["pipe", "pipe", "pipe", "pipe"] });

    test(`never waits for the reader of a ${kind}, counts what it leaves out, and says so when it is read again`, async () => {
      const child = start();
      try {
        const told = await tell(child, "3000 info");
        assert.equal(told.ms < 5000, true, `${told.ms} ms`);
        // Half of the room is kept for what is urgent.
        const urgent = await tell(child, "200 error");
        assert.deepEqual([told.lost > 1000, urgent.lost], [true, told.lost]);
        const flood = await tell(child, "3000 error");
        assert.equal(flood.ms < 5000 && flood.lost > told.lost + 1000, true, JSON.stringify(flood));
        letRead(child);
        const pieces: string[] = [];
        child.stdout.setEncoding("utf8").on("data", (piece: string) => pieces.push(piece));
        await eventually("it takes lines again", async () => {
          const before = (await tell(child, "0 error")).lost;
          return (await tell(child, "1 error")).lost === before;
        });
        const last = (await tell(child, "0 error")).lost;
        await eventually("it says what was lost", () => pieces.join("").includes("log lines lost"));
        child.stdin.end();
        await once(child.stdout, "end");
        const lines = pieces
          .join("")
          .trimEnd()
          .split("\n")
          .map((line) => JSON.parse(line));
        const note = lines.findIndex(({ msg }) => msg.startsWith("log lines lost"));
        assert.deepEqual([lines[note]?.level, lines[note]?.lines], ["warn", last]);
        const numbers = lines.filter((_, index) => index !== note).map(({ msg }) => Number(msg.replaceAll(".", "")));
        assert.deepEqual(
          numbers,
          numbers.toSorted((a, b) => a - b),
        );
        assert.equal(numbers.length + last, (numbers.at(-1) ?? 0) + 1, "each line is written or counted");
      } finally {
        letRead(child);
        child.kill("SIGKILL");
      }
    });

    test(`ends soon though nobody reads its ${kind}`, async () => {
      const child = start();
      try {
        await tell(child, "3000 error");
        const startedAt = performance.now();
        const ended = once(child.stderr, "data");
        child.stdin.end();
        assert.equal(String(await ended), "ended\n");
        const ms = performance.now() - startedAt;
        assert.equal(ms >= 400 && ms < 5000, true, `${ms} ms`);
      } finally {
        letRead(child);
        child.kill("SIGKILL");
      }
    });
  }

  test("never waits for a terminal that was stopped", async () => {
    // Ctrl-S, typed before the program starts; script(1) gives it a terminal of its own.
    const command = `stty ixon; sleep 0.5; ${node.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ")} <&3 2>&4`;
    const child = spawn("script", ["-qec", command, "/dev/null"], { stdio: ["pipe", "pipe", "pipe", "pipe", "pipe"] });
    const [typed, , , orders, told] = child.stdio;
    assert.ok(typed && orders && told && "write" in typed && "write" in orders && "read" in told);
    try {
      typed.write("\u0013");
      const answer = once(told, "data");
      orders.write("3000 info\n");
      const { ms, lost } = JSON.parse(String((await answer)[0]));
      assert.equal(ms < 5000 && lost > 1000, true, JSON.stringify({ ms, lost }));
    } finally {
      child.kill("SIGKILL");
    }
  });
});

function letRead(child: ChildProcess): void {
  const go = child.stdio[3];
  if (go !== null && go !== undefined) go.destroy();
}

async function tell(
  child: ChildProcess & { readonly stderr: Readable | null },
  order: string,
): Promise<{ ms: number; lost: number }> {
  assert.ok(child.stdin && child.stderr);
  const answer = once(child.stderr, "data");
  child.stdin.write(`${order}\n`);
  return JSON.parse(String((await answer)[0]));
}
