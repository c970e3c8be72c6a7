/** New services stay asleep, the operator's are left alone, and what was there before comes back. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync } from "node:fs";
import { dirname } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { disableCommand, holdServices, isHoldLeftBehind } from "../../setup/services.mjs";
import { releases, ScratchMachine, scriptedRun } from "./scratch-machine.mjs";

const policy = "/usr/sbin/policy-rc.d";
const former = "/usr/sbin/policy-rc.d.before-clamgate";
const wants = "/etc/systemd/system/multi-user.target.wants";
const installed = { output: "installed" };

/** @type {ScratchMachine} */
let scratch;
beforeEach(() => {
  scratch = new ScratchMachine({ release: releases.debian });
  scratch.write("/usr/sbin/.keep", "");
  scratch.write("/sbin/init", "");
});
afterEach(() => scratch.remove());

/** What invoke-rc.d or deb-systemd-invoke would hear. @param {readonly string[]} args */
function ask(...args) {
  return spawnSync(scratch.at(policy), args, { encoding: "utf8" }).status;
}

/** What the package's installation does. @param {string} name @param {readonly string[]} units */
function installService(name, ...units) {
  scratch.write(`/etc/init.d/${name}`, "#!/bin/sh\n");
  for (const unit of units) {
    scratch.write(`/lib/systemd/system/${unit}`, "[Unit]\n");
    link(
      `/lib/systemd/system/${unit}`,
      `${unit.endsWith(".socket") ? "/etc/systemd/system/sockets.target.wants" : wants}/${unit}`,
    );
  }
}

/** @param {string} target @param {string} path */
function link(target, path) {
  mkdirSync(dirname(scratch.at(path)), { recursive: true });
  symlinkSync(target, scratch.at(path));
}

/** @param {string} text */
function writePolicy(text) {
  scratch.write(policy, text);
  chmodSync(scratch.at(policy), 0o755);
}

describe("holdServices", () => {
  test("denies new services by service and by unit name, and nothing else", async () => {
    const hold = await holdServices({ machine: scratch.machine, run: scriptedRun().run });
    assert.equal(ask("clamav-daemon", "start", "2"), 101);
    assert.equal(ask("--quiet", "clamav-freshclam", "(start)", "unknown"), 101);
    assert.equal(ask("clamav-daemon.socket", "restart"), 101);
    assert.equal(ask("redis-server.service", "start"), 101);
    assert.equal(ask("nginx", "start"), 101);
    assert.equal(ask("postgresql", "start"), 0);
    assert.equal(ask("postgresql", "(start)"), 101);
    await hold.release();
    assert.equal(existsSync(scratch.at(policy)), false);
  });

  test("starts nothing where there is no init, as without any policy", async () => {
    const bare = new ScratchMachine({ release: releases.debian });
    try {
      bare.write("/usr/sbin/.keep", "");
      await holdServices({ machine: bare.machine, run: scriptedRun().run });
      assert.equal(spawnSync(bare.at(policy), ["postgresql", "start"]).status, 101);
    } finally {
      bare.remove();
    }
  });

  test("asks the former policy about all other services, and puts it back with its mode", async () => {
    writePolicy('#!/bin/sh\n[ "$1" = postgresql ] && exit 106\nexit 0\n');
    const hold = await holdServices({ machine: scratch.machine, run: scriptedRun().run });
    assert.equal(ask("postgresql", "start"), 106);
    assert.equal(ask("cron", "start"), 0);
    assert.equal(ask("nginx", "start"), 101);
    await hold.release();
    assert.equal(ask("postgresql", "start"), 106);
    assert.equal(ask("nginx", "start"), 0);
    assert.equal(existsSync(scratch.at(former)), false);
  });

  test("puts back a former policy that is a link, also one that leads nowhere", async () => {
    link("/etc/alternatives/policy-rc.d", policy);
    const hold = await holdServices({ machine: scratch.machine, run: scriptedRun().run });
    assert.equal(ask("nginx", "start"), 101);
    await hold.release();
    assert.equal(readlinkSync(scratch.at(policy)), "/etc/alternatives/policy-rc.d");
  });

  test("denies nothing once its process is gone", async () => {
    const gone = spawnSync("true").pid;
    await holdServices({ machine: { ...scratch.machine, pid: gone }, run: scriptedRun().run });
    assert.equal(ask("nginx", "start"), 0);
  });

  test("takes new services from the boot, sockets and aliases too, and no other link", async () => {
    const { run, lines } = scriptedRun();
    const hold = await holdServices({ machine: scratch.machine, run });
    installService("clamav-daemon", "clamav-daemon.service", "clamav-daemon.socket");
    installService("redis-server", "redis-server.service");
    link("/lib/systemd/system/redis-server.service", "/etc/systemd/system/redis.service");
    link("/lib/systemd/system/cron.service", `${wants}/cron.service`);
    scratch.write("/etc/systemd/system/nginx.service", "[Unit]\n");
    await hold.release();
    assert.deepEqual(readdirSync(scratch.at(wants)), ["cron.service"]);
    assert.deepEqual(readdirSync(scratch.at("/etc/systemd/system/sockets.target.wants")), []);
    assert.equal(lstatSync(scratch.at("/etc/systemd/system/redis.service"), { throwIfNoEntry: false }), undefined);
    assert.equal(existsSync(scratch.at("/etc/systemd/system/nginx.service")), true);
    const done = lines().filter((line) => !line.startsWith("dpkg-query") && !line.startsWith("service"));
    assert.deepEqual(done, ["update-rc.d clamav-daemon disable", "update-rc.d redis-server disable"]);
  });

  test("has systemd read its links anew, and stops what should never have started", async () => {
    scratch.write("/run/systemd/system/.keep", "");
    const { run, lines, calls } = scriptedRun([["systemctl --quiet", { code: 3 }]]);
    const hold = await holdServices({ machine: scratch.machine, run });
    installService("nginx", "nginx.service");
    await hold.release();
    assert.deepEqual(lines().slice(-3), ["update-rc.d nginx disable", "systemctl daemon-reload", "systemctl stop nginx.service"]);
    assert.ok(calls.slice(-3).every(({ options }) => options.isCleanup === true));
  });

  /** @type {ReadonlyArray<readonly [string, boolean, Parameters<typeof scriptedRun>[0]]>} */
  const operators = [
    ["is installed", false, [[`dpkg-query -W -f \${db:Status-Status} redis-server`, installed]]],
    [
      "runs under systemd",
      true,
      [
        ["systemctl --quiet is-active redis-server.service", {}],
        ["systemctl --quiet", { code: 3 }],
      ],
    ],
    [
      "is enabled under systemd",
      true,
      [
        ["systemctl --quiet is-enabled redis-server.service", {}],
        ["systemctl --quiet", { code: 1 }],
      ],
    ],
    ["runs by its init script", false, [["service redis-server status", {}]]],
  ];
  for (const [how, hasSystemd, script] of operators) {
    test(`leaves a service alone that ${how}`, async () => {
      if (hasSystemd) scratch.write("/run/systemd/system/.keep", "");
      installService("redis-server", "redis-server.service");
      const { run, lines } = scriptedRun(script);
      const hold = await holdServices({ machine: scratch.machine, run });
      assert.equal(ask("redis-server", "restart"), 0);
      assert.equal(ask("nginx", "start"), 101);
      await hold.release();
      assert.deepEqual(readdirSync(scratch.at(wants)), ["redis-server.service"]);
      const changes = lines().filter((line) => /update-rc|stop|disable/.test(line));
      assert.deepEqual(changes, []);
    });
  }

  test("does not take a half-configured package for the operator's", async () => {
    installService("nginx", "nginx.service");
    const { run } = scriptedRun([
      ["dpkg-query", { output: "half-configured" }],
      ["service nginx status", { code: 3 }],
    ]);
    const hold = await holdServices({ machine: scratch.machine, run });
    assert.equal(ask("nginx", "start"), 101);
    await hold.release();
    assert.deepEqual(readdirSync(scratch.at(wants)), []);
  });
});

