import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { type RestServer, startRest } from "../front/rest/rest-server.ts";
import { endOf, runCommand, scanJson, startCommand } from "./command-line.ts";

const clean = "harmless";
const virus = "virus:A.Virus";
const locked = "unscannable:encrypted:Heuristics.Encrypted.Zip";

async function startServer(handler: RequestListener): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer(handler).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

describe("clamgate scan", () => {
  let gateway: RestServer;
  let root: string;
  let env: { CLAMGATE_URL: string };
  const at = (name: string) => join(root, name);

  /** Files by their paths. */
  async function tree(name: string, files: Readonly<Record<string, string>>): Promise<string> {
    for (const [path, content] of Object.entries(files)) {
      const whole = join(root, name, path);
      await mkdir(join(whole, ".."), { recursive: true });
      await writeFile(whole, content);
    }
    return at(name);
  }

  before(async () => {
    gateway = await startRest();
    root = await mkdtemp(join(tmpdir(), "clamgate-cli-"));
    env = { CLAMGATE_URL: gateway.url };
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await rm(root, { recursive: true });
  });

  test("ends with 0, 1 or 2: allowed, blocked, not scanned; 1 with both (C1)", async () => {
    await tree("exits", { clean, virus, locked });
    const codes = async (...names: string[]) =>
      (await runCommand(["scan", ...names.map((name) => at(`exits/${name}`))], { env })).code;
    const told = await Promise.all([
      codes("clean"),
      codes("virus"),
      codes("locked"),
      codes("missing"),
      codes("missing", "virus", "clean"),
    ]);
    assert.deepEqual(told, [0, 1, 1, 2, 1]);
    await mkdir(at("empty"));
    const nothing = await runCommand(["scan", at("empty")], { env });
    assert.equal(nothing.code, 2);
    assert.match(nothing.stderr, /nothing to scan/);
  });

  test("ends with 2 within --wait where nobody can be reached, and says what it waits for (C2)", async () => {
    const startedAt = performance.now();
    const refused = await runCommand(["scan", "--to", "http://127.0.0.1:1", "--wait", "1s", root]);
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /waiting for 1 s at most\n.*cannot be reached/);
    await using silent = await startServer(() => {});
    assert.equal((await runCommand(["scan", "--to", silent.url, "--wait", "1s", root])).code, 2);
    // Far from the minute that is the default, however busy the machine.
    assert.ok(performance.now() - startedAt < 40_000);
  });

  test("waits for a gateway that is not ready yet, and goes on when one has been away", async () => {
    let requests = 0;
    const answer = await firstReport(gateway.url);
    await using late = await startServer((request, response) => {
      requests += 1;
      request.resume();
      if (request.url === "/v3/status") {
        const engine = requests < 3 ? null : answer.engine;
        return void response.end(JSON.stringify({ engine, signatureAgeSeconds: null, slots: null, queued: 0, warnings: [] }));
      }
      // Away, for more tries than the library makes.
      if (requests < 8) return void request.socket.destroy();
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(answer));
    });
    const path = at("late");
    await writeFile(path, clean);
    const ran = await runCommand(["scan", "--to", late.url, path]);
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stderr, /no engine that can scan yet; waiting/);
  });

  test("gives up the whole run when the scanner has gone for good", async () => {
    const answer = await firstReport(gateway.url);
    let isGone = false;
    await using gone = await startServer((request, response) => {
      if (isGone) return void request.socket.destroy();
      request.resume();
      if (request.url !== "/v3/status") isGone = true;
      const state = { engine: answer.engine, signatureAgeSeconds: null, slots: null, queued: 0, warnings: [] };
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(request.url === "/v3/status" ? state : answer));
    });
    const directory = await tree("gone", Object.fromEntries(Array.from({ length: 50 }, (_, each) => [`f${each}`, clean])));
    const told = await scanJson(["--to", gone.url, "--jobs", "1", "--wait", "1s", directory]);
    assert.deepEqual([told.code, told.results.length, told.summary.complete], [2, 1, false]);
  });

  test("scans standard input as it does a file (C3)", async () => {
    await writeFile(at("same"), virus);
    const [file, stream] = await Promise.all([scanJson([at("same")], { env }), scanJson(["-"], { env, input: virus })]);
    assert.deepEqual([file.code, stream.code], [1, 1]);
    assert.deepEqual(stream.results[0]?.report?.verdict, file.results[0]?.report?.verdict);
    assert.equal(stream.results[0]?.report?.sha256, file.results[0]?.report?.sha256);
    assert.equal(stream.results[0]?.path, "-");
  });

  test("ends among link loops, FIFOs and devices, and scans none that it finds on its way (C5)", async () => {
    const directory = await tree("special", { "a/file": clean });
    await symlink("..", join(directory, "a/loop"));
    await symlink("/dev/zero", join(directory, "zero"));
    await symlink(join(directory, "a"), at("named-link"));
    await promisify(execFile)("mkfifo", [join(directory, "fifo")]);
    const found = await scanJson([directory, at("named-link")], { env });
    assert.deepEqual(
      [found.code, found.results.map(({ path }) => path)],
      [0, [join(directory, "a/file"), join(at("named-link"), "file")]],
    );
    const named = await scanJson([join(directory, "fifo"), "/dev/zero"], { env });
    assert.deepEqual([named.code, named.results.map(({ error }) => error?.code)], [2, ["input", "input"]]);
  });

  test("tells a file that shrinks or vanishes while it is scanned as an error (C6)", async () => {
    const big = at("big");
    await writeFile(big, Buffer.alloc(90_000_000));
    const answer = await firstReport(gateway.url);
    // Reads slowly: the file shrinks meanwhile.
    await using slow = await startServer((request, response) => {
      if (request.url === "/v3/status") {
        const state = { engine: answer.engine, signatureAgeSeconds: null, slots: null, queued: 0, warnings: [] };
        return void response.end(JSON.stringify(state));
      }
      request.once("data", () => {
        request.pause();
        void writeFile(big, "short").then(() => request.resume());
      });
      request.on("end", () => response.end(JSON.stringify(answer)));
    });
    const told = await scanJson(["--to", slow.url, "--wait", "0", big, at("vanished")]);
    assert.equal(told.code, 2);
    assert.match(told.results[0]?.error?.message ?? "", /has changed/);
    assert.equal(told.results[1]?.error?.code, "not-found");
  });

  test("leaves out what --exclude names, from wherever it starts (C8)", async () => {
    const project = await tree("project", { ".git/config": virus, "src/.git/x": virus, "src/a": clean, "src/b.log": virus });
    const excluded = ["--exclude", ".git", "--exclude", "*.log"];
    const paths = async (args: readonly string[], cwd: string) =>
      (await scanJson([...excluded, ...args], { env, cwd })).results.map(({ path }) => path);
    assert.deepEqual(await paths(["."], project), ["./src/a"]);
    assert.deepEqual(await paths(["project"], root), ["project/src/a"]);
    assert.deepEqual(await paths([project, join(project, "src/b.log")], "/"), [join(project, "src/a")]);
    const list = "src/a\nsrc/b.log\n.git/config\n\n./.git\nsrc\n";
    const listed = await scanJson([...excluded, "-f", "-"], { env, cwd: project, input: list });
    assert.deepEqual(
      listed.results.map(({ path }) => path),
      ["src/a", "src/a"],
    );
    const below = await scanJson(["--exclude", "src/*.log", "--exclude", ".git", project], { env });
    assert.equal(below.code, 0);
  });

  test("tells what it has, and ends with 130, when it is interrupted (C9)", async () => {
    const answer = await firstReport(gateway.url);
    let held = 0;
    const { promise: isHeld, resolve } = Promise.withResolvers<void>();
    await using slow = await startServer((request, response) => {
      request.resume();
      const state = { engine: answer.engine, signatureAgeSeconds: null, slots: null, queued: 0, warnings: [] };
      if (request.url === "/v3/status") return void response.end(JSON.stringify(state));
      held += 1;
      if (held === 1) return void response.end(JSON.stringify(answer));
      resolve();
    });
    const directory = await tree("interrupted", { a: clean, b: clean, c: clean });
    const child = startCommand(["scan", "--to", slow.url, "--jobs", "1", "--format", "json", directory]);
    const ended = endOf(child);
    await isHeld;
    child.kill("SIGINT");
    const { code, stdout } = await ended;
    const { summary } = JSON.parse(stdout) as { summary: { files: number; complete: boolean } };
    assert.deepEqual([code, summary.files, summary.complete], [130, 1, false]);
    const toFile = startCommand(["scan", "--to", slow.url, "--jobs", "1", "-o", at("cut.json"), directory]);
    const second = endOf(toFile);
    toFile.stderr?.once("data", () => {});
    while (held < 3) await new Promise((wake) => setTimeout(wake, 10));
    toFile.kill("SIGINT");
    assert.match((await second).stderr, /SIGINT.*cut\.json is not written/);
    assert.deepEqual(
      (await readdir(root)).filter((name) => name.includes("cut.json")),
      [],
    );
  });

  test("is quiet when nobody reads on (C10)", async () => {
    const directory = await tree("many", Object.fromEntries(Array.from({ length: 300 }, (_, each) => [`f${each}`, clean])));
    const child = startCommand(["scan", "--format", "jsonl", directory], { env, input: "" });
    const ended = once(child, "close");
    let stderr = "";
    child.stderr?.on("data", (text) => {
      stderr += text;
    });
    child.stdout?.destroy();
    assert.deepEqual([(await ended)[0], stderr], [2, ""]);
  });

  test("shows no name as the terminal would obey it, and every byte of it (C11)", async () => {
    const directory = at("names");
    await mkdir(directory);
    const names = ["a b", "q'\"q", "n\nl", "esc\x1b[31m", "\u202egnp", "#%?"].map((name) => Buffer.from(name));
    names.push(Buffer.from([0x66, 0xff, 0xfe]));
    for (const name of names) await writeFile(Buffer.concat([Buffer.from(`${directory}/`), name]), virus);
    for (const format of ["text", "jsonl", "clamscan", "sarif", "json"]) {
      const { code, stdout } = await runCommand(["scan", "--format", format, directory], { env });
      assert.equal(code, 1);
      assert.equal([...stdout].find(isObeyed), undefined, format);
    }
    const { stdout } = await runCommand(["scan", "--format", "clamscan", directory], { env });
    const found = stdout.split("\n").filter((line) => line.endsWith(": A.Virus FOUND"));
    assert.equal(found.length, names.length);
    assert.ok(stdout.includes(`${directory}/f\\xff\\xfe: A.Virus FOUND\n`));
    const { results } = await scanJson([directory], { env });
    assert.deepEqual(
      results.flatMap(({ pathBase64 }) => (pathBase64 === undefined ? [] : [Buffer.from(pathBase64, "base64").subarray(-3)])),
      [Buffer.from([0x66, 0xff, 0xfe])],
    );
    const list = Buffer.concat(names.map((name) => Buffer.concat([name, Buffer.from([0])])));
    const listed = await scanJson(["-f", "-", "--null"], { env, cwd: directory, input: list });
    assert.deepEqual([listed.code, listed.results.length, listed.summary.infected], [1, names.length, names.length]);
    // The shell passes it as bytes; Node cannot.
    const shell = promisify(execFile)(
      "sh",
      [
        "-c",
        `exec "$@" "$(printf 'f\\377\\376')"`,
        "sh",
        process.execPath,
        new URL("../../src/main.ts", import.meta.url).pathname,
        "scan",
      ],
      { cwd: directory, env: { ...env, PATH: process.env.PATH } },
    );
    await assert.rejects(
      shell,
      (error: { code: number; stdout: string }) => error.code === 1 && /^infected +f\\xff\\xfe: A\.Virus$/m.test(error.stdout),
    );
  });

  test("lets pass what --on-unscannable allows, and says so (C13)", async () => {
    await writeFile(at("locked"), locked);
    const run = (...args: string[]) => runCommand(["scan", ...args, at("locked")], { env });
    const [blocked, allowed, other, quiet, lines] = await Promise.all([
      run(),
      run("--on-unscannable", "allow:encrypted,limit-size"),
      run("--on-unscannable", "allow:limit-size"),
      run("--on-unscannable", "allow", "-q"),
      run("--on-unscannable", "allow", "--format", "clamscan"),
    ]);
    assert.deepEqual([blocked.code, allowed.code, other.code, quiet.code], [1, 0, 1, 0]);
    assert.match(
      allowed.stdout,
      /locked: encrypted \(Heuristics\.Encrypted\.Zip\); let pass by policy\n.*1 let pass though not clean/,
    );
    assert.deepEqual([quiet.stdout, quiet.stderr], ["", ""]);
    assert.match(lines.stderr, /1 file was let pass though not clean/);
  });

  test("sends the key that a file or the environment has, and shows it nowhere (C14)", async () => {
    const secret = "cgk_abc_0123456789";
    const seen: (string | undefined)[] = [];
    const answer = await firstReport(gateway.url);
    await using picky = await startServer((request, response) => {
      request.resume();
      seen.push(request.headers.authorization);
      if (request.headers.authorization !== `Bearer ${secret}`) response.statusCode = 401;
      const state = { engine: answer.engine, signatureAgeSeconds: null, slots: null, queued: 0, warnings: [] };
      response.end(JSON.stringify(request.url === "/v3/status" ? state : answer));
    });
    await writeFile(at("key"), `${secret}\n`);
    const args = ["scan", "-v", "--to", picky.url, at("key")];
    const [byFile, byEnvironment, without, wrong] = await Promise.all([
      runCommand([...args, "--api-key-file", at("key")]),
      runCommand(args, { env: { CLAMGATE_API_KEY: secret } }),
      runCommand(args),
      runCommand(["scan", `--api-key=${secret}`, at("key")]),
    ]);
    assert.deepEqual([byFile.code, byEnvironment.code, without.code, wrong.code], [0, 0, 2, 2]);
    assert.ok(seen.includes(`Bearer ${secret}`));
    for (const { stdout, stderr } of [byFile, byEnvironment, without, wrong]) assert.doesNotMatch(stdout + stderr, /0123456789/);
    assert.match(wrong.stderr, /--api-key-file or CLAMGATE_API_KEY/);
    const inAddress = await runCommand(["scan", "--to", `http://me:${secret}@127.0.0.1:1`, at("key")]);
    assert.equal(inAddress.code, 2);
    assert.doesNotMatch(inAddress.stderr, /0123456789/);
  });

  test("writes --output whole or not at all, and never scans it", async () => {
    const directory = await tree("output", { clean, virus });
    const report = join(directory, "report.json");
    assert.equal((await runCommand(["scan", "--format", "json", "-o", report, directory], { env })).code, 1);
    assert.equal((JSON.parse(await readFile(report, "utf8")) as { results: unknown[] }).results.length, 2);
    assert.deepEqual((await readdir(directory)).toSorted(), ["clean", "report.json", "virus"]);
    const refused = await runCommand(["scan", "--to", "http://127.0.0.1:1", "--wait", "0", "-o", at("never"), directory]);
    assert.equal(refused.code, 2);
    assert.deepEqual(
      (await readdir(root)).filter((name) => name.includes("never")),
      [],
    );
    const device = await runCommand(["scan", "-o", "/dev/null", directory], { env });
    assert.deepEqual([device.code, /not a regular file/.test(device.stderr)], [2, true]);
  });

  test("lists what is asked for: -i what is not allowed, -v what is clean as well, -q nothing", async () => {
    const directory = await tree("lists", { clean, virus });
    const run = (...args: string[]) => runCommand(["scan", ...args, directory], { env });
    const [text, verbose, infected, quiet] = await Promise.all([run(), run("-v"), run("-i", "--format", "clamscan"), run("-q")]);
    assert.match(
      text.stdout,
      /^infected +.*virus: A\.Virus\n2 files \(21 B\) in .*: 1 clean, 1 infected, 0 unscannable, 0 errors\nClamAV 1\.4\.3, signatures 27800 of 1970-01-01\n$/,
    );
    assert.equal(text.stderr, "");
    assert.match(verbose.stdout, /^clean +.*clean$/m);
    assert.doesNotMatch(infected.stdout, /: OK/);
    assert.match(infected.stdout, /\nInfected files: 1\n/);
    assert.deepEqual([quiet.code, quiet.stdout, quiet.stderr], [1, "", ""]);
  });

  test("tells a wrong argument, and a wrong list, with 2 and without a result", async () => {
    const [option, address, tooLong, withNull] = await Promise.all([
      runCommand(["scan", "--no-such-option", "."], { env }),
      runCommand(["scan", "--to", "nowhere", "."]),
      runCommand(["scan", "-f", "-"], { env, input: "a".repeat(5_000) }),
      runCommand(["scan", "-f", "-"], { env, input: "a\0b\0" }),
    ]);
    assert.deepEqual([option.code, address.code, tooLong.code, withNull.code], [2, 2, 2, 2]);
    assert.match(option.stderr, /^clamgate scan: .*--no-such-option.*\nclamgate help scan tells more\.\n$/s);
    assert.match(address.stderr, /no URL/);
    assert.match(tooLong.stderr, /more than 4096 bytes/);
    assert.match(withNull.stderr, /needs --null/);
  });
});

/** What a terminal acts upon, but for the end of a line. */
function isObeyed(character: string): boolean {
  return character !== "\n" && (character < " " || (character >= "\x7f" && character <= "\x9f") || character === "\u202e");
}

/** As a real gateway would make it. */
async function firstReport(url: string): Promise<{ readonly engine: unknown }> {
  const response = await fetch(`${url}/v3/scan`, { method: "POST", body: clean });
  return (await response.json()) as { engine: unknown };
}
