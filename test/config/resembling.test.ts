import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { resemblingWarnings } from "../../src/config/resembling.ts";
import { settings } from "../../src/config/settings.ts";

const warningsOf = (...variables: readonly string[]) => resemblingWarnings(variables, settings);

describe("resemblingWarnings", () => {
  test("names the setting that was meant", () => {
    for (const [variable, meant] of [
      ["MAX_THREADZ", "MAX_THREADS"],
      ["MAX_THRAEDS", "MAX_THREADS"],
      ["max_threads", "MAX_THREADS"],
      ["MAXFILE_SIZE", "MAX_FILE_SIZE"],
      ["MAX_FILESIZE", "MAX_FILE_SIZE"],
      ["CLAMD_PROT", "CLAMD_PORT"],
      ["DOWNLOAD_ORIGIN", "DOWNLOAD_ORIGINS"],
      ["VERDICT_CACHE_TTL", null],
    ] as const) {
      const expected = meant === null ? [] : [`${variable} is no setting and has no effect: did you mean ${meant}?`];
      assert.deepEqual(warningsOf(variable), expected, variable);
    }
  });

  test("says nothing of settings, nor of what a system or a cluster sets", () => {
    assert.deepEqual(warningsOf(...settings.map(({ name }) => name), "allow_origins"), []);
    const others =
      "PATH HOME HOSTNAME USER SHELL PWD OLDPWD LANG TERM SHLVL LOGNAME MAIL TMPDIR EDITOR PAGER COLUMNS LINES NODE_ENV";
    const cluster =
      "CLAMD_SERVICE_HOST CLAMD_PORT_3310_TCP CLAMD_PORT_3310_TCP_PORT REDIS_PORT PROXY_SERVICE_PORT HTTP_PROXY NO_PROXY";
    assert.deepEqual(warningsOf(...others.split(" "), ...cluster.split(" "), "PORTS", "POST", "HOSTS"), []);
  });
});
