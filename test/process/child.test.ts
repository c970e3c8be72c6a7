import assert from "node:assert/strict";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type ChildOptions, type SupervisedChild, superviseChild } from "../../src/process/child.ts";
import { openChildRecords } from "../../src/process/child-records.ts";
import { findProcess } from "../../src/process/process-table.ts";
import type { Launch } from "../../src/process/spawned-process.ts";
import { realTiming, type Timing } from "../../src/process/timing.ts";
import { eventually, lasting, openStage, processesWith, type Stage } from "./stage.ts";

/** So long that a test which waits for it would never end. */
const never = 2 ** 30;

const obedient = `echo up; exec ${lasting}`;

interface Scene extends AsyncDisposable {
  readonly stage: Stage;
  readonly child: SupervisedChild;
  /** `ready`, and `lost: …`, as they were told. */
  readonly told: readonly string[];
  readonly recordsDirectory: string;
  /** Sends a signal to the child, as if it had crashed. */
  signal(signal: NodeJS.Signals): void;
}

/** Supervises `sh` on `script`, ready as soon as it has said `up`; the options given win. */
async function openScene(script: string, options: Partial<ChildOptions> = {}): Promise<Scene> {
  const stage = await openStage();
  const path = await stage.script("child.sh", script);
  const told: string[] = [];
  const recordsDirectory = join(stage.directory, "records");
  let up = Promise.withResolvers<void>();
  const child = superviseChild({
    name: "actor",
    launch: async () => {
      up = Promise.withResolvers();
      return { command: "sh", args: [path, stage.directory] };
    },
    isReady: () => up.promise,
    onLine: (line) => {
      if (line === "up") up.resolve();
    },
    onReady: () => told.push("ready"),
    onLost: (reason) => told.push(`lost: ${reason}`),
    readyTimeoutMs: never,
    stopGraceMs: never,
    firstDelayMs: 1,
    maxDelayMs: 1,
    records: await openChildRecords(recordsDirectory),
    emit: stage.emit,
    ...options,
  });
  return {
    stage,
    child,
    told,
    recordsDirectory,
    signal: (signal) => {
      const { pid } = child.state();
      assert.ok(pid !== null, "there is a child");
      process.kill(pid, signal);
    },
    [Symbol.asyncDispose]: async () => {
      child.kill();
      await child.stop();
      await stage[Symbol.asyncDispose]();
    },
  };
}