describe("a hold left behind by a set-up that was killed", () => {
  test("is known by its policy file", async () => {
    assert.equal(isHoldLeftBehind(scratch.machine), false);
    writePolicy("#!/bin/sh\nexit 101\n");
    assert.equal(isHoldLeftBehind(scratch.machine), false);
    const hold = await holdServices({ machine: scratch.machine, run: scriptedRun().run });
    assert.equal(isHoldLeftBehind(scratch.machine), true);
    await hold.release();
    assert.equal(isHoldLeftBehind(scratch.machine), false);
  });

  test("is taken over, its services still taken for new although they are installed and enabled by now", async () => {
    writePolicy("#!/bin/sh\nexit 42\n");
    await holdServices({ machine: { ...scratch.machine, pid: spawnSync("true").pid }, run: scriptedRun().run });
    installService("nginx", "nginx.service");
    assert.equal(ask("nginx", "start"), 42);
    const { run, lines } = scriptedRun([["dpkg-query", installed]]);
    const hold = await holdServices({ machine: scratch.machine, run });
    assert.equal(ask("nginx", "start"), 101);
    await hold.release();
    assert.deepEqual(readdirSync(scratch.at(wants)), []);
    assert.ok(lines().includes("update-rc.d nginx disable"));
    assert.equal(readFileSync(scratch.at(policy), "utf8"), "#!/bin/sh\nexit 42\n");
    assert.equal(existsSync(scratch.at(former)), false);
  });

  test("is known too between moving the former policy aside and writing its own", async () => {
    scratch.write(former, "#!/bin/sh\nexit 101\n");
    assert.equal(isHoldLeftBehind(scratch.machine), true);
    const hold = await holdServices({ machine: scratch.machine, run: scriptedRun().run });
    await hold.release();
    assert.equal(readFileSync(scratch.at(policy), "utf8"), "#!/bin/sh\nexit 101\n");
    assert.equal(existsSync(scratch.at(former)), false);
  });
});

describe("disableCommand", () => {
  test("names the units of these packages, and is nothing without systemd", () => {
    assert.equal(disableCommand(scratch.machine, ["nginx"]), null);
    scratch.write("/run/systemd/system/.keep", "");
    assert.equal(disableCommand(scratch.machine, ["curl"]), null);
    assert.equal(
      disableCommand(scratch.machine, ["clamav-freshclam", "nginx", "curl"]),
      "sudo systemctl disable --now clamav-freshclam.service nginx.service",
    );
  });
});
