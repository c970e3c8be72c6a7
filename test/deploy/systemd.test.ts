import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { settings } from "../../src/config/settings.ts";
import { scratchDirectory } from "../scratch-directory.ts";
import { deployDirectory } from "./image.ts";

const unit = await readFile(new URL("systemd/clamgate.service", deployDirectory), "utf8");
const run = promisify(execFile);

/** Elsewhere the tests' set-up brings `systemd-analyze`. */
const hasNoSystemd = process.platform !== "linux" || existsSync("/etc/alpine-release");

function valuesOf(name: string): readonly string[] {
  return [...unit.matchAll(new RegExp(`^${name}=(.*)$`, "gm"))].map(([, value = ""]) => value);
}

/** `systemd-analyze` knows every name and value; it looks whether the program is there, too. */
async function analyze(...words: readonly string[]): Promise<string> {
  await using directory = await scratchDirectory();
  const path = directory.at("clamgate.service");
  await writeFile(path, unit.replaceAll("/opt/clamgate/clamgate", process.execPath));
  const { stdout, stderr } = await run("systemd-analyze", [...words, path], {
    env: { PATH: process.env.PATH, SYSTEMD_PAGER: "" },
  });
  return stdout + stderr;
}

describe("clamgate.service", () => {
  test("starts the gateway as package.json does", async () => {
    const { scripts } = JSON.parse(await readFile(new URL("../package.json", deployDirectory), "utf8"));
    assert.match(scripts.start, / exec \.\/clamgate serve /);
    assert.deepEqual(valuesOf("ExecStart"), ["/opt/clamgate/clamgate serve"]);
  });

  test("lets the gateway's children tell systemd for it", () => {
    assert.deepEqual(
      ["Type", "NotifyAccess", "WatchdogSec"].map((name) => valuesOf(name)),
      [["notify"], ["all"], ["60s"]],
    );
  });

  test("names settings that there are, and gives them time to be kept", () => {
    const names = new Set<string>(settings.map(({ name }) => name));
    for (const [, name = ""] of unit.matchAll(/\b([A-Z]+_[A-Z_]+)=/g)) assert.ok(names.has(name), name);
    const grace = settings.find(({ name }) => name === "SHUTDOWN_GRACE")?.default;
    assert.deepEqual(grace, { kind: "written", text: "30s" });
    assert.deepEqual(valuesOf("TimeoutStopSec"), ["45s"]);
  });

  test("is what systemd takes", { skip: hasNoSystemd }, async () => {
    assert.doesNotMatch(await analyze("verify", "--man=no"), /clamgate\.service/);
  });

  test("exposes little", { skip: hasNoSystemd }, async () => {
    const text = await analyze("security", "--offline=true", "--no-pager");
    const level = Number(/Overall exposure level for clamgate\.service: ([\d.]+)/.exec(text)?.[1]);
    assert.ok(level <= 2.5, text);
  });
});
