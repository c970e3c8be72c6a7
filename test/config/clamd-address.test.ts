import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ClamdAddress, clamdAddresses } from "../../src/config/addresses.ts";
import { faultsOf, valueFrom } from "./parsing.ts";

describe("clamdAddresses", () => {
  test("reads every form", () => {
    const known: readonly (readonly [string, ClamdAddress])[] = [
      ["tcp://localhost:3310", { kind: "tcp", host: "localhost", port: 3310 }],
      ["tcp://10.0.0.7:3310", { kind: "tcp", host: "10.0.0.7", port: 3310 }],
      ["tcp://[fd00::7]:3310", { kind: "tcp", host: "fd00::7", port: 3310 }],
      ["clamd:3311", { kind: "tcp", host: "clamd", port: 3311 }],
      ["[::1]:3310", { kind: "tcp", host: "::1", port: 3310 }],
      ["3310", { kind: "tcp", host: "127.0.0.1", port: 3310 }],
      ["unix:///run/clamav/clamd.ctl", { kind: "unix", path: "/run/clamav/clamd.ctl" }],
      ["/run/clamav/clamd.ctl", { kind: "unix", path: "/run/clamav/clamd.ctl" }],
      ["/run/a:3310", { kind: "unix", path: "/run/a:3310" }],
    ];
    for (const [text, address] of known) assert.deepEqual(valueFrom(clamdAddresses(), text), [address], text);
  });

  test("reads several in their order", () => {
    assert.deepEqual(valueFrom(clamdAddresses(), "a:1, unix:///b ,"), [
      { kind: "tcp", host: "a", port: 1 },
      { kind: "unix", path: "/b" },
    ]);
  });

  test("refuses every other form", () => {
    for (const text of [
      "clamd",
      "tcp://clamd",
      "tcp://:3310",
      "tcp://clamd:3310/",
      "http://clamd:3310",
      "unix:/a",
      "unix://a",
      "unix://",
      "a/b",
      "::1:3310",
      "0",
      "65536",
      "/a\0b",
    ]) {
      assert.deepEqual(faultsOf(clamdAddresses(), text), [`${text} is not an address of a clamd`]);
    }
  });

  test("tells every wrong address of several", () => {
    assert.deepEqual(faultsOf(clamdAddresses(), "x,a:1,y"), ["x is not an address of a clamd", "y is not an address of a clamd"]);
  });

  test("refuses a list that holds no address: that would be our own clamd by mistake", () => {
    assert.deepEqual(faultsOf(clamdAddresses(), " , "), [" ,  holds no address"]);
  });

  test("refuses an address given twice, however it is written", () => {
    for (const text of ["a:1,tcp://A:1", "/s,unix:///s", "3310,127.0.0.1:3310"]) {
      assert.deepEqual(faultsOf(clamdAddresses(), text), [`${text} names an address twice`]);
    }
  });
});
