/** The missing parts on each kind of system: with the right to install, without it, and with surprises. */

import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { SetupFailure } from "../../setup/failure.mjs";
import { installParts } from "../../setup/packages.mjs";
import { recordedProgress, releases, ScratchMachine, scriptedRun } from "./scratch-machine.mjs";

/** @type {ScratchMachine[]} */
const scratches = [];
afterEach(() => {
  for (const scratch of scratches.splice(0)) scratch.remove();
});

/** @param {ConstructorParameters<typeof ScratchMachine>[0]} options */
function scratchMachine(options) {
  const scratch = new ScratchMachine(options);
  scratch.write("/usr/lib64/libatomic.so.1", "");
  scratches.push(scratch);
  return scratch;
}

/** @param {ScratchMachine} scratch */
const clamav = (scratch) => ({ effect: () => scratch.addPrograms("/usr/sbin/clamd", "/usr/bin/freshclam") });

/** @param {Promise<unknown>} work @returns {Promise<string>} */
async function failureOf(work) {
  const error = await work.then(
    () => assert.fail("must reject"),
    (reason) => reason,
  );
  assert.ok(error instanceof SetupFailure, String(error));
  return [error.step, ...error.lines].join("\n");
}

describe("installParts", () => {
  test("does nothing and says nothing when all is here", async () => {
    const scratch = scratchMachine({ release: releases.plan9, isRoot: false });
    scratch.addPrograms("/usr/sbin/clamd", "/usr/bin/freshclam");
    const [{ run, calls }, { progress, shown }] = [scriptedRun(), recordedProgress()];
    await installParts({ machine: scratch.machine, run, progress, goal: "start" });
    assert.deepEqual([calls, shown], [[], []]);
  });

  /** @type {ReadonlyArray<readonly [string, NonNullable<ConstructorParameters<typeof ScratchMachine>[0]>, string, string]>} */
  const systems = [
    [
      "Alpine",
      { release: releases.alpine },
      "/sbin/apk",
      "apk add --wait 120 --update-cache --no-progress clamav-daemon freshclam",
    ],
    [
      "Fedora",
      { release: releases.fedora },
      "/usr/bin/dnf",
      "dnf install -y --setopt=install_weak_deps=False clamd clamav-freshclam",
    ],
    ["macOS", { platform: "darwin", isRoot: false }, "/opt/homebrew/bin/brew", "brew install clamav"],
  ];
  for (const [name, options, manager, command] of systems) {
    test(`installs ClamAV on ${name} with one command`, async () => {
      const scratch = scratchMachine(options);
      scratch.addPrograms(manager);
      const [{ run, lines }, { progress, shown }] = [scriptedRun([[command, clamav(scratch)]]), recordedProgress()];
      await installParts({ machine: scratch.machine, run, progress, goal: "start" });
      assert.deepEqual(lines(), [command]);
      assert.equal(shown.length, 1);
    });
  }

  /** @type {ReadonlyArray<readonly [string, NonNullable<ConstructorParameters<typeof ScratchMachine>[0]>, string, string]>} */
  const refusals = [
    [
      "Debian",
      { release: releases.debian, isRoot: false },
      "/usr/bin/apt-get",
      "  sudo apt-get install -y --no-install-recommends clamav-daemon clamav-freshclam",
    ],
    [
      "Alpine",
      { release: releases.alpine, isRoot: false },
      "/sbin/apk",
      "  sudo apk add --wait 120 --update-cache --no-progress clamav-daemon freshclam",
    ],
    [
      "Fedora",
      { release: releases.fedora, isRoot: false },
      "/usr/bin/dnf",
      "  sudo dnf install -y --setopt=install_weak_deps=False clamd clamav-freshclam",
    ],
    ["macOS as root", { platform: "darwin", isRoot: true }, "/opt/homebrew/bin/brew", "  brew install clamav"],
  ];
  for (const [name, options, manager, command] of refusals) {
    test(`runs nothing on ${name} without the right to, and names the exact command`, async () => {
      const scratch = scratchMachine(options);
      scratch.addPrograms(manager, "/usr/bin/sudo");
      const [{ run, calls }, { progress }] = [scriptedRun(), recordedProgress()];
      const failure = await failureOf(installParts({ machine: scratch.machine, run, progress, goal: "start" }));
      assert.ok(failure.split("\n").includes(command), failure);
      assert.deepEqual(calls, []);
    });
  }

  test("asks a Debian without any lists to update them first, and no other", async () => {
    const scratch = scratchMachine({ release: releases.debian, isRoot: false });
    scratch.addPrograms("/usr/bin/apt-get");
    const attempt = () =>
      failureOf(
        installParts({
          machine: scratch.machine,
          run: scriptedRun().run,
          progress: recordedProgress().progress,
          goal: "start",
        }),
      );
    assert.match(await attempt(), /^ {2}sudo apt-get update\n {2}sudo apt-get install -y/m);
    scratch.write("/var/lib/apt/lists/deb.example_dists_bookworm_main_binary-amd64_Packages.lz4", "");
    assert.doesNotMatch(await attempt(), /update/);
  });

  test("names the services to turn off on a Debian that systemd booted", async () => {
    const scratch = scratchMachine({ release: releases.debian, isRoot: false });
    scratch.addPrograms("/usr/bin/apt-get", "/usr/bin/freshclam");
    scratch.write("/run/systemd/system/.keep", "");
    const [{ run }, { progress }] = [scriptedRun(), recordedProgress()];
    const failure = await failureOf(installParts({ machine: scratch.machine, run, progress, goal: "start" }));
    assert.match(failure, /^ {2}sudo systemctl disable --now clamav-daemon\.service clamav-daemon\.socket$/m);
  });

  /** @type {ReadonlyArray<readonly [string, NonNullable<ConstructorParameters<typeof ScratchMachine>[0]>]>} */
  const unknowns = [
    ["an unknown Linux", { release: releases.plan9 }],
    ["Windows", { platform: "win32" }],
    ["a Fedora without dnf", { release: releases.fedora }],
    ["a macOS without Homebrew", { platform: "darwin", isRoot: false }],
  ];
  for (const [name, options] of unknowns) {
    test(`says on ${name} which programs are needed`, async () => {
      const [{ run, calls }, { progress }] = [scriptedRun(), recordedProgress()];
      const { machine } = scratchMachine(options);
      const failure = await failureOf(installParts({ machine, run, progress, goal: "start" }));
      assert.match(failure, /on PATH: clamd, freshclam\./);
      assert.deepEqual(calls, []);
    });
  }

  test("goes over everything again on a Debian whose set-up was killed, though all programs are unpacked", async () => {
    const scratch = scratchMachine({ release: releases.debian });
    scratch.addPrograms("/usr/bin/apt-get", "/usr/sbin/clamd", "/usr/bin/freshclam");
    scratch.write("/usr/sbin/policy-rc.d.before-clamgate", "#!/bin/sh\nexit 101\n");
    const [{ run, lines }, { progress }] = [scriptedRun(), recordedProgress()];
    await installParts({ machine: scratch.machine, run, progress, goal: "start" });
    assert.deepEqual(
      lines().filter((line) => line.startsWith("dpkg ") || line.startsWith("apt-get install")),
      [
        "dpkg --force-confdef --force-confold --configure -a",
        "apt-get install -y --fix-broken --no-install-recommends clamav-daemon clamav-freshclam libatomic1",
      ],
    );
    const before = lines().length;
    await installParts({ machine: scratch.machine, run, progress, goal: "start" });
    assert.equal(lines().length, before);
  });

  test("asks only for the packages of what is missing", async () => {
    const scratch = scratchMachine({ release: releases.alpine });
    scratch.addPrograms("/sbin/apk", "/usr/sbin/clamd");
    const [{ run, lines }, { progress }] = [scriptedRun([["apk", clamav(scratch)]]), recordedProgress()];
    await installParts({ machine: scratch.machine, run, progress, goal: "start" });
    assert.deepEqual(lines(), ["apk add --wait 120 --update-cache --no-progress freshclam"]);
  });

  test("does not believe a success that brings no program", async () => {
    const scratch = scratchMachine({ release: releases.alpine });
    scratch.addPrograms("/sbin/apk");
    const [{ run }, { progress }] = [scriptedRun(), recordedProgress()];
    const failure = await failureOf(installParts({ machine: scratch.machine, run, progress, goal: "start" }));
    assert.match(failure, /clamd, freshclam is still not to be found/);
  });

  test("passes on what the package manager said, and what to do about it", async () => {
    const scratch = scratchMachine({ release: releases.fedora });
    scratch.addPrograms("/usr/bin/dnf");
    const { run } = scriptedRun([["dnf", { code: 1, output: "Last metadata check\nNo match for argument: clamd\n" }]]);
    const { progress } = recordedProgress();
    const failure = await failureOf(installParts({ machine: scratch.machine, run, progress, goal: "start" }));
    assert.match(failure, / {2}\| No match for argument: clamd/);
    assert.match(failure, /EPEL/);
  });
});

