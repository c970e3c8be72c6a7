import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { runScript, type ScriptRun } from "./script.ts";

/** Tells how the entry would have started the gateway. */
const clamgate = `echo "clamgate $*"; echo "FRESHCLAM_CONF=$FRESHCLAM_CONF"; exit "$EXIT"`;

describe("deploy/entrypoint", () => {
  let scratch = "";
  let baked = "";
  let database = "";

  beforeEach(() => {
    scratch = mkdtempSync(join(tmpdir(), "clamgate-entrypoint-"));
    [baked, database] = [join(scratch, "baked"), join(scratch, "data")];
    mkdirSync(baked);
    writeFileSync(join(baked, "main.cvd"), "main of the image");
    writeFileSync(join(baked, "daily.cvd"), "daily of the image");
    writeFileSync(join(scratch, "mounts"), "29 1 0:2 / / rw - overlay overlay rw\n");
  });
  afterEach(() => rmSync(scratch, { recursive: true, force: true }));

  function run(
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
    programs: Readonly<Record<string, string>> = {},
  ): ScriptRun {
    return runScript("entrypoint", {
      scratch,
      args,
      env: {
        FRESHCLAM_CONF: "",
        EXIT: "0",
        BAKED_SIGNATURES: baked,
        DATABASE_DIRECTORY: database,
        MOUNT_TABLE: join(scratch, "mounts"),
        ...env,
      },
      programs: { clamgate, ...programs },
    });
  }

  test("becomes the command, with its arguments and its exit code", () => {
    const { code, output } = run(["healthcheck", "a b", "c"], { EXIT: "3" });
    assert.equal(code, 3);
    assert.match(output, /^clamgate healthcheck a b c\n/);
  });

  test("puts the image's signatures where there are none", () => {
    assert.equal(run(["serve"]).code, 0);
    assert.deepEqual(readdirSync(database).sort(), ["daily.cvd", "main.cvd"]);
    assert.equal(readFileSync(join(database, "main.cvd"), "utf8"), "main of the image");
  });

  test("leaves official signatures as they are, and puts none of another day beside them", () => {
    mkdirSync(database);
    writeFileSync(join(database, "daily.cld"), "newer");
    run(["serve"]);
    assert.deepEqual(readdirSync(database), ["daily.cld"]);
  });

  test("never replaces a file of the operator's", () => {
    mkdirSync(database);
    writeFileSync(join(baked, "own.hdb"), "of the image");
    writeFileSync(join(database, "own.hdb"), "the operator's");
    run(["serve"]);
    assert.equal(readFileSync(join(database, "own.hdb"), "utf8"), "the operator's");
    assert.deepEqual(readdirSync(database).sort(), ["daily.cvd", "main.cvd", "own.hdb"]);
  });

  test("serves on, and leaves nothing half copied, when the disk is full", () => {
    const { code, output, errors } = run(["serve"], {}, { cp: 'printf half >"$2"; exit 1' });
    assert.equal(code, 0);
    assert.match(output, /^clamgate serve\n/);
    assert.match(errors, /could not be copied/);
    assert.deepEqual(readdirSync(database), []);
  });

  test("serves on where the directory cannot be made", () => {
    writeFileSync(join(scratch, "file"), "");
    const { code, output } = run(["serve"], { DATABASE_DIRECTORY: join(scratch, "file/data") });
    assert.equal(code, 0);
    assert.match(output, /^clamgate serve\n/);
  });

  test("has nothing to copy in an image without signatures", () => {
    rmSync(baked, { recursive: true });
    assert.equal(run(["serve"]).code, 0);
    assert.deepEqual(readdirSync(database), []);
  });

  test("copies nothing for other commands, nor for the clamd of others", () => {
    run(["settings"]);
    run(["serve"], { CLAMD_PORT: "tcp://127.0.0.1:3310" });
    assert.deepEqual(readdirSync(scratch).includes("data"), false);
  });

  test("uses a freshclam.conf that is mounted where clamav-rest has it", () => {
    writeFileSync(join(scratch, "mounts"), "31 29 8:1 /f.conf /clamav/etc/freshclam.conf ro - ext4 /dev/vda ro\n");
    assert.match(run(["serve"]).output, /^FRESHCLAM_CONF=\/clamav\/etc\/freshclam\.conf$/m);
    assert.match(run(["serve"], { FRESHCLAM_CONF: "/own" }).output, /^FRESHCLAM_CONF=\/own$/m);
  });

  test("does not take one that a volume of clamav-rest's happens to hold", () => {
    writeFileSync(join(scratch, "mounts"), "31 29 8:1 /v /clamav rw - ext4 /dev/vda rw\n");
    assert.match(run(["serve"]).output, /^FRESHCLAM_CONF=$/m);
  });
});
