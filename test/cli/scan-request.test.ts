import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { commandNamed, parseArguments, UsageError } from "../../src/cli/commands.ts";
import { readScanRequest } from "../../src/cli/scan-request.ts";

async function requestOf(args: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  const command = commandNamed("scan");
  assert.ok(command !== null);
  return await readScanRequest(parseArguments(command, args), environment);
}

describe("the arguments of clamgate scan", () => {
  test("mean what the help says, and have its defaults", async () => {
    const request = await requestOf(["a", "-"]);
    assert.deepEqual(request, {
      paths: ["a", "-"],
      fileList: null,
      isNullSeparated: false,
      exclude: [],
      url: null,
      apiKey: null,
      isLocal: false,
      jobs: 8,
      waitMs: null,
      onUnscannable: undefined,
      format: "text",
      outputPath: null,
      listsBlockedOnly: false,
      isQuiet: false,
      isVerbose: false,
    });
    const all = await requestOf(
      ["-f", "list", "-0", "--exclude", "a", "--exclude=b", "--to", "tcp://h", "-j", "256", "--wait", "500ms", "-iqv"].concat([
        "--on-unscannable",
        "allow:encrypted",
        "--format",
        "sarif",
        "-o",
        "out",
        "--",
        "-x",
      ]),
      { CLAMGATE_URL: "http://other", CLAMGATE_API_KEY: "cgk_1" },
    );
    assert.deepEqual(
      [all.paths, all.fileList, all.isNullSeparated, all.exclude, all.url, all.apiKey],
      [["-x"], "list", true, ["a", "b"], "tcp://h", "cgk_1"],
    );
    assert.deepEqual(
      [all.jobs, all.waitMs, all.onUnscannable, all.format, all.outputPath],
      [256, 500, ["encrypted"], "sarif", "out"],
    );
    assert.deepEqual([all.listsBlockedOnly, all.isQuiet, all.isVerbose], [true, true, true]);
    assert.deepEqual((await requestOf(["--on-unscannable", "block", "a"])).onUnscannable, []);
    assert.equal((await requestOf(["a"], { CLAMGATE_URL: "http://env" })).url, "http://env");
  });

  test("are refused where they contradict each other or mean nothing", async () => {
    const wrongs: readonly (readonly string[])[] = [
      [],
      ["--format", "xml", "."],
      ["--jobs", "0", "."],
      ["--jobs", "257", "."],
      ["--wait", "soon", "."],
      ["--on-unscannable", "allow:", "."],
      ["--on-unscannable", "allow:everything", "."],
      ["--local", "--to", "http://127.0.0.1:1", "."],
      ["--null", "."],
      ["-", "-"],
      ["-f", "-", "-"],
      ["--to", "http://127.0.0.1:1", "--to", "http://127.0.0.1:2", "."],
      ["--api-key-file", "/nonexistent", "."],
      ["--api-key", "secret-key", "."],
      ["--quiet=yes", "."],
      ["--no-such-option", "."],
    ];
    for (const args of wrongs) {
      await assert.rejects(requestOf(args), (error: Error) => {
        assert.ok(error instanceof UsageError, args.join(" "));
        assert.doesNotMatch(error.message, /secret-key/);
        return true;
      });
    }
  });

  test("take a key of one word from a file", async () => {
    const directory = await mkdtemp(join(tmpdir(), "clamgate-key-"));
    const path = join(directory, "key");
    await writeFile(path, "  cgk_a_b\n");
    assert.equal((await requestOf(["--api-key-file", path, "."], { CLAMGATE_API_KEY: "cgk_other" })).apiKey, "cgk_a_b");
    for (const wrong of ["", "two words\n", "one\ntwo\n", "schlüssel"]) {
      await writeFile(path, wrong);
      await assert.rejects(requestOf(["--api-key-file", path, "."]), /holds no key/);
    }
    await rm(directory, { recursive: true });
  });
});
