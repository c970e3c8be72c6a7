import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { poolName } from "../../../src/app/engine/pool-name.ts";
import { clamdAddresses } from "../../../src/config/addresses.ts";

const base = { cwd: "/", cores: 1, stateDirectory: "/", maxScanTimeMs: 0 };

function nameOf(text: string, here?: string): string {
  const parsed = clamdAddresses().parse(text, base);
  if (parsed.kind === "wrong") throw new Error(`${text} is no address`);
  return poolName(parsed.value, here);
}

describe("poolName", () => {
  test("is the same for the same servers, in whatever order and case", () => {
    const name = nameOf("tcp://clamd-1.example:3310,tcp://10.0.0.2:3310");
    assert.equal(nameOf("10.0.0.2:3310,CLAMD-1.example:3310"), name);
  });

  test("is another one with each other server", () => {
    const pools = ["tcp://a.example:1", "tcp://a.example:2", "tcp://b.example:1", "tcp://a.example:1,tcp://b.example:1"];
    assert.equal(new Set(pools.map((pool) => nameOf(pool))).size, pools.length);
  });

  test("does not depend on the place where everybody means the same servers", () => {
    for (const pool of ["tcp://a.example:1", "tcp://10.0.0.2:3310", "[2001:db8::1]:3310"])
      assert.equal(nameOf(pool, "here"), nameOf(pool, "there"), pool);
  });

  test("is this place's alone where each place has its own: sockets, loopback, names without a dot", () => {
    for (const pool of [
      "/run/clamd.sock",
      "3310",
      "127.0.0.2:3310",
      "[::1]:3310",
      "localhost:3310",
      "clamd:3310",
      "clamd.:3310",
      "a.localhost:1",
    ]) {
      assert.notEqual(nameOf(pool, "here"), nameOf(pool, "there"), pool);
      assert.equal(nameOf(pool), nameOf(pool), pool);
    }
    assert.notEqual(nameOf("10.0.0.2:1,3310", "here"), nameOf("10.0.0.2:1,3310", "there"));
  });
});
