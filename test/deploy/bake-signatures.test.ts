import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { runScript, type ScriptRun } from "./script.ts";

/** Shows its configuration, and brings what BRINGS names, and always the file that belongs to one installation. */
const freshclam = `conf=\${1#--config-file=}; cat "$conf"
directory=$(sed -n 's/^DatabaseDirectory //p' "$conf")
for name in freshclam.dat $BRINGS; do echo "$name" >"$directory/$name"; done
exit "\${EXIT:-0}"`;

describe("deploy/bake-signatures", () => {
  let scratch = "";
  let signatures = "";

  beforeEach(() => {
    scratch = mkdtempSync(join(tmpdir(), "clamgate-bake-"));
    signatures = join(scratch, "signatures");
    mkdirSync(signatures);
    writeFileSync(join(signatures, "README.md"), "");
    writeFileSync(join(signatures, "own.hdb"), "");
  });
  afterEach(() => rmSync(scratch, { recursive: true, force: true }));

  function run(want: string, mirror = "", env: Readonly<Record<string, string>> = {}): ScriptRun {
    return runScript("bake-signatures", {
      scratch,
      args: [want, mirror, signatures],
      env,
      programs: { freshclam, chown: "exit 0" },
    });
  }

  test("bakes what lies in deploy/signatures, without its README, when nothing is to be fetched", () => {
    assert.deepEqual(run("no"), { code: 0, output: "", errors: "" });
    assert.deepEqual(readdirSync(signatures), ["own.hdb"]);
  });

  test("adds what freshclam brings, but not what belongs to one installation", () => {
    const { code, output } = run("yes", "", { BRINGS: "main.cvd daily.cld bytecode.cvd" });
    assert.equal(code, 0);
    assert.match(output, /^DatabaseMirror database\.clamav\.net$/m);
    assert.deepEqual(readdirSync(signatures).sort(), ["bytecode.cvd", "daily.cld", "main.cvd", "own.hdb"]);
  });

  test("fetches from a private mirror", () => {
    const { output } = run("yes", "http://127.0.0.1:8080/mirror", { BRINGS: "main.cvd daily.cvd bytecode.cvd" });
    assert.match(output, /^PrivateMirror http:\/\/127\.0\.0\.1:8080\/mirror$/m);
    assert.doesNotMatch(output, /^DatabaseMirror/m);
  });

  test("fails when freshclam says that all is well and has brought nothing, as it does when it is rate-limited", () => {
    const { code, errors } = run("yes", "", { BRINGS: "main.cvd" });
    assert.equal(code, 1);
    assert.match(errors, /no daily database/);
  });

  test("fails when freshclam fails", () => {
    assert.equal(run("yes", "", { BRINGS: "", EXIT: "17" }).code, 17);
  });

  test("fails on an argument that is neither yes nor no", () => {
    const { code, errors } = run("true");
    assert.equal(code, 1);
    assert.match(errors, /BAKE_SIGNATURES: "true": allowed are yes, no/);
  });

  test("leaves no scratch directory behind", () => {
    run("yes", "", { BRINGS: "main.cvd" });
    assert.deepEqual(readdirSync(scratch).sort(), ["bin", "signatures"]);
  });
});
