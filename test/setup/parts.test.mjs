/** What is needed and what of it is missing. */

import assert from "node:assert/strict";
import { chmodSync, mkdirSync } from "node:fs";
import { afterEach, beforeEach, describe, test } from "node:test";
import { findProgram, missingParts, packagesFor } from "../../setup/parts.mjs";
import { ScratchMachine } from "./scratch-machine.mjs";

/** @type {ScratchMachine} */
let scratch;
beforeEach(() => {
  scratch = new ScratchMachine();
});
afterEach(() => scratch.remove());

describe("missingParts", () => {
  test("names clamd and freshclam for a start", () => {
    const missing = missingParts(scratch.machine, { kind: "macos", goal: "start" });
    assert.deepEqual(
      missing.map((part) => part.name),
      ["clamd", "freshclam"],
    );
  });

  test("names everything the tests need besides", () => {
    scratch.addPrograms("/usr/sbin/clamd", "/usr/bin/freshclam");
    const missing = missingParts(scratch.machine, { kind: "macos", goal: "tests" });
    assert.deepEqual(
      missing.map((part) => part.name),
      [
        "clamscan",
        "sigtool",
        "redis-server",
        "nginx",
        "haproxy",
        "caddy",
        "promtool",
        "curl",
        "wget",
        "aria2c",
        "squid",
        "openssl",
        "zsh",
        "fish",
        "ClamAV's test files",
      ],
    );
  });

  test("names the readers in other languages for fuzzing, and where they lie already does not", () => {
    const names = () => missingParts(scratch.machine, { kind: "debian", goal: "fuzz" }).map((part) => part.name);
    assert.ok(names().includes("commons-fileupload") && names().includes("Python's django"));
    scratch.write("/usr/share/java/commons-fileupload.jar", "");
    assert.ok(!names().includes("commons-fileupload"));
    assert.ok(!missingParts(scratch.machine, { kind: "debian", goal: "tests" }).some((part) => part.name === "Rack"));
  });

  for (const [kind, place] of /** @type {const} */ ([
    ["debian", "/usr/lib/aarch64-linux-gnu"],
    ["debian", "/lib/x86_64-linux-gnu"],
    ["fedora", "/usr/lib64"],
  ])) {
    test(`wants the library of the pinned Node on ${kind} and finds it in ${place}`, () => {
      const names = () => missingParts(scratch.machine, { kind, goal: "start" }).map((part) => part.name);
      assert.ok(names().includes("libatomic.so.1"));
      scratch.write(`${place}/libatomic.so.1`, "");
      assert.ok(!names().includes("libatomic.so.1"));
    });
  }

  test("takes an empty directory of test files for none", () => {
    mkdirSync(scratch.at("/usr/share/clamav-testfiles"), { recursive: true });
    const names = () => missingParts(scratch.machine, { kind: "macos", goal: "tests" }).map((part) => part.name);
    assert.ok(names().includes("ClamAV's test files"));
    scratch.write("/usr/share/clamav-testfiles/clam.zip", "x");
    assert.ok(!names().includes("ClamAV's test files"));
  });
});

describe("packagesFor", () => {
  /** @type {ReadonlyArray<readonly [import("../../setup/machine.mjs").SystemKind, string]>} */
  const cases = [
    [
      "debian",
      "clamav-daemon clamav-freshclam clamav redis-server nginx haproxy caddy prometheus curl wget aria2 squid-openssl openssl zsh fish libatomic1 systemd clamdscan rspamd clamav-milter chromium c-icap clamav-testfiles python3-pyclamd libclamav-client-perl python3-werkzeug python3-django python3-multipart python3-aiohttp python3-urllib3 python3-requests",
    ],
    [
      "alpine",
      "clamav-daemon freshclam clamav-scanner valkey valkey-compat nginx haproxy caddy prometheus curl wget aria2 squid openssl zsh fish",
    ],
    [
      "fedora",
      "clamd clamav-freshclam clamav valkey valkey-compat-redis nginx haproxy caddy golang-github-prometheus curl wget aria2 squid openssl zsh fish libatomic systemd",
    ],
    ["macos", "clamav redis nginx haproxy caddy prometheus curl wget aria2 squid openssl zsh fish"],
    ["unknown", ""],
  ];
  for (const [kind, packages] of cases) {
    test(`names each package once on ${kind}`, () => {
      assert.equal(packagesFor(missingParts(scratch.machine, { kind, goal: "tests" }), kind).join(" "), packages);
    });
  }
});

describe("findProgram", () => {
  for (const directory of ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", "/usr/bin"]) {
    test(`finds clamd in ${directory}, whether on PATH or not`, () => {
      scratch.addPrograms(`${directory}/clamd`);
      assert.equal(findProgram(scratch.machine, "clamd"), scratch.at(`${directory}/clamd`));
    });
  }

  test("prefers PATH, in its order", () => {
    scratch.addPrograms("/opt/clamav/bin/clamd", "/usr/sbin/clamd");
    const machine = { ...scratch.machine, env: { PATH: ":relative:/nowhere:/opt/clamav/bin" } };
    assert.equal(findProgram(machine, "clamd"), scratch.at("/opt/clamav/bin/clamd"));
  });

  test("does without a PATH", () => {
    scratch.addPrograms("/usr/sbin/clamd");
    assert.equal(findProgram({ ...scratch.machine, env: {} }, "clamd"), scratch.at("/usr/sbin/clamd"));
  });

  test("passes over a directory and a file that is not executable", () => {
    mkdirSync(scratch.at("/usr/bin/clamd"), { recursive: true });
    scratch.addPrograms("/bin/clamd");
    chmodSync(scratch.at("/bin/clamd"), 0o644);
    assert.equal(findProgram(scratch.machine, "clamd"), null);
  });
});
