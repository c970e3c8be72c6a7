import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { crossCheck } from "../../src/config/cross-checks.ts";
import { clamdDoorSettings } from "../../src/config/groups/clamd-door-settings.ts";
import { faultsOf, isTaken, valueFrom } from "./parsing.ts";

const [listen, allowFrom] = clamdDoorSettings;
const onError = "error";

describe("CLAMD_LISTEN", () => {
  test("reads every form", () => {
    const tcp = { kind: "tcp", onError } as const;
    const known = [
      ["127.0.0.1:3310", { ...tcp, host: "127.0.0.1", port: 3310 }],
      ["tcp://0.0.0.0:3310", { ...tcp, host: "0.0.0.0", port: 3310 }],
      ["[::1]:3310?on-error=close", { ...tcp, host: "::1", port: 3310, onError: "close" }],
      ["0", { ...tcp, host: "127.0.0.1", port: 0 }],
      ["/run/clamgate/clamd.sock", { kind: "unix", path: "/run/clamgate/clamd.sock", mode: 0o660, onError }],
      ["unix:///a?mode=666", { kind: "unix", path: "/a", mode: 0o666, onError }],
      ["/a?on-error=found&mode=0600", { kind: "unix", path: "/a", mode: 0o600, onError: "found" }],
    ] as const;
    for (const [text, address] of known) assert.deepEqual(valueFrom(listen.parser, text), [address], text);
  });

  test("takes a lone port for both loopbacks, of which IPv6's may be missing", () => {
    assert.deepEqual(valueFrom(listen.parser, "3310?on-error=found, /a"), [
      { kind: "tcp", host: "127.0.0.1", port: 3310, onError: "found" },
      { kind: "tcp", host: "::1", port: 3310, onError: "found", isOptional: true },
      { kind: "unix", path: "/a", mode: 0o660, onError },
    ]);
  });

  test("refuses every other form", () => {
    const other = ["a", "a/b", "::1:3310", "tcp://a", "unix://a", "127.0.0.1:0", "65536", "/a?", "3310?mode=660", "3310?x=1"];
    const options = [
      "/a?on-error=no",
      "/a?mode=9",
      "/a?mode=1777",
      "/a?mode=",
      "/a?on-error=found&on-error=close",
      "/a?b?c",
      "/a?on-error",
    ];
    for (const text of [...other.filter((one) => one !== "/a?"), ...options, "", " , "])
      assert.equal(isTaken(listen.parser, text), false, text);
  });

  test("refuses an address twice, and a path too long for a socket", () => {
    assert.match(faultsOf(listen.parser, "3310,[::1]:3310").join(), /twice/);
    assert.match(faultsOf(listen.parser, "/a,unix:///a?mode=600").join(), /twice/);
    assert.equal(isTaken(listen.parser, `/${"a".repeat(99)}`), true);
    assert.match(faultsOf(listen.parser, `/${"a".repeat(100)}`).join(), /longer than 100 bytes/);
  });
});

describe("CLAMD_ALLOW_FROM", () => {
  test("reads addresses, ranges and the two words", () => {
    assert.deepEqual(valueFrom(allowFrom.parser, "private,10.0.0.0/8,any"), [
      { kind: "private" },
      { kind: "range", range: { network: { text: "10.0.0.0", family: 4 }, bits: 8 } },
      { kind: "any" },
    ]);
    assert.equal(isTaken(allowFrom.parser, "mail.example"), false);
  });
});

describe("the clamd door's settings together", () => {
  const checked = (text: string, peers = "", rest: object = {}) =>
    crossCheck({ CLAMD_LISTEN: valueFrom(listen.parser, text), CLAMD_ALLOW_FROM: valueFrom(allowFrom.parser, peers), ...rest });

  test("name the peers where others than this machine can reach it", () => {
    for (const text of ["0.0.0.0:3310", "[::]:3310", "10.0.0.1:3310", "clamgate:3310", "3310,192.168.0.1:1"]) {
      assert.match(checked(text).join(), /CLAMD_ALLOW_FROM/, text);
      assert.deepEqual(checked(text, "private"), [], text);
    }
    for (const text of ["3310", "127.0.0.2:3310", "[::1]:3310", "localhost:3310", "/a"])
      assert.deepEqual(checked(text), [], text);
  });

  test("keep to ports that the gateway does not use otherwise", () => {
    for (const name of ["PORT", "SSL_PORT", "DOWNLOAD_PROXY_PORT"]) {
      assert.match(checked("3310", "", { [name]: 3310 }).join(), new RegExp(`${name} and CLAMD_LISTEN`));
    }
    assert.deepEqual(checked("0", "", { PORT: 0 }), []);
  });
});
