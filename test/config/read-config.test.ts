import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Environment, readConfig } from "../../src/config/read-config.ts";
import { type Config, settings } from "../../src/config/settings.ts";
import { anyString } from "../any-string.ts";

function configOf(environment: Environment): Config {
  const reading = readConfig(environment, { cwd: "/srv", cores: 2 });
  if (reading.kind === "faults") assert.fail(reading.faults.join("\n"));
  return reading.config;
}

function faultsOf(environment: Environment): readonly string[] {
  const reading = readConfig(environment, { cwd: "/srv", cores: 2 });
  return reading.kind === "faults" ? reading.faults : [];
}

describe("readConfig", () => {
  test("ignores variables that are no settings", () => {
    assert.deepEqual(configOf({ PATH: "/bin", MAX_FILESIZE: "x", port: "1", "": "x", __proto__x: "y" }), configOf({}));
  });

  test("takes an empty or blank value for unset", () => {
    const blank = Object.fromEntries(settings.map(({ name }) => [name, ""]));
    assert.deepEqual(configOf(blank), configOf({}));
    assert.deepEqual(configOf({ PORT: " \t\r\n", HOST: undefined }), configOf({}));
  });

  test("takes spaces and a carriage return off the ends, but not off a password", () => {
    const config = configOf({ PORT: " 9001\r", PROXY_SERVER: "p", PROXY_USERNAME: "user ", PROXY_PASSWORD: " pass " });
    assert.deepEqual([config.PORT, config.PROXY_USERNAME, config.PROXY_PASSWORD], [9001, "user", " pass "]);
  });

  test("takes double quotes around a value off, as clamd does, but not off a password", () => {
    const config = configOf({ MAX_FILE_SIZE: '"10M"', PROXY_SERVER: ' "p" ', PROXY_USERNAME: "u", PROXY_PASSWORD: '"x"' });
    assert.deepEqual([config.MAX_FILE_SIZE, config.PROXY_SERVER, config.PROXY_PASSWORD], [10 * 1024 ** 2, "p", '"x"']);
    assert.deepEqual(configOf({ PORT: '""', SSL_PORT: '" "' }), configOf({}));
    assert.deepEqual(faultsOf({ MAX_FILE_SIZE: "'10M'" }).length, 1);
  });

  test("keeps what follows a second equals sign", () => {
    assert.equal(configOf({ DATABASE_MIRROR: "https://m.example/?a=b=c" }).DATABASE_MIRROR, "https://m.example/?a=b=c");
  });

  test("finds ALLOW_ORIGINS in any case, the exact name first", () => {
    assert.deepEqual(configOf({ allow_origins: "https://a.example" }).ALLOW_ORIGINS, ["https://a.example"]);
    assert.deepEqual(configOf({ Allow_Origins: "*", ALLOW_ORIGINS: "https://a.example" }).ALLOW_ORIGINS, ["https://a.example"]);
    assert.deepEqual(configOf({ allow_origins: "*", ALLOW_ORIGINS: "" }).ALLOW_ORIGINS, []);
    assert.equal(configOf({ max_threads: "7" }).MAX_THREADS, 2);
  });

  test("says what was wrong and what is allowed", () => {
    assert.deepEqual(faultsOf({ MAX_FILE_SIZE: "25X" }), [
      'MAX_FILE_SIZE: "25X" is not a size: allowed are whole bytes or a number with K, M or G, from 0 to 1048576G',
    ]);
    assert.deepEqual(faultsOf({ MAX_THREADS: "257" }), [
      'MAX_THREADS: "257" is too large: allowed are whole numbers from 1 to 256',
    ]);
    const [fault = ""] = faultsOf({ VERDICT_CACHE: "memory" });
    assert.ok(
      fault.startsWith('VERDICT_CACHE: "memory" is not a verdict cache: allowed are sqlite: (in STATE_DIRECTORY), sqlite:PATH'),
    );
  });

  test("tells all faults at once, in the table's order, cross-checks last", () => {
    const faults = faultsOf({
      LOG_LEVEL: "loud",
      PORT: "http",
      UNSUPPORTED_FORMATS: "zip,zstd,tar",
      SPOOL_MAX: "10M",
      PROXY_SERVER: "proxy.example",
      PROXY_USERNAME: "scanner",
    });
    const names = faults.map((fault) => fault.split(/[: ]/)[0]);
    assert.deepEqual(names, [
      "PORT",
      "UNSUPPORTED_FORMATS",
      "UNSUPPORTED_FORMATS",
      "LOG_LEVEL",
      "MAX_FILE_SIZE",
      "PROXY_PASSWORD",
    ]);
  });

  test("tells one fault of every setting that can have one", () => {
    const environment = Object.fromEntries(settings.map(({ name }) => [name, "\u0001"]));
    assert.deepEqual(
      faultsOf(environment).map((fault) => fault.split(":")[0]),
      settings.map(({ name }) => name),
    );
  });

  test("shows no password", () => {
    const faults = faultsOf({ PROXY_PASSWORD: "hunter2\n", PROXY_SERVER: "ftp://u:hunter2@p", DATABASE_MIRROR: "u:hunter2@m" });
    assert.equal(faults.length, 3);
    assert.doesNotMatch(faults.join("\n"), /hunter2/);
  });

  test("cuts a long value and escapes what would break the line", () => {
    const [fault = ""] = faultsOf({ LOG_LEVEL: `\x1b[31m\n${"😀".repeat(10_000)}` });
    assert.ok(fault.startsWith('LOG_LEVEL: "\\u001b[31m\\n😀'), fault);
    assert.ok(fault.length < 400);
    assert.equal(fault.isWellFormed(), true);
  });

  test("does not judge a setting that is wrong against others", () => {
    assert.equal(faultsOf({ MAX_FILE_SIZE: "200X", SPOOL_MAX: "1M" }).length, 1);
    assert.equal(faultsOf({ PROXY_SERVER: "p", PROXY_USERNAME: "a", PROXY_PASSWORD: "\n" }).length, 1);
    assert.equal(faultsOf({ STATE_DIRECTORY: "\0" }).length, 1);
    assert.equal(faultsOf({ MAX_SCAN_TIME: "0" }).length, 1);
  });

  test("gives a whole Config or a reason, whatever the environment holds", () => {
    const names = settings.map(({ name }) => name);
    const texts = fc.oneof(anyString(), fc.constantFrom("0", "1", "1G", "5s", "none", "allow:", "/", "a:1", "::"));
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), texts), (environment) => {
        const reading = readConfig(environment, { cwd: "/srv", cores: 2 });
        if (reading.kind === "config") assert.deepEqual(Object.keys(reading.config), names);
        else
          for (const fault of reading.faults)
            assert.ok(names.some((name) => fault.startsWith(name)) && !fault.includes("\n"), fault);
      }),
    );
  });
});
