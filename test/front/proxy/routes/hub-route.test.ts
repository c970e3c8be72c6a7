import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { createNameLookup } from "../../../../src/egress/name-lookup.ts";
import { lookupDefaults, upstreamDefaults } from "../../../../src/egress/upstream.ts";
import { parseRouteTable } from "../../../../src/front/proxy/routes/routes.ts";
import { createSources } from "../../../../src/front/proxy/routes/sources.ts";
import { head, keep, ok, startFakeOrigin } from "../../../fake/origin.ts";
import { openProxy, virusMark } from "../proxy-stage.ts";
import { loopbackOnly } from "../recorded-upstream.ts";
import { origins } from "../rules.ts";

interface Written {
  readonly origin: string;
  readonly redirectOrigins?: readonly string[];
}

const weights = "0123456789";
const token = "Authorization: Bearer of-the-hub";

/** The shipped route of the Hugging Face hub, with scripted servers on loopback in the place of the hub and its delivery network. */
async function openHub(body: string) {
  const file = new URL("../../../../deploy/routes/routes.json", import.meta.url);
  const { routes } = JSON.parse(await readFile(file, "utf8")) as { routes: readonly Written[] };
  const shipped = routes.find(({ origin }) => origin === "https://huggingface.co/");
  assert.ok(shipped !== undefined);
  const cdn = await startFakeOrigin(({ method }) => {
    const answer = head(200, `Content-Length: ${body.length}`, 'ETag: "of-the-network"', "Content-Type: binary/octet-stream");
    return method === "HEAD" ? keep(answer) : keep(answer, body);
  });
  const elsewhere = `http://127.0.0.1:${cdn.port}`;
  const match = { host: null, path: "/huggingface/" };
  let fetch: ReturnType<typeof createSources>["routes"][number]["fetch"] = () => Promise.reject(new Error("not open"));
  const headers = { forwardAuthorization: true, forwardHeaders: [], gatewayId: "test" };
  const proxy = await openProxy(
    ({ path }) => {
      if (path.startsWith("/api/")) return ok('{"sha":"c0ffee"}', "Content-Type: application/json");
      if (path.startsWith("/old/")) return keep(head(307, `Location: ${path.replace("/old/", "/org/")}`, "Content-Length: 0"));
      const about = ["X-Repo-Commit: c0ffee", 'X-Linked-Etag: "abc123"', `X-Linked-Size: ${body.length}`];
      const past = ["X-Xet-Hash: f00d", `Link: <${elsewhere}/auth>; rel="xet-auth"`];
      const where = [`Location: ${elsewhere}/repos/x?Signature=s`, "Vary: Origin", "Content-Length: 0"];
      return keep(head(302, ...about, ...past, ...where));
    },
    { routes: [{ match, base: "", isCacheOn: true, headers, fetch: (request) => fetch(request) }] },
  );
  const written = { ...shipped, origin: proxy.base, redirectOrigins: [elsewhere], allowPrivate: ["127.0.0.1:*"] };
  const table = parseRouteTable(JSON.stringify({ routes: [written] }));
  assert.ok(table.kind === "routes");
  const clock = () => performance.now();
  const sources = createSources({
    routes: table.routes,
    mode: "strict",
    upstream: {
      ...upstreamDefaults,
      origins: origins("any"),
      redirectOrigins: [],
      allowPrivate: [],
      ownEndpoints: [],
      localAddresses: () => [],
      headers,
      extraCa: null,
      lookup: createNameLookup({ ...lookupDefaults, resolve: () => Promise.reject(new Error("no name is looked up")), clock }),
      connect: loopbackOnly,
      clock,
      random: () => 0.5,
    },
  });
  const [routed] = sources.routes;
  assert.ok(routed !== undefined);
  fetch = routed.fetch;
  return {
    proxy,
    cdn,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await sources.close();
      await cdn[Symbol.asyncDispose]();
    },
  };
}

describe("the shipped route of the Hugging Face hub", () => {
  for (const repository of ["org", "old"]) {
    test(`answers the client's HEAD of a file of ${repository}/model with what the hub knows of it`, async () => {
      await using hub = await openHub(weights);
      const path = `/huggingface/${repository}/model/resolve/main/weights.bin`;
      const answer = await hub.proxy.get(path, ["Accept-Encoding: identity", token], { method: "HEAD" });
      assert.equal(answer.status, 200);
      const events = ["x-repo-commit", "x-linked-etag", "x-linked-size", "content-length"].map((name) => answer.header(name));
      assert.deepEqual(events, ["c0ffee", '"abc123"', "10", "10"]);
      for (const name of ["location", "link", "x-xet-hash"]) assert.equal(answer.header(name), undefined, name);
    });
  }

  test("gives the file, scanned, from the delivery network, which is not told the token", async () => {
    await using hub = await openHub(weights);
    const path = "/huggingface/org/model/resolve/c0ffee/weights.bin";
    const whole = await hub.proxy.get(path, [token]);
    assert.deepEqual([whole.status, whole.body.toString(), whole.header("x-clamgate-verdict")], [200, weights, "clean"]);
    assert.equal(whole.header("x-repo-commit"), "c0ffee");
    const rest = await hub.proxy.get(path, [token, "Range: bytes=4-"]);
    assert.deepEqual([rest.status, rest.body.toString()], [206, weights.slice(4)]);
    assert.ok(hub.proxy.origin.requests.every((request) => request.header("authorization") === "Bearer of-the-hub"));
    assert.ok(hub.cdn.requests.every((request) => request.header("authorization") === undefined));
    assert.equal((await hub.proxy.get("/huggingface/api/models/org/model")).body.toString(), '{"sha":"c0ffee"}');
  });

  test("refuses an infected file", async () => {
    await using hub = await openHub(virusMark);
    const path = "/huggingface/org/model/resolve/main/weights.bin";
    assert.equal((await hub.proxy.get(path, [token])).status, 409);
    assert.equal((await hub.proxy.get(path, [token], { method: "HEAD" })).status, 409);
  });
});
