import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { accessFor, entryOf, keyOf } from "../../auth/known-clients.ts";
import { ok } from "../../fake/origin.ts";
import { openProxy } from "./proxy-stage.ts";

const key = keyOf("mmmmmmmm");
const access = accessFor([entryOf("mmmmmmmm", { scopes: ["mirror"] }), entryOf("ssssssss")]);
const basic = (password: string) => `Authorization: Basic ${Buffer.from(`apt:${password}`).toString("base64")}`;

const openGuarded = () => openProxy(() => ok("hello"), { front: { access } });

describe("the download proxy with keys", () => {
  test("asks no origin for whom it does not know, or who lacks the scope", async () => {
    await using proxy = await openGuarded();
    for (const [lines, status, challenge] of [
      [[], 401, 'Bearer realm="clamgate"'],
      [["Authorization: Bearer of-the-origin"], 401, 'Bearer realm="clamgate"'],
      [[`X-API-Key: ${keyOf("unknown0")}`], 401, 'Bearer realm="clamgate", error="invalid_token"'],
      [[`X-API-Key: ${keyOf("ssssssss")}`], 403, 'Bearer realm="clamgate", error="insufficient_scope", scope="mirror"'],
      [[`X-API-Key: ${key}`, basic(keyOf("ssssssss"))], 400, 'Bearer realm="clamgate", error="invalid_request"'],
    ] as const) {
      const answer = await proxy.get("/a", lines);
      assert.equal(answer.status, status);
      assert.equal(answer.header("www-authenticate"), challenge);
      assert.match(answer.body.toString(), /^\{"detail":"/);
    }
    assert.equal(proxy.origin.requests.length, 0);
    assert.deepEqual(
      proxy.downloads().map(({ who, status }) => [who, status]),
      [
        [null, 401],
        [null, 401],
        [null, 401],
        ["ssssssss", 403],
        [null, 400],
      ],
    );
  });

  test("keeps its key from the origin, and leaves the origin what is the origin's", async () => {
    await using proxy = await openGuarded();
    for (const lines of [
      [`X-API-Key: ${key}`, "Authorization: Bearer of-the-origin"],
      [basic(key)],
      [`Authorization: Bearer ${key}`],
      [`Authorization: Bearer ${key}`, `X-API-Key: ${key}`, `x-api-key: ${key}`],
    ]) {
      assert.equal((await proxy.get("/a", lines)).status, 200);
    }
    assert.deepEqual(
      proxy.origin.requests.map((request) => request.header("authorization") ?? null),
      ["Bearer of-the-origin", null, null, null],
    );
    assert.ok(!JSON.stringify([proxy.origin.requests, proxy.events]).includes(key.slice(13)));
    assert.deepEqual([...new Set(proxy.downloads().map(({ who }) => who))], ["mmmmmmmm"]);
  });
});
