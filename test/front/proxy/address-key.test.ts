import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { addressKeys } from "../../../src/front/proxy/download-address.ts";

const target = { scheme: "https", host: "h.example", port: 443, path: "/x" } as const;
const keysOf = (lines: readonly string[], forwardHeaders: readonly string[] = []) =>
  addressKeys(target, lines, { forwardAuthorization: true, forwardHeaders, gatewayId: "a1" }, []);

describe("addressKeys", () => {
  test("differ by what a setting or a route sends on, and by nothing that is not sent", () => {
    const [plain, cookie] = [keysOf([]), keysOf(["Cookie", "a"])];
    assert.deepEqual(plain, cookie);
    assert.notEqual(keysOf(["Cookie", "a"], ["cookie"]).object, plain.object);
    assert.notEqual(keysOf(["Cookie", "a"], ["cookie"]).request, keysOf(["Cookie", "b"], ["cookie"]).request);
  });

  test("are the same whatever the case and the order of the names", () => {
    assert.deepEqual(keysOf(["Accept", "a", "User-Agent", "b"]), keysOf(["user-agent", "b", "ACCEPT", "a"]));
    assert.notDeepEqual(keysOf(["Accept", "a", "Accept", "b"]), keysOf(["Accept", "b", "Accept", "a"]));
  });

  test("know the object without conditions, and are one where there are none", () => {
    const [plain, conditional] = [keysOf(["User-Agent", "b"]), keysOf(["User-Agent", "b", "If-None-Match", "c"])];
    assert.equal(plain.request, plain.object);
    assert.equal(conditional.object, plain.object);
    assert.notEqual(conditional.request, plain.request);
  });
});
