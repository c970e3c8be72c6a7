/** apt-get: lists, downloads, locks, interruptions. */

import assert from "node:assert/strict";
import { existsSync, readFileSync, utimesSync } from "node:fs";
import { afterEach, beforeEach, describe, test } from "node:test";
import { installWithApt } from "../../setup/debian.mjs";
import { SetupFailure } from "../../setup/failure.mjs";
import { inTurn, recordedProgress, releases, ScratchMachine, scriptedRun } from "./scratch-machine.mjs";

const simulate = "apt-get --simulate";
const download = "apt-get --download-only install -y --fix-broken --no-install-recommends clamav-daemon";
const update = "apt-get update";
const install = "apt-get install -y --fix-broken --no-install-recommends clamav-daemon";

/** @type {ScratchMachine} */
let scratch;
beforeEach(() => {
  scratch = new ScratchMachine({ release: releases.debian });
  scratch.write("/usr/sbin/.keep", "");
});
afterEach(() => scratch.remove());

/** @param {Parameters<typeof scriptedRun>[0]} script @param {boolean} [isInterrupted] */
async function attempt(script, isInterrupted = false) {
  const [scripted, { progress, shown }] = [scriptedRun(script), recordedProgress()];
  const error = await installWithApt({
    machine: scratch.machine,
    run: scripted.run,
    progress,
    packages: ["clamav-daemon"],
    isInterrupted,
  }).then(
    () => null,
    (reason) => reason,
  );
  const lines = scripted.lines().filter((line) => line.startsWith("apt-get") || line.startsWith("dpkg "));
  return { error, lines: lines.filter((line) => !line.startsWith(simulate)), shown, calls: scripted.calls };
}

/** @param {unknown} error */
function linesOf(error) {
  assert.ok(error instanceof SetupFailure, String(error));
  return [error.step, ...error.lines].join("\n");
}

describe("installWithApt", () => {
  test("downloads, then installs, and leaves good lists alone", async () => {
    const { error, lines, shown } = await attempt([]);
    assert.equal(error, null);
    assert.deepEqual(lines, [download, install]);
    assert.deepEqual(shown, ["downloading clamav-daemon", "installing clamav-daemon"]);
  });

  test("asks nothing, and lets a stop wait for dpkg but not for a download", async () => {
    const { calls } = await attempt([]);
    const apt = calls.filter(({ line }) => line.startsWith("apt-get"));
    assert.ok(apt.every(({ options }) => options.env?.DEBIAN_FRONTEND === "noninteractive"));
    assert.deepEqual(
      apt.map(({ options }) => options.isAtomic === true),
      [false, false, true],
    );
  });

  test("updates the lists first when they do not know the package", async () => {
    const { error, lines } = await attempt([[simulate, { code: 100, output: "E: Unable to locate package clamav-daemon" }]]);
    assert.equal(error, null);
    assert.deepEqual(lines, [update, download, install]);
  });

  test("updates the lists when they are too old for the mirror", async () => {
    const { error, lines } = await attempt([
      [download, inTurn({ code: 100, output: "E: Failed to fetch ... 404  Not Found" }, {})],
    ]);
    assert.equal(error, null);
    assert.deepEqual(lines, [download, update, download, install]);
  });

  for (const [hours, lines] of /** @type {const} */ ([
    [23, [download, install]],
    [25, [update, download, install]],
  ])) {
    test(`${lines.length > 2 ? "updates" : "leaves alone"} lists of ${hours} hours: an old list names an old ClamAV`, async () => {
      scratch.write("/var/lib/apt/lists/deb.example_Packages", "");
      const then = Date.now() / 1000 - hours * 3600;
      utimesSync(scratch.at("/var/lib/apt/lists"), then, then);
      const attempted = await attempt([]);
      assert.equal(attempted.error, null);
      assert.deepEqual(attempted.lines, lines);
    });
  }

  test("takes old lists where they cannot be updated", async () => {
    scratch.write("/var/lib/apt/lists/deb.example_Packages", "");
    utimesSync(scratch.at("/var/lib/apt/lists"), 0, 0);
    const { error, lines } = await attempt([[update, { code: 100, output: "E: Temporary failure resolving" }]]);
    assert.equal(error, null);
    assert.deepEqual(lines, [update, download, install]);
  });

  test("goes on when the update of a foreign source fails and the packages may be had all the same", async () => {
    const { error, lines } = await attempt([
      [simulate, { code: 100 }],
      [update, { code: 100, output: "E: The repository 'https://example.invalid' is not signed." }],
    ]);
    assert.equal(error, null);
    assert.deepEqual(lines, [update, download, install]);
  });

  test("tells both causes when the update fails and so does the download", async () => {
    const { error, lines } = await attempt([
      [simulate, { code: 100 }],
      [update, { code: 100, output: "E: Failed to fetch Temporary failure resolving 'deb.debian.org'" }],
      [download, { code: 100, output: "E: Unable to locate package clamav-daemon" }],
    ]);
    assert.deepEqual(lines, [update, download]);
    const text = linesOf(error);
    assert.match(text, /^updating the package lists/);
    assert.match(text, /Temporary failure resolving/);
    assert.match(text, /Check this machine's network/);
    assert.match(text, /Unable to locate package/);
    assert.doesNotMatch(text, /EPEL/);
    assert.match(text, /goes on from here/);
  });

  test("says that another package manager holds the lock, and does not wait for it twice", async () => {
    const output = "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4711 (unattended-upgr)\n".repeat(
      120,
    );
    const { error, lines } = await attempt([[download, { code: 100, output }]]);
    assert.deepEqual(lines, [download]);
    assert.match(linesOf(error), /process 4711[\s\S]*Another package manager is at work/);
    assert.equal(linesOf(error).split("process 4711").length, 2);
  });

  test("says that the disk is full", async () => {
    const output = "dpkg: error processing archive: cannot copy extracted data: No space left on device\n";
    const { error } = await attempt([[install, { code: 100, output }]]);
    assert.match(linesOf(error), /^installing clamav-daemon[\s\S]*No space left[\s\S]*Make room on the disk/);
  });

  test("finishes what an interrupted dpkg left, before anything else", async () => {
    scratch.write("/var/lib/dpkg/updates/0001", "");
    const { error, lines } = await attempt([]);
    assert.equal(error, null);
    assert.deepEqual(lines, ["dpkg --force-confdef --force-confold --configure -a", download, install]);
  });

  test("does so too when it was told of the interruption, and lets apt-get finish what dpkg alone cannot", async () => {
    const { error, lines } = await attempt([["dpkg ", { code: 1, output: "dependency problems - leaving unconfigured" }]], true);
    assert.equal(error, null);
    assert.deepEqual(lines, ["dpkg --force-confdef --force-confold --configure -a", download, install]);
  });

  test("puts the former policy back, whatever failed", async () => {
    for (const failing of [download, install]) {
      scratch.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n");
      const { error } = await attempt([[failing, { code: 100, output: "No space left on device" }]]);
      assert.ok(error instanceof SetupFailure);
      assert.equal(readFileSync(scratch.at("/usr/sbin/policy-rc.d"), "utf8"), "#!/bin/sh\nexit 101\n");
      assert.equal(existsSync(scratch.at("/usr/sbin/policy-rc.d.before-clamgate")), false);
    }
  });
});
