import assert from "node:assert/strict";
import { chmod, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { runKeysCommand } from "../../../src/app/commands/keys.ts";
import { accessFor } from "../../auth/known-clients.ts";
import { scratchDirectory } from "../../scratch-directory.ts";

async function stage() {
  const directory = await scratchDirectory();
  const path = join(directory.path, "keys.json");
  return {
    directory: directory.path,
    path,
    async run(...args: readonly string[]): Promise<{ readonly out: string; readonly err: string; readonly code: number }> {
      const out: string[] = [];
      const err: string[] = [];
      const code = await runKeysCommand({
        usage: "how it is used",
        args,
        file: path,
        stdout: (text) => out.push(text),
        stderr: (text) => err.push(text),
      });
      return { out: out.join(""), err: err.join(""), code };
    },
    async opens(key: string): Promise<string> {
      const { keys } = JSON.parse(await readFile(path, "utf8")) as { keys: unknown[] };
      const access = accessFor(keys);
      const head = {
        rawHeaders: ["X-API-Key", key],
        address: () => "10.1.2.3",
        certificate: () => null,
        forwardedCertificates: () => [],
      };
      const decision = access.decide(head, "scan");
      return decision.kind === "let-in" ? decision.client.name : decision.reason;
    },
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

describe("clamgate keys", () => {
  test("creates a key that opens, shows it once, and keeps its digest for its owner's eyes alone", async () => {
    await using one = await stage();
    const { out, err, code } = await one.run("create", "--name", "shop");
    assert.equal(code, 0);
    const key = out.trim();
    assert.match(key, /^cgk_[0-9a-z]{8}_[\w-]{43}$/);
    assert.ok(!err.includes(key));
    assert.equal(await one.opens(key), "shop");
    assert.equal((await stat(one.path)).mode & 0o777, 0o600);
    assert.ok(!(await readFile(one.path, "utf8")).includes(key.slice(13)));
    assert.deepEqual(await readdir(one.directory), ["keys.json"]);
  });

  test("writes all that an entry may say, and lists it without its digest", async () => {
    await using one = await stage();
    const limits = [
      "--requests",
      "100/1s",
      "--bytes",
      "500M/10s",
      "--concurrent",
      "20",
      "--quota",
      "5T/30d",
      "--priority",
      "batch",
    ];
    const bounds = ["--scopes", "scan,jobs", "--from", "10.0.0.0/8", "--not-after", "2099-06-01T00:00:00Z"];
    const { out } = await one.run("create", "--name", "shop", ...limits, ...bounds);
    assert.equal(await one.opens(out.trim()), "shop");
    const id = out.slice(4, 12);
    const { keys } = JSON.parse(await readFile(one.path, "utf8")) as { readonly keys: readonly Record<string, unknown>[] };
    const { sha256, ...entry } = keys[0] ?? {};
    assert.deepEqual(entry, {
      id,
      name: "shop",
      scopes: ["scan", "jobs"],
      notAfter: "2099-06-01T00:00:00Z",
      from: ["10.0.0.0/8"],
      limits: { requests: "100/1s", bytes: "500M/10s", concurrent: 20 },
      quota: { bytes: "5T/30d" },
      priority: "batch",
    });
    const listed = await one.run("list");
    assert.equal(listed.out, `${id}  shop: scan jobs, until 2099-06-01T00:00:00.000Z, from 10.0.0.0/8\n`);
    assert.ok(!listed.out.includes(String(sha256)));
  });

  test("revokes one key and leaves the others", async () => {
    await using one = await stage();
    const keys = [(await one.run("create", "--name", "a")).out.trim(), (await one.run("create", "--name", "b")).out.trim()];
    const [first = "", second = ""] = keys;
    assert.equal((await one.run("revoke", first.slice(4, 12))).code, 0);
    assert.equal(await one.opens(first), "unknown");
    assert.equal(await one.opens(second), "b");
    await assert.rejects(one.run("revoke", second.slice(4, 12), "nobodyyy"), /there is no key "nobodyyy"/);
    assert.equal(await one.opens(second), "b");
  });

  test("makes no key for a client that comes with a certificate", async () => {
    await using one = await stage();
    const { out } = await one.run("create", "--name", "billing", "--san", "spiffe://billing");
    assert.match(out, /^[0-9a-z]{8}\n$/);
    assert.equal((await one.run("list")).out, `${out.trim()}  billing: scan, URI:spiffe://billing\n`);
  });

  for (const [name, args, fault] of [
    ["no name", ["create"], /`name` is missing/],
    ["an unknown scope", ["create", "--name", "a", "--scopes", "scan,all"], /`scopes` must be/],
    ["a limit that is none", ["create", "--name", "a", "--concurrent", "many"], /`limits.concurrent` must be/],
    ["an unknown option", ["create", "--name", "a", "--form", "10.0.0.0/8"], /Unknown option '--form'/],
    ["no id", ["revoke"], /needs the ids/],
  ] as const) {
    test(`refuses ${name}, and leaves no file behind`, async () => {
      await using one = await stage();
      await assert.rejects(one.run(...args), fault);
      assert.deepEqual(await readdir(one.directory), []);
    });
  }

  test("changes nothing in a file that is broken", async () => {
    await using one = await stage();
    for (const text of ["{", '{"keys":[{"id":1}]}']) {
      await writeFile(one.path, text);
      await assert.rejects(one.run("create", "--name", "a"), /keys\.json:\n {2}/);
      await assert.rejects(one.run("list"), /keys\.json:\n {2}/);
      assert.equal(await readFile(one.path, "utf8"), text);
    }
    assert.deepEqual(await readdir(one.directory), ["keys.json"]);
  });

  test("keeps who may read the file, and a link to it", async () => {
    await using one = await stage();
    const real = join(one.directory, "real.json");
    await writeFile(real, '{"keys":[]}');
    await chmod(real, 0o640);
    await symlink(real, one.path);
    await one.run("create", "--name", "a");
    assert.equal((await stat(real)).mode & 0o777, 0o640);
    assert.match(await readFile(real, "utf8"), /"name": "a"/);
  });

  test("does not change a file that somebody else is changing", async () => {
    await using one = await stage();
    await writeFile(`${one.path}.new`, "");
    await assert.rejects(one.run("create", "--name", "a"), /keys\.json\.new is there/);
    assert.deepEqual(await readdir(one.directory), ["keys.json.new"]);
  });

  test("of many at once loses none that it has shown", async () => {
    await using one = await stage();
    const made = await Promise.allSettled(Array.from({ length: 8 }, (_, at) => one.run("create", "--name", `n${at}`)));
    const keys = made.flatMap((one) => (one.status === "fulfilled" ? [one.value.out.trim()] : []));
    assert.ok(keys.length > 0);
    for (const key of keys) assert.match(await one.opens(key), /^n\d$/);
  });

  test("says how it is used", async () => {
    await using one = await stage();
    const { err, code } = await one.run();
    assert.equal(code, 2);
    assert.equal(err, "how it is used");
  });
});