describe("installParts for the tests", () => {
  const tools = [
    "/usr/bin/clamscan",
    "/usr/bin/sigtool",
    "/usr/bin/redis-server",
    "/usr/sbin/nginx",
    "/usr/sbin/haproxy",
    "/usr/bin/caddy",
    "/usr/bin/promtool",
    "/usr/bin/curl",
    "/usr/bin/wget",
    "/usr/bin/aria2c",
    "/usr/sbin/squid",
    "/usr/bin/openssl",
    "/bin/zsh",
    "/usr/bin/fish",
  ];

  /** @param {Record<string, string>} env */
  function alpineWithTools(env) {
    const scratch = scratchMachine({ release: releases.alpine, env });
    scratch.addPrograms("/sbin/apk", "/usr/sbin/clamd", "/usr/bin/freshclam", ...tools);
    return scratch;
  }

  test("says in one line that a system has no package of the test files", async () => {
    const [{ run, calls }, { progress, shown }] = [scriptedRun(), recordedProgress()];
    await installParts({ machine: alpineWithTools({}).machine, run, progress, goal: "tests" });
    assert.deepEqual(calls, []);
    assert.equal(shown.length, 1);
    assert.match(shown.join(), /Alpine Linux v3\.23 has no package of ClamAV's test files.*\/usr\/share\/clamav-testfiles/);
  });

  test("fails for want of the test files when CI=true", async () => {
    const [{ run }, { progress }] = [scriptedRun(), recordedProgress()];
    const { machine } = alpineWithTools({ CI: "true" });
    assert.match(
      await failureOf(installParts({ machine, run, progress, goal: "tests" })),
      /With CI=true a missing part is a failure/,
    );
  });
});
