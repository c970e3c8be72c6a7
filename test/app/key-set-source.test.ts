import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { openKeySetSource } from "../../src/app/key-set-source.ts";
import { end, head, keep, type OriginAct, ok, startFakeOrigin } from "../fake/origin.ts";

const document = { keys: [{ kty: "RSA", kid: "one" }] };

describe("openKeySetSource", () => {
  test("fetches the document, and sends nothing that tells who asks", async () => {
    await using stage = await open(() => ok(JSON.stringify(document)));
    assert.deepEqual(await stage.load(), document);
    const [request] = stage.requests;
    assert.equal(request?.path, "/keys?set=1");
    assert.equal(request?.header("authorization"), undefined);
    assert.equal(request?.header("accept"), "application/jwk-set+json, application/json");
  });

  for (const [name, act] of [
    ["another status", () => keep(head(404, "Content-Length: 2"), "{}")],
    ["a redirect, wherever it leads", () => keep(head(302, "Location: /other", "Content-Length: 0"))],
    ["what is no JSON", () => ok("<html>")],
    ["an answer that breaks off", () => end(head(200, "Content-Length: 100"), "{")],
    ["more than a megabyte", () => ok(JSON.stringify({ keys: ["x".repeat(1024 * 1024)] }))],
  ] as const satisfies readonly (readonly [string, () => OriginAct])[]) {
    test(`rejects for ${name}`, async () => {
      await using stage = await open(act);
      await assert.rejects(stage.load());
      assert.ok(stage.requests.every(({ path }) => path === "/keys?set=1"));
    });
  }

  test("rejects where nobody listens", async () => {
    const stage = await open(() => ok("{}"));
    await stage.closeOrigin();
    await assert.rejects(stage.load());
    await stage[Symbol.asyncDispose]();
  });
});

async function open(act: () => OriginAct) {
  const origin = await startFakeOrigin(act);
  const source = openKeySetSource(`http://127.0.0.1:${origin.port}/keys?set=1`, () => performance.now());
  let isClosed = false;
  async function closeOrigin(): Promise<void> {
    if (!isClosed) await origin[Symbol.asyncDispose]();
    isClosed = true;
  }
  return {
    load: () => source.load(),
    requests: origin.requests,
    closeOrigin,
    async [Symbol.asyncDispose]() {
      await source.close();
      await closeOrigin();
    },
  };
}