describe("superviseChild", () => {
  test("starts a child, tells when it is ready, and ends it", async () => {
    await using scene = await openScene(obedient);
    const { child, stage, told } = scene;
    assert.deepEqual(child.state(), { phase: "stopped", pid: null, restarts: 0, lastExit: null });
    await child.start();
    const { phase, pid } = child.state();
    assert.equal(phase, "ready");
    await eventually("it is the only process", async () => String(await processesWith(stage.directory)) === String(pid));
    assert.deepEqual(await readdir(scene.recordsDirectory), [`${pid}.json`]);
    await child.start();
    assert.equal(child.state().pid, pid);

    await child.stop();
    assert.deepEqual(child.state(), { phase: "stopped", pid: null, restarts: 0, lastExit: "stop: signal SIGTERM" });
    assert.deepEqual(told, ["ready", "lost: stop"]);
    assert.deepEqual(stage.events, [
      { kind: "child-started", child: "actor", pid },
      { kind: "child-line", child: "actor", line: "up" },
      { kind: "child-exited", child: "actor", reason: "stop: signal SIGTERM", restartInMs: null },
    ]);
    assert.deepEqual(await readdir(scene.recordsDirectory), []);
  });

  test("stops once however often it is asked, and stays stopped", async () => {
    await using scene = await openScene(obedient);
    await scene.child.start();
    await Promise.all([scene.child.stop(), scene.child.stop()]);
    await scene.child.stop();
    assert.equal(scene.stage.exits().length, 1);
    await assert.rejects(scene.child.start(), { message: "actor is not running" });
    await assert.rejects(scene.child.restart("new signatures"), { message: "actor is not running" });
  });

  test("stops although it was never started", async () => {
    await using scene = await openScene(obedient);
    await scene.child.stop();
    assert.equal(scene.child.state().phase, "stopped");
    await assert.rejects(scene.child.start());
  });

  test("waits longer before each start of a child that crashes at once", async () => {
    await using scene = await openScene("echo broken >&2; exit 3", { firstDelayMs: 2, maxDelayMs: 16, random: () => 0 });
    const start = assert.rejects(scene.child.start(), { message: "actor is not running" });
    await eventually("it crashed six times", () => scene.stage.exits().length >= 6);
    await scene.child.stop();
    await start;
    assert.deepEqual(
      scene.stage.exits().slice(0, 6),
      [1, 2, 4, 8, 8, 8].map((restartInMs) => ({ reason: "exit code 3", restartInMs })),
    );
    assert.ok(scene.stage.events.some((event) => event.kind === "child-line" && event.line === "broken"));
    assert.ok(scene.child.state().restarts >= 5);
    assert.deepEqual(scene.told, []);
  });

  test("brings back a child that was killed, and its first start waits for however many it takes", async () => {
    let launches = 0;
    await using scene = await openScene(obedient, { steadyMs: never, random: () => 0, firstDelayMs: 2, maxDelayMs: 64 });
    const { child } = scene;
    await child.start();
    for (const restartInMs of [1, 2, 4]) {
      launches += 1;
      scene.signal("SIGKILL");
      await eventually("it is ready again", () => scene.told.length === 2 * launches + 1);
      assert.deepEqual(scene.stage.exits().at(-1), { reason: "signal SIGKILL", restartInMs });
    }
    assert.deepEqual(scene.told.slice(0, 3), ["ready", "lost: signal SIGKILL", "ready"]);
    assert.equal(child.state().restarts, 3);
    assert.equal(child.state().lastExit, "signal SIGKILL");
  });

  test("begins with the first delay again after the child was ready for a while", async () => {
    let now = 0;
    const timing: Timing = { ...realTiming, clock: () => now };
    await using scene = await openScene(obedient, { timing, steadyMs: 100, random: () => 0, firstDelayMs: 2, maxDelayMs: 64 });
    await scene.child.start();
    let readies = 1;
    for (const [readyMs, restartInMs] of [
      [99, 1],
      [99, 2],
      [100, 1],
      [0, 2],
    ] as const) {
      now += readyMs;
      scene.signal("SIGKILL");
      readies += 1;
      await eventually("it is ready again", () => scene.told.filter((line) => line === "ready").length === readies);
      assert.equal(scene.stage.exits().at(-1)?.restartInMs, restartInMs);
    }
  });

  test("ends a child that is not ready in time and tries again", async () => {
    let starts = 0;
    await using scene = await openScene(obedient, {
      readyTimeoutMs: 30,
      isReady: async (signal) => {
        starts += 1;
        if (starts < 3) await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      },
    });
    await scene.child.start();
    assert.equal(scene.child.state().restarts, 2);
    assert.deepEqual(
      scene.stage.exits().map(({ reason }) => reason),
      ["not ready within 30 ms: signal SIGTERM", "not ready within 30 ms: signal SIGTERM"],
    );
    assert.deepEqual(scene.told, ["ready"]);
  });

  test("gives up a readiness check that heeds no signal", async () => {
    await using scene = await openScene("exit 0", { isReady: () => new Promise(() => {}) });
    const start = assert.rejects(scene.child.start());
    await eventually("it ended twice", () => scene.stage.exits().length >= 2);
    await scene.child.stop();
    await start;
    assert.equal(scene.stage.exits()[0]?.reason, "exit code 0");
  });

  for (const [what, isReady] of [
    ["rejects", () => Promise.reject(new Error("the canary is not detected"))],
    [
      "throws",
      () => {
        throw new Error("the canary is not detected");
      },
    ],
  ] as const) {
    test(`takes a readiness check that ${what} for a failed start`, async () => {
      await using scene = await openScene(obedient, { isReady, firstDelayMs: never, maxDelayMs: never });
      const start = assert.rejects(scene.child.start());
      await eventually("the child was ended", () => scene.stage.exits().length === 1);
      assert.equal(scene.child.state().lastExit, "not ready, the canary is not detected: signal SIGTERM");
      await scene.child.stop();
      await start;
    });
  }

  test("kills the whole group of a child that ignores SIGTERM", async () => {
    const deaf = `trap '' TERM; ${lasting} & echo up; exec ${lasting}`;
    await using scene = await openScene(deaf, { stopGraceMs: 20 });
    await scene.child.start();
    await eventually("both run", async () => (await processesWith(scene.stage.directory)).length === 2);
    await scene.child.stop();
    assert.equal(scene.child.state().lastExit, "stop: signal SIGKILL");
    assert.deepEqual(await processesWith(scene.stage.directory), []);
  });

  test("kills what a crashed child leaves in its group before it cleans up and starts again", async () => {
    const left: (readonly number[])[] = [];
    await using scene = await openScene(`${lasting} & echo up; exec ${lasting}`, {
      onExit: async () => void left.push(await processesWith(scene.stage.directory)),
    });
    await scene.child.start();
    scene.signal("SIGKILL");
    await eventually("it is ready again", () => scene.told.length === 3);
    assert.deepEqual(left, [[]]);
  });

  test("does not wait for ever for a pipe that a process outside the group holds", async () => {
    await using scene = await openScene(`setsid ${lasting} & echo up; exec ${lasting}`);
    await scene.child.start();
    await eventually("one has left the group", async () => {
      const found = await Promise.all((await processesWith(scene.stage.directory)).map((pid) => findProcess(pid)));
      return new Set(found.map((process) => process?.group)).size === 2;
    });
    await scene.child.stop();
    assert.equal(scene.child.state().phase, "stopped");
    const outsiders = await processesWith(scene.stage.directory);
    assert.equal(outsiders.length, 1);
    for (const pid of outsiders) process.kill(pid, "SIGKILL");
    await eventually("the outsider is gone", async () => (await processesWith(scene.stage.directory)).length === 0);
  });

  for (const [what, launch, reason] of [
    ["a command that does not exist", { command: "/no/such/clamd", args: [] }, /^\/no\/such\/clamd cannot be started: .*ENOENT/],
    ["a command that may not be run", { command: "/", args: [] }, /cannot be started: .*EACCES/],
    [
      "a directory that does not exist",
      { command: "sh", args: [], cwd: "/no/such" },
      /cannot be started in \/no\/such: .*ENOENT/,
    ],
    ["an argument with a NUL", { command: "sh", args: ["a\0b"] }, /cannot be started: .*null bytes/],
    ["an argument list too long", { command: "sh", args: ["x".repeat(2 ** 23)] }, /cannot be started: .*E2BIG/],
  ] as const satisfies readonly (readonly [string, Launch, RegExp])[]) {
    test(`treats ${what} as an exit like any other`, async () => {
      let cleanups = 0;
      await using scene = await openScene("", {
        launch: async () => launch,
        onExit: async () => {
          cleanups += 1;
        },
      });
      const start = assert.rejects(scene.child.start());
      await eventually("it was tried again", () => scene.child.state().restarts >= 1);
      await scene.child.stop();
      await start;
      const [exit] = scene.stage.exits();
      assert.match(exit?.reason ?? "", reason);
      assert.equal(exit?.restartInMs, 1);
      assert.equal(cleanups, scene.stage.exits().length);
      assert.equal(scene.stage.events.filter((event) => event.kind === "child-started").length, 0);
    });
  }

  test("prepares every start afresh and cleans up after each", async () => {
    await using stage = await openStage();
    const path = await stage.script("lasting", "");
    const generations = join(stage.directory, "generations");
    await mkdir(generations);
    let generation = 0;
    await using scene = await openScene("", {
      launch: async () => {
        generation += 1;
        await mkdir(join(generations, String(generation)));
        const script = generation < 3 ? "exit 1" : `exec ${lasting}`;
        return { command: "sh", args: ["-c", script, path], cwd: join(generations, String(generation)) };
      },
      isReady: async (signal) => {
        if (generation < 3) await new Promise((_, reject) => signal.addEventListener("abort", reject));
      },
      onExit: () => rm(join(generations, String(generation)), { recursive: true }),
    });
    await scene.child.start();
    assert.deepEqual(await readdir(generations), ["3"]);
    await scene.child.stop();
    assert.deepEqual(await readdir(generations), []);
  });

  test("goes on when a start cannot be prepared or cleaned up after", async () => {
    await using scene = await openScene("", {
      launch: () => Promise.reject(new Error("no space left")),
    });
    const start = assert.rejects(scene.child.start());
    await eventually("it was tried again", () => scene.stage.exits().length >= 2);
    await scene.child.stop();
    await start;
    assert.equal(scene.stage.exits()[0]?.reason, "cannot be prepared: no space left");

    await using other = await openScene("exit 0", { onExit: () => Promise.reject(new Error("busy")) });
    const otherStart = assert.rejects(other.child.start());
    await eventually("it was started again", () => other.child.state().restarts >= 1);
    await other.child.stop();
    await otherStart;
    assert.deepEqual(
      other.stage.events.find((event) => event.kind === "notice"),
      { kind: "notice", level: "warn", message: "actor: cleaning up failed: busy" },
    );
  });

  test("lets no child run that it cannot record", async () => {
    await using scene = await openScene(obedient, {
      records: {
        add: () => Promise.reject(new Error("disk full")),
        remove: () => Promise.reject(new Error("disk full")),
        reapOrphans: async () => [],
      },
    });
    const start = assert.rejects(scene.child.start());
    await eventually("it was tried again", () => scene.stage.exits().length >= 2);
    await scene.child.stop();
    await start;
    assert.equal(scene.stage.exits()[0]?.reason, "sh cannot be recorded: disk full");
    assert.deepEqual(scene.told, []);
  });

  describe("restart", () => {
    test("ends the child and resolves when the new one is ready", async () => {
      await using scene = await openScene(obedient, { firstDelayMs: never, maxDelayMs: never });
      const { child } = scene;
      await child.start();
      const { pid } = child.state();
      await child.restart("new signatures");
      assert.notEqual(child.state().pid, pid);
      assert.equal(child.state().restarts, 1);
      assert.deepEqual(scene.told, ["ready", "lost: restart, new signatures", "ready"]);
      assert.deepEqual(scene.stage.exits(), [{ reason: "restart, new signatures: signal SIGTERM", restartInMs: 0 }]);
    });

    test("is one restart for all who ask at once", async () => {
      await using scene = await openScene(obedient);
      await scene.child.start();
      await Promise.all([scene.child.restart("one"), scene.child.restart("two"), scene.child.start()]);
      assert.equal(scene.child.state().restarts, 1);
      assert.equal(scene.child.state().phase, "ready");
    });

    test("does not wait for a delay to end", async () => {
      await using scene = await openScene(`if [ -e $1/fixed ]; then ${obedient}; fi; exit 1`, {
        firstDelayMs: never,
        maxDelayMs: never,
      });
      const start = scene.child.start();
      await eventually("it waits", () => scene.child.state().phase === "backoff");
      await scene.stage.script("fixed", "");
      await scene.child.restart("repaired");
      await start;
      assert.equal(scene.child.state().phase, "ready");
    });

    test("replaces a child that is still starting", async () => {
      let launches = 0;
      await using scene = await openScene(obedient, {
        isReady: () => (launches++ === 0 ? new Promise(() => {}) : Promise.resolve()),
      });
      const start = scene.child.start();
      await eventually("it is being checked", () => launches === 1);
      await scene.child.restart("impatience");
      await start;
      assert.equal(scene.stage.exits().length, 1);
      assert.deepEqual(scene.told, ["ready"]);
    });

    test("is refused before the first start, and given up when the child is stopped", async () => {
      await using scene = await openScene(obedient, { stopGraceMs: 20 });
      await assert.rejects(scene.child.restart("too early"), { message: "actor is not running" });
      await scene.child.start();
      const restart = assert.rejects(scene.child.restart("too late"), { message: "actor is not running" });
      await scene.child.stop();
      await restart;
      assert.equal(scene.stage.exits().length, 1);
    });
  });

  describe("stop", () => {
    test("ends a delay at once and starts nothing more", async () => {
      await using scene = await openScene("exit 1", { firstDelayMs: never, maxDelayMs: never });
      const start = assert.rejects(scene.child.start(), { message: "actor is not running" });
      await eventually("it waits", () => scene.child.state().phase === "backoff");
      await scene.child.stop();
      await start;
      assert.deepEqual(scene.child.state(), { phase: "stopped", pid: null, restarts: 0, lastExit: "exit code 1" });
    });

    test("ends a child that is still starting", async () => {
      await using scene = await openScene(obedient, { isReady: () => new Promise(() => {}) });
      const start = assert.rejects(scene.child.start());
      await eventually("it runs", () => scene.child.state().pid !== null);
      await scene.child.stop();
      await start;
      assert.deepEqual(scene.told, []);
      assert.equal(scene.child.state().phase, "stopped");
    });

    test("starts nothing after a preparation that was under way", async () => {
      const prepared = Promise.withResolvers<Launch>();
      let cleanups = 0;
      await using scene = await openScene("", {
        launch: () => prepared.promise,
        onExit: async () => {
          cleanups += 1;
        },
      });
      const start = assert.rejects(scene.child.start());
      const stop = scene.child.stop();
      prepared.resolve({ command: "sh", args: ["-c", "exit 0"] });
      await stop;
      await start;
      assert.deepEqual(scene.stage.events, []);
      assert.equal(cleanups, 1);
    });

    test("is cut short by kill", async () => {
      await using scene = await openScene(`trap '' TERM; echo up; exec ${lasting}`);
      await scene.child.start();
      const stop = scene.child.stop();
      scene.child.kill();
      await stop;
      assert.equal(scene.child.state().lastExit, "stop: signal SIGKILL");
    });
  });

  test("an aborted start stops waiting and leaves the child alone", async () => {
    const checked = Promise.withResolvers<void>();
    await using scene = await openScene(obedient, { isReady: () => checked.promise });
    const patience = new AbortController();
    const start = assert.rejects(scene.child.start(patience.signal), { message: "enough" });
    await eventually("it runs", () => scene.child.state().pid !== null);
    patience.abort(new Error("enough"));
    await start;
    await assert.rejects(scene.child.start(patience.signal), { message: "enough" });
    checked.resolve();
    await scene.child.start();
    assert.equal(scene.child.state().restarts, 0);
  });
});
