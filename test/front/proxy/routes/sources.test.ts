import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createNameLookup } from "../../../../src/egress/name-lookup.ts";
import { lookupDefaults, upstreamDefaults } from "../../../../src/egress/upstream.ts";
import { parseBase } from "../../../../src/front/proxy/download-address.ts";
import { parseRouteTable } from "../../../../src/front/proxy/routes/routes.ts";
import type { Source } from "../../../../src/front/proxy/routes/sources.ts";
import { createSources, type Sources } from "../../../../src/front/proxy/routes/sources.ts";
import { head, keep, ok, redirect, startFakeOrigin } from "../../../fake/origin.ts";
import { bytesOf, loopbackOnly } from "../recorded-upstream.ts";
import { isRefused } from "../refusing.ts";
import { origins } from "../rules.ts";

function open(routes: readonly object[]): Sources {
  const table = parseRouteTable(JSON.stringify({ routes }));
  assert.ok(table.kind === "routes");
  const clock = () => performance.now();
  return createSources({
    routes: table.routes,
    mode: "trickle",
    upstream: {
      ...upstreamDefaults,
      origins: origins("any"),
      redirectOrigins: [],
      allowPrivate: [],
      ownEndpoints: [],
      localAddresses: () => [],
      headers: { forwardAuthorization: true, forwardHeaders: [], gatewayId: "test" },
      extraCa: null,
      lookup: createNameLookup({ ...lookupDefaults, resolve: () => Promise.reject(new Error("no name is looked up")), clock }),
      connect: loopbackOnly,
      clock,
      random: () => 0.5,
    },
  });
}

async function fetched(source: Source | undefined, url: string, rawHeaders: readonly string[] = []): Promise<string> {
  assert.ok(source !== undefined);
  const { signal } = new AbortController();
  const response = await source.fetch({
    method: "GET",
    target: parseBase(url),
    rawHeaders,
    client: "192.0.2.1",
    signal,
    maxBytes: 1000,
  });
  return (await bytesOf(response.body)).toString();
}

describe("createSources", () => {
  test("gives a route its own private addresses, and nobody else", async () => {
    await using origin = await startFakeOrigin(() => ok("inside"));
    const url = `http://127.0.0.1:${origin.port}/`;
    const sources = open([
      { path: "/a/", origin: url, allowPrivate: [`127.0.0.1:${origin.port}`] },
      { path: "/b/", origin: url },
    ]);
    try {
      const [listed, unlisted] = sources.routes;
      assert.equal(await fetched(listed, url), "inside");
      await assert.rejects(fetched(unlisted, url), isRefused);
      await assert.rejects(fetched(sources.source, url), isRefused);
    } finally {
      await sources.close();
    }
  });

  test("keeps a route to its origin: redirects lead elsewhere only where it says so", async () => {
    await using other = await startFakeOrigin(() => ok("elsewhere"));
    await using origin = await startFakeOrigin(() => redirect(302, `http://127.0.0.1:${other.port}/`));
    const url = `http://127.0.0.1:${origin.port}/`;
    const allowPrivate = ["127.0.0.1:*"];
    const sources = open([
      { path: "/a/", origin: url, allowPrivate },
      { path: "/b/", origin: url, allowPrivate, redirectOrigins: [`http://127.0.0.1:${other.port}`] },
    ]);
    try {
      const [kept, led] = sources.routes;
      await assert.rejects(fetched(kept, url), isRefused);
      await assert.rejects(fetched(kept, `http://127.0.0.1:${other.port}/`), isRefused);
      assert.equal(await fetched(led, url), "elsewhere");
    } finally {
      await sources.close();
    }
  });

  test("sends credentials and further headers on only where the route says so", async () => {
    await using origin = await startFakeOrigin((request) => ok(`${request.header("authorization")} ${request.header("cookie")}`));
    const url = `http://127.0.0.1:${origin.port}/`;
    const allowPrivate = ["127.0.0.1:*"];
    const sources = open([
      { path: "/a/", origin: url, allowPrivate },
      { path: "/b/", origin: url, allowPrivate, forwardAuthorization: true, forwardHeaders: ["Cookie"] },
    ]);
    try {
      const sent = ["Authorization", "a", "Cookie", "c"];
      assert.equal(await fetched(sources.routes[0], url, sent), "undefined undefined");
      assert.equal(await fetched(sources.routes[1], url, sent), "a c");
    } finally {
      await sources.close();
    }
  });

  test("carries what a route lists from a redirect of its own origin to the answer, and nothing else", async () => {
    await using other = await startFakeOrigin(({ path }) =>
      path === "/again"
        ? keep(head(302, "Location: /there", "X-Size: not this origin's", "Content-Length: 0"))
        : ok("there", "X-Repo: of the other", "ETag: there"),
    );
    const elsewhere = `http://127.0.0.1:${other.port}`;
    await using origin = await startFakeOrigin(({ path }) =>
      path === "/old"
        ? keep(head(307, "Location: /new", "X-Repo: 1", "X-Other: a", "Content-Length: 0"))
        : keep(
            head(
              302,
              `Location: ${elsewhere}/again`,
              "X-Repo: 2",
              "X-Linked: b",
              "x-linked: c",
              "ETag: here",
              "Content-Length: 0",
            ),
          ),
    );
    const url = `http://127.0.0.1:${origin.port}/`;
    const allowed = { allowPrivate: ["127.0.0.1:*"], redirectOrigins: [elsewhere] };
    const carryHeaders = ["X-Repo", "X-Linked", "X-Size"];
    const sources = open([{ path: "/a/", origin: url, ...allowed, carryHeaders }]);
    try {
      const { signal } = new AbortController();
      const target = { ...parseBase(url), path: "/old" };
      const response = await sources.routes[0]?.fetch({
        method: "GET",
        client: "192.0.2.1",
        target,
        rawHeaders: [],
        signal,
        maxBytes: 1000,
      });
      assert.ok(response !== undefined);
      assert.equal((await bytesOf(response.body)).toString(), "there");
      const said = ["ETag", "there", "X-Repo", "1", "X-Linked", "b", "x-linked", "c"];
      assert.deepEqual(response.rawHeaders, ["Content-Length", "5", ...said]);
      assert.equal(response.redirects.length, 3);
    } finally {
      await sources.close();
    }
  });

  test("names each source by a name of its own, however alike they are", async () => {
    const origin = "http://h.example/";
    const sources = open([
      { path: "/a/", origin },
      { path: "/b/", origin },
    ]);
    assert.equal(new Set([sources.source, ...sources.routes].map(({ id }) => id)).size, 3);
    await sources.close();
  });

  test("has the mode of the route, of the setting, or strict where the route rewrites", async () => {
    const origin = "http://h.example/";
    const sources = open([
      { path: "/a/", origin },
      { path: "/b/", origin, mode: "verified-stream" },
      { path: "/c/", origin, rewrite: [{ from: "a", to: "b" }] },
    ]);
    assert.deepEqual(
      [sources.source, ...sources.routes].map(({ mode }) => mode),
      ["trickle", "trickle", "verified-stream", "strict"],
    );
    await sources.close();
  });
});
