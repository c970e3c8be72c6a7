import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AccessDecision, Head } from "../../src/auth/access.ts";
import type { Scope } from "../../src/core/scope.ts";
import { accessFor, entryOf, keyOf } from "./known-clients.ts";

const shop = "7hq2m4xd";
const bearer = (key: string) => ["Authorization", `Bearer ${key}`];
const basic = (password: string) => ["Authorization", `Basic ${Buffer.from(`anybody:${password}`).toString("base64")}`];

function headOf(rawHeaders: readonly string[], rest: Partial<Head> = {}): Head {
  return { rawHeaders, address: () => "192.0.2.1", certificate: () => null, forwardedCertificates: () => [], ...rest };
}

function told(decision: AccessDecision): string {
  const who = decision.client?.id ?? "nobody";
  return decision.kind === "let-in" ? `lets ${who} in` : `${decision.reason}, ${who}`;
}

describe("createAccess with keys", () => {
  const access = accessFor([
    entryOf(shop),
    entryOf("aaaaaaaa", { scopes: ["admin"] }),
    entryOf("bbbbbbbb", { scopes: ["status"] }),
  ]);
  const decide = (lines: readonly string[], scope: Scope = "scan") => told(access.decide(headOf(lines), scope));

  test("takes a key in each of its three places", () => {
    for (const lines of [
      bearer(keyOf(shop)),
      ["X-API-KEY", keyOf(shop)],
      basic(keyOf(shop)),
      ["authorization", `bearer   ${keyOf(shop)}`],
    ]) {
      assert.equal(decide(["Host", "x", ...lines]), `lets ${shop} in`);
    }
  });

  test("asks for one where there is none, or none that is meant for it", () => {
    for (const lines of [
      [],
      ["Authorization", "Digest username=x"],
      ["Authorization", "Bearer"],
      ["Authorization", ""],
      ["X-API-Key", ""],
    ]) {
      assert.equal(decide(lines), "no-credentials, nobody");
    }
  });

  test("knows no key that is wrong in any way", () => {
    const right = keyOf(shop);
    const wrong = [
      right.slice(0, -1),
      `${right}s`,
      `${right.slice(0, -1)}t`,
      right.toUpperCase(),
      keyOf("cccccccc"),
      "cgk_",
      "x",
      ` ${right}x`,
    ];
    for (const key of wrong) assert.equal(decide(bearer(key)), "unknown, nobody", key);
    for (const value of ["Basic !", "Basic eA==", `Basic ${right}`])
      assert.equal(decide(["Authorization", value]), "unknown, nobody");
  });

  test("takes one key that is there twice, and refuses two that differ", () => {
    const [one, other] = [keyOf(shop), keyOf("aaaaaaaa")];
    assert.equal(decide([...bearer(one), "X-API-Key", one]), `lets ${shop} in`);
    for (const lines of [
      [...bearer(one), "X-API-Key", other],
      [...bearer(one), ...bearer(other)],
      [...bearer(one), ...basic("")],
      ["X-API-Key", other, "x-api-key", one],
    ]) {
      assert.equal(decide(lines), "conflict, nobody");
    }
  });

  test("wants the scope, which administrators have", () => {
    assert.equal(decide(bearer(keyOf("bbbbbbbb"))), "scope, bbbbbbbb");
    assert.equal(decide(bearer(keyOf("bbbbbbbb")), "status"), "lets bbbbbbbb in");
    assert.equal(decide(bearer(keyOf("aaaaaaaa")), "scan:path"), "lets aaaaaaaa in");
    assert.equal(decide(bearer(keyOf(shop)), "scan:path"), `scope, ${shop}`);
  });

  test("knows a key until its time, and not from then on", () => {
    const notAfter = "2027-06-01T00:00:00Z";
    const at = (now: number) =>
      accessFor([entryOf(shop, { notAfter })], { now: () => now }).decide(headOf(bearer(keyOf(shop))), "scan");
    assert.equal(told(at(Date.parse(notAfter) - 1)), `lets ${shop} in`);
    assert.equal(told(at(Date.parse(notAfter))), `expired, ${shop}`);
    assert.equal(told(at(Date.parse(notAfter) + 1)), `expired, ${shop}`);
  });

  test("keeps a client to its networks", () => {
    const bound = accessFor([entryOf(shop, { from: ["10.0.0.0/8", "2001:db8::/32"] })]);
    const from = (address: string) => told(bound.decide(headOf(bearer(keyOf(shop)), { address: () => address }), "scan"));
    for (const address of ["10.0.0.1", "10.255.255.255", "::ffff:10.1.2.3", "2001:db8::7"])
      assert.equal(from(address), `lets ${shop} in`);
    for (const address of ["11.0.0.0", "9.255.255.255", "2001:db9::1", "", "unknown"])
      assert.equal(from(address), `network, ${shop}`);
  });

  test("knows nobody by a certificate alone, and no entry without a digest by a key", () => {
    const mixed = accessFor([{ id: shop, name: "shop", san: "shop.example", scopes: ["scan"] }]);
    assert.equal(told(mixed.decide(headOf(bearer(keyOf(shop))), "scan")), "unknown, nobody");
    const asked = headOf([], {
      certificate: () => assert.fail("nobody asks for it"),
      forwardedCertificates: () => assert.fail(),
    });
    assert.equal(told(mixed.decide(asked, "scan")), "no-credentials, nobody");
  });
});
