import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { clamdConf, describeLimits } from "../../src/clamd/clamd-conf.ts";
import { longestPrefixBytes } from "../../src/clamd/overlooked.ts";
import { mebibyte, testLimits } from "../live/clamd.ts";

const paths = { socketPath: "/run/c/clamd.sock", databaseDirectory: "/var/db", temporaryDirectory: "/tmp/c" };

/** The options that clamd would read: of each name the first line. */
function read(text: string): Map<string, string> {
  const options = new Map<string, string>();
  for (const line of text.trimEnd().split("\n")) {
    const [name = "", ...value] = line.split(" ");
    assert.equal(options.has(name), false, `${name} twice`);
    options.set(name, value.join(" "));
  }
  return options;
}

describe("clamdConf", () => {
  test("keeps a thread for a small body, one for the canary, and a queue that never fills", () => {
    for (const [slots, threads, queue] of [
      [1, "3", "64"],
      [2, "4", "64"],
      [40, "42", "92"],
    ] as const) {
      const options = read(clamdConf({ ...paths, slots, limits: testLimits }));
      assert.deepEqual([options.get("MaxThreads"), options.get("MaxQueue")], [threads, queue]);
    }
  });

  test("has every limit told, and nothing listen but a private socket", () => {
    const options = read(clamdConf({ ...paths, slots: 2, limits: testLimits }));
    for (const name of ["AlertExceedsMax", "AlertEncryptedArchive", "AlertEncryptedDoc", "DisableCache", "ExitOnOOM"]) {
      assert.equal(options.get(name), "yes", name);
    }
    assert.equal(options.get("LocalSocketMode"), "600");
    assert.equal(options.get("TCPSocket"), undefined);
  });

  test("limits what is sent to MAX_FILE_SIZE and what may stand before it, and what is in it to MAX_SCAN_SIZE alone", () => {
    const sizes = (maxFileSize: number, maxScanSize: number) => {
      const options = read(clamdConf({ ...paths, slots: 2, limits: { ...testLimits, maxFileSize, maxScanSize } }));
      return ["StreamMaxLength", "MaxFileSize", "MaxScanSize"].map((name) => Number(options.get(name)) - longestPrefixBytes);
    };
    assert.deepEqual(sizes(25 * mebibyte, 100 * mebibyte), [25 * mebibyte, 100 * mebibyte, 100 * mebibyte]);
    assert.deepEqual(sizes(mebibyte, mebibyte), [mebibyte, mebibyte, mebibyte]);
  });

  test("quotes a path that would end at a blank or a number sign", () => {
    for (const socketPath of ["/run/a b/clamd.sock", "/run/a#b/clamd.sock", "/run/a\tb/clamd.sock"]) {
      assert.equal(read(clamdConf({ ...paths, socketPath, slots: 2, limits: testLimits })).get("LocalSocket"), `"${socketPath}"`);
    }
  });

  test("refuses a path that would become an option of its own", () => {
    for (const socketPath of ["/run/a\nTCPSocket 3310", "/run/a\rb", '/run/a"b', "/run/a\0b"]) {
      assert.throws(() => clamdConf({ ...paths, socketPath, slots: 2, limits: testLimits }), /line feeds or quotes/);
    }
  });
});

describe("describeLimits", () => {
  test("differs with every limit", () => {
    const descriptions = new Set([describeLimits(testLimits)]);
    for (const name of Object.keys(testLimits)) descriptions.add(describeLimits({ ...testLimits, [name]: 123 }));
    assert.equal(descriptions.size, Object.keys(testLimits).length + 1);
  });
});
