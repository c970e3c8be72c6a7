import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { startGatewayProcess } from "../e2e/gateway-process.ts";
import { eicar, eicarName, type RealClamd, startRealClamd, testSignatures } from "../live/clamd.ts";
import { zip } from "../live/zip.ts";
import { endOf, type JsonDocument, runCommand, scanJson, startCommand } from "./command-line.ts";

/** As clamgate's own clamd is told: an encrypted archive is found by its heuristic. */
const encrypted = zip([{ name: "a", bytes: Buffer.from("secret"), isEncrypted: true }]);

describe("clamgate scan with a real clamd", () => {
  let clamd: RealClamd;
  let root: string;
  let url: string;

  before(async () => {
    clamd = await startRealClamd();
    root = await mkdtemp(join(tmpdir(), "clamgate-cli-live-"));
    url = `unix://${clamd.directory}/clamd.sock`;
    await mkdir(join(root, "a b"));
    await writeFile(join(root, "fine"), "fine");
    await writeFile(join(root, "empty"), "");
    await writeFile(join(root, "a b", "eicar.com"), eicar);
    await writeFile(join(root, "eicar.zip"), zip([{ name: "x", bytes: eicar }]));
    await writeFile(join(root, "locked.zip"), encrypted);
    await writeFile(join(root, "large.bin"), Buffer.alloc(3_000_000, 7));
  });
  after(async () => {
    await clamd[Symbol.asyncDispose]();
    await rm(root, { recursive: true });
  });

  test("writes clamdscan's lines in its format (C12)", async () => {
    // Of a whole directory clamdscan lists what it found alone.
    const files = ["fine", "empty", "a b/eicar.com", "eicar.zip", "locked.zip", "large.bin"].map((name) => join(root, name));
    const ours = await runCommand(["scan", "--to", url, "--format", "clamscan", ...files]);
    const conf = join(root, "..", `${root.split("/").at(-1)}.conf`);
    await writeFile(conf, `LocalSocket ${clamd.directory}/clamd.sock\n`);
    const theirs = await new Promise<{ code: unknown; stdout: string }>((resolve) => {
      execFile("clamdscan", ["--stream", `--config-file=${conf}`, ...files], (error, stdout) =>
        resolve({ code: error?.code ?? 0, stdout }),
      );
    });
    await rm(conf);
    assert.deepEqual(linesOf(ours.stdout), linesOf(theirs.stdout));
    assert.ok(linesOf(ours.stdout).includes(`${root}/a b/eicar.com: ${eicarName} FOUND`));
    assert.equal(ours.code, theirs.code);
    const heading =
      /\n----------- SCAN SUMMARY -----------\nInfected files: 3\n(?:Total errors: \d+\n)?Time: \d+\.\d+ sec \(0 m \d+ s\)\n/;
    assert.match(ours.stdout, heading);
    assert.match(theirs.stdout, heading);
  });

  test("is 1 for an encrypted archive, 0 where that is allowed (C13)", async () => {
    const path = join(root, "locked.zip");
    const [blocked, allowed] = await Promise.all([
      runCommand(["scan", "--to", url, path]),
      runCommand(["scan", "--to", url, "--on-unscannable", "allow:encrypted", path]),
    ]);
    assert.deepEqual([blocked.code, allowed.code], [1, 0]);
    assert.match(allowed.stdout, /encrypted \(Heuristics\.Encrypted\.Zip\); let pass by policy/);
  });

  test("finds one virus in 2,000 files, and tells it in each format", async () => {
    await using gateway = await startGatewayProcess();
    await gateway.ready();
    const tree = join(root, "tree");
    for (let directory = 0; directory < 20; directory += 1) {
      await mkdir(join(tree, `d${directory}`), { recursive: true });
      for (let file = 0; file < 100; file += 1) {
        const isBad = directory === 13 && file === 42;
        await writeFile(join(tree, `d${directory}`, `f${file}`), isBad ? eicar : `file ${file} of ${directory}`);
      }
    }
    const scan = (format: string) => runCommand(["scan", "--to", gateway.url, "--format", format, "."], { cwd: tree });
    const told = { text: await scan("text"), json: await scan("json"), jsonl: await scan("jsonl"), sarif: await scan("sarif") };
    const lines = await scan("clamscan");
    for (const { code } of [...Object.values(told), lines]) assert.equal(code, 1);
    assert.match(
      told.text.stdout,
      new RegExp(`^infected    ./d13/f42: ${eicarName}\n2000 files .* 1999 clean, 1 infected, 0 unscannable, 0 errors\n`),
    );
    const document = JSON.parse(told.json.stdout) as JsonDocument;
    assert.deepEqual(infectedIn(document.results), ["./d13/f42"]);
    const results = told.jsonl.stdout.trimEnd().split("\n").slice(0, -1);
    assert.deepEqual(infectedIn(results.map((line) => JSON.parse(line) as JsonDocument["results"][number])), ["./d13/f42"]);
    const { runs } = JSON.parse(told.sarif.stdout) as { runs: [{ results: { ruleId: string; locations: unknown[] }[] }] };
    assert.equal(runs[0].results.length, 1);
    assert.match(JSON.stringify(runs[0].results[0]), /"d13\/f42"/);
    assert.deepEqual(
      linesOf(lines.stdout).filter((line) => !line.endsWith(": OK")),
      [`./d13/f42: ${eicarName} FOUND`],
    );
  });

  test("starts a clamd for the run with --local, and leaves nothing of it", async () => {
    const signatures = join(root, "signatures");
    const temporary = join(root, "tmp");
    await mkdir(signatures);
    await mkdir(temporary);
    for (const [name, content] of Object.entries(testSignatures)) await writeFile(join(signatures, name), content);
    const env = { DATABASE_DIRECTORY: signatures, TMPDIR: temporary, CLAMGATE_API_KEY: "cgk_not_for_children" };
    const found = await scanJson(["--local", join(root, "a b"), join(root, "fine")], { env });
    assert.deepEqual([found.code, found.summary.infected, found.summary.clean], [1, 1, 1]);
    assert.deepEqual(await readdir(temporary), []);
    // Interrupted while clamd still starts.
    const child = startCommand(["scan", "--local", root], { env, input: "" });
    const ended = endOf(child);
    await new Promise<void>((resolve) => child.stderr?.once("data", () => resolve()));
    const clamdIds = await childrenOf(child.pid);
    child.kill("SIGINT");
    assert.equal((await ended).code, 130);
    assert.deepEqual(await readdir(temporary), []);
    for (const id of clamdIds) await assert.rejects(readFile(`/proc/${id}/cmdline`));
    const none = await runCommand(["scan", "--local", root], { env: { ...env, DATABASE_DIRECTORY: temporary } });
    assert.equal(none.code, 2);
    assert.match(none.stderr, /no signatures in .*: run freshclam, or set DATABASE_DIRECTORY/);
  });
});

function infectedIn(results: JsonDocument["results"]): readonly string[] {
  return results.filter(({ report }) => report?.verdict.kind === "infected").map(({ path }) => path);
}

function linesOf(text: string): readonly string[] {
  return (
    text
      .split("\n----------- SCAN SUMMARY")[0]
      ?.split("\n")
      .filter((line) => line !== "")
      .toSorted() ?? []
  );
}

async function childrenOf(pid: number | undefined): Promise<readonly string[]> {
  return (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8"))
    .trim()
    .split(" ")
    .filter((id) => id !== "");
}
