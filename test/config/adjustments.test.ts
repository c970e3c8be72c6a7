import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { adjustmentsOf } from "../../src/config/adjustments.ts";
import { type Environment, readConfig } from "../../src/config/read-config.ts";
import type { Config } from "../../src/config/settings.ts";

function read(environment: Environment): { readonly config: Config; readonly warnings: readonly string[] } {
  const reading = readConfig(environment, { cwd: "/srv", cores: 2 });
  if (reading.kind === "faults") assert.fail(reading.faults.join("\n"));
  return reading;
}

const mebi = 1024 ** 2;
/** Below what clamd scans of one file at most, with room for what may stand before a body. */
const most = 2047 * mebi;

describe("adjustments", () => {
  test("are made to nothing that is not there, and to nothing that is right", () => {
    assert.deepEqual(adjustmentsOf({}, new Set()), []);
    assert.deepEqual(read({}).warnings, []);
    assert.deepEqual(read({ MAX_FILE_SIZE: "100", MAX_SCAN_SIZE: "100" }).warnings, []);
    assert.deepEqual(read({ MAX_FILE_SIZE: String(most), MAX_SCAN_SIZE: String(most) }).warnings, []);
  });

  test("raise MAX_SCAN_SIZE to MAX_FILE_SIZE, whichever of them was set, with one warning that names both", () => {
    const raised = read({ MAX_FILE_SIZE: "200M" });
    assert.deepEqual([raised.config.MAX_FILE_SIZE, raised.config.MAX_SCAN_SIZE], [200 * mebi, 200 * mebi]);
    assert.deepEqual(raised.warnings, ["MAX_SCAN_SIZE=100M is run as 200M, to hold MAX_FILE_SIZE=200M."]);
    const small = read({ MAX_SCAN_SIZE: "10M" });
    assert.deepEqual([small.config.MAX_FILE_SIZE, small.config.MAX_SCAN_SIZE], [25 * mebi, 25 * mebi]);
    assert.deepEqual(small.warnings, ["MAX_SCAN_SIZE=10M is run as 25M, to hold MAX_FILE_SIZE=25M."]);
  });

  test("run no limit, and one of 2 GiB and more, as the most that clamd scans of one file", () => {
    for (const size of ["0", "2146435073", "2G", "4000M", "10G"]) {
      const { config, warnings } = read({ MAX_FILE_SIZE: size });
      assert.deepEqual([config.MAX_FILE_SIZE, config.MAX_SCAN_SIZE], [most, most], size);
      const said = /^MAX_FILE_SIZE=\w+ is run as 2047M, .*; MAX_SCAN_SIZE=100M is run as 2047M, to hold MAX_FILE_SIZE/;
      assert.equal(warnings.length, 1);
      assert.match(warnings.join(), said, size);
      const scan = read({ MAX_SCAN_SIZE: size });
      assert.deepEqual([scan.config.MAX_FILE_SIZE, scan.config.MAX_SCAN_SIZE], [25 * mebi, most], size);
      assert.match(scan.warnings.join(), /^MAX_SCAN_SIZE=\w+ is run as 2047M, beyond which clamd says OK/, size);
    }
  });

  test("leave a given clamd its own limits, and lower the body's alone", () => {
    const given = { CLAMD_PORT: "tcp://clamd:3310" };
    assert.deepEqual(read({ ...given, MAX_SCAN_SIZE: "0", MAX_RECURSION: "0", MAX_FILE_SIZE: "200M" }).warnings, []);
    assert.equal(read({ ...given, MAX_FILE_SIZE: "0" }).config.MAX_FILE_SIZE, most);
  });

  test("run counts that clamd does not take, or takes for nothing at all, as the nearest that it does", () => {
    const names = ["MAX_RECURSION", "MAX_PARTITIONS", "MAX_ICONSPE", "PCRE_MATCHLIMIT", "PCRE_RECMATCHLIMIT"] as const;
    const zeros = read(Object.fromEntries(names.map((name) => [name, "0"])));
    const usual = read({}).config;
    for (const name of names) assert.equal(zeros.config[name], usual[name], name);
    assert.equal(zeros.warnings.length, 1);
    for (const name of names) assert.match(zeros.warnings.join(), new RegExp(`\\b${name}=0 is run as ${usual[name]}\\b`));
    assert.equal(read({ MAX_RECURSION: "500" }).config.MAX_RECURSION, 100);
    assert.match(read({ MAX_RECURSION: "500" }).warnings.join(), /^MAX_RECURSION=500 is run as 100:/);
    assert.deepEqual(read({ MAX_FILES: "0", MAX_EMBEDDEDPE: "0", MAX_ZIPTYPERCG: "5G" }).warnings, []);
  });

  test("look for signatures no oftener than ClamAV's servers allow", () => {
    assert.deepEqual(read({ SIGNATURE_CHECKS: "50" }).warnings, []);
    assert.equal(read({ SIGNATURE_CHECKS: "96" }).config.SIGNATURE_CHECKS, 50);
    assert.match(read({ SIGNATURE_CHECKS: "96" }).warnings.join(), /^SIGNATURE_CHECKS=96 is run as 50,/);
  });

  test("put the download proxy off where its usual port is another's, but not where it was asked for", () => {
    for (const name of ["PORT", "SSL_PORT"]) {
      const { config, warnings } = read({ [name]: "8080" });
      assert.equal(config.DOWNLOAD_PROXY_PORT, null);
      assert.match(warnings.join(), new RegExp(`^The download proxy is off: ${name}=8080 `));
    }
    const asked = readConfig({ PORT: "8080", DOWNLOAD_PROXY_PORT: "8080" }, { cwd: "/srv", cores: 2 });
    assert.equal(asked.kind, "faults");
  });

  test("take no heed of a proxy's other settings without PROXY_SERVER, whatever they hold, and say so", () => {
    const { config, warnings } = read({ PROXY_PORT: "tcp://10.0.0.7:3128", PROXY_USERNAME: "scanner", PROXY_PASSWORD: "x\n" });
    assert.deepEqual([config.PROXY_PORT, config.PROXY_USERNAME, config.PROXY_PASSWORD], [null, null, null]);
    assert.deepEqual(warnings, ["PROXY_PORT, PROXY_USERNAME, PROXY_PASSWORD are ignored without PROXY_SERVER."]);
    assert.deepEqual(read({ PROXY_PORT: "3128" }).warnings, ["PROXY_PORT is ignored without PROXY_SERVER."]);
    assert.deepEqual(read({ PROXY_PORT: "3128", PROXY_SERVER: "proxy.example" }).warnings, []);
  });

  test("leave limits in the order in which nothing passes unscanned, whatever was set", () => {
    const sizes = fc.constantFrom("0", "1", "68", "10M", "25M", "100M", "2147483645", "2047M", "2G", "4G", "1024G");
    fc.assert(
      fc.property(sizes, sizes, (file, scan) => {
        const { config, warnings } = read({ MAX_FILE_SIZE: file, MAX_SCAN_SIZE: scan });
        assert.ok(0 < config.MAX_FILE_SIZE && config.MAX_FILE_SIZE <= config.MAX_SCAN_SIZE && config.MAX_SCAN_SIZE <= most);
        assert.ok(warnings.length <= 1);
      }),
    );
  });
});
