import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { end, type FakeOrigin, head, keep, ok, redirect, reset, stall, startFakeOrigin } from "../fake/origin.ts";
import { bytesOf, drain, type Given, loopback, recordedUpstream } from "../front/proxy/recorded-upstream.ts";
import { failsWith } from "../front/proxy/refusing.ts";

const at = (origin: FakeOrigin, path = "/") => `http://127.0.0.1:${origin.port}${path}`;
const open = (given: Given = {}) => recordedUpstream({ allowPrivate: loopback, ...given });

describe("fetchUpstream tries again (P25)", () => {
  const flaky = (failures: number, act: () => ReturnType<typeof ok>) => {
    let left = failures;
    return startFakeOrigin(() => {
      left -= 1;
      return left >= 0 ? act() : ok("well");
    });
  };

  for (const [what, act] of [
    ["a reset before the head", () => reset()],
    ["an end before the head", () => end()],
    ["502", () => keep(head(502, "Content-Length: 3"), "bad")],
    ["503", () => keep(head(503, "Content-Length: 3"), "bad")],
    ["504", () => end(head(504), "bad")],
  ] as const) {
    test(`after ${what}, twice`, async () => {
      await using origin = await flaky(2, act);
      await using upstream = open();
      const { status, body } = await upstream.fetch(at(origin));
      assert.deepEqual([status, (await bytesOf(body)).toString(), origin.requests.length], [200, "well", 3]);
    });

    test(`after ${what}, not a third time, and not for HEAD`, async () => {
      await using origin = await flaky(9, act);
      await using upstream = open();
      const outcome = (method: "GET" | "HEAD") =>
        upstream.fetch(at(origin), { method }).then(
          (response) => {
            response.discard();
            return response.status;
          },
          (error) => failsWith("upstream-failed")(error),
        );
      await outcome("GET");
      assert.equal(origin.requests.length, 3);
      await outcome("HEAD");
      assert.equal(origin.requests.length, 4);
    });
  }

  test("after a refused connection, with twice the wait and some chance", async () => {
    const waits: number[] = [];
    const random = () => {
      waits.push(1);
      return 0;
    };
    await using upstream = open({ names: { "h.example": [["1.1.1.1"]] }, random });
    await assert.rejects(upstream.fetch("http://h.example/"), failsWith("upstream-failed"));
    assert.deepEqual([upstream.dialled.length, upstream.asked.length, waits.length], [3, 1, 2]);
  });

  test("not after answers that stay, nor against a Retry-After", async () => {
    await using origin = await startFakeOrigin(({ path }) =>
      keep(head(Number(path.slice(1)), "Content-Length: 0", "Retry-After: 9")),
    );
    await using upstream = open();
    for (const status of [400, 404, 500, 501, 503]) {
      const response = await upstream.fetch(at(origin, `/${status}`));
      assert.equal(await drain(response.body), 0);
      assert.equal(response.status, status);
    }
    assert.equal(origin.requests.length, 5);
  });

  test("no longer than anybody waits", async () => {
    const controller = new AbortController();
    await using origin = await startFakeOrigin(() => reset());
    await using upstream = open({ retryAfterMs: 1_000_000 });
    const fetching = upstream.fetch(at(origin), { signal: controller.signal });
    while (origin.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await origin.idle();
    const reason = new Error("gone");
    controller.abort(reason);
    await assert.rejects(fetching, reason);
  });
});

describe("fetchUpstream follows redirects (P23, S9)", () => {
  for (const status of [301, 302, 303, 307, 308]) {
    test(`${status}, relative to the present address, with the method kept and the fragment dropped`, async () => {
      await using origin = await startFakeOrigin(({ path }) =>
        path === "/a/b?c" ? redirect(status, "../d%2Fe?f=%2B#g") : ok("there"),
      );
      await using upstream = open();
      for (const method of ["GET", "HEAD"] as const) {
        const response = await upstream.fetch(at(origin, "/a/b?c"), { method });
        await drain(response.body);
        assert.deepEqual([response.status, response.redirects.length, response.finalUrl], [200, 1, at(origin, "/d%2Fe?f=%2B")]);
      }
      assert.deepEqual(origin.requests.map(({ method, path }) => `${method} ${path}`).slice(0, 2), [
        "GET /a/b?c",
        "GET /d%2Fe?f=%2B",
      ]);
      assert.equal(origin.requests.at(-1)?.method, "HEAD");
    });
  }

  test("five of them, not six", async () => {
    await using origin = await startFakeOrigin(({ path }) =>
      path === "/0" ? ok("there") : redirect(302, `/${Number(path.slice(1)) - 1}`),
    );
    await using upstream = open();
    const { body, redirects } = await upstream.fetch(at(origin, "/5"));
    assert.deepEqual([(await bytesOf(body)).toString(), redirects.length], ["there", 5]);
    await assert.rejects(upstream.fetch(at(origin, "/6")), failsWith("upstream-failed", "The origin redirects too often"));
  });

  test("not in a circle", async () => {
    await using origin = await startFakeOrigin(({ path }) => redirect(302, path === "/a" ? "/b" : "/a"));
    await using upstream = open();
    await assert.rejects(upstream.fetch(at(origin, "/a")), failsWith("upstream-failed", "The origin redirects in a circle"));
    assert.equal(origin.requests.length, 2);
  });

  for (const location of [
    "http://",
    "file:///etc/passwd",
    "ftp://h.example/",
    "data:,x",
    "http://u:p@127.0.0.1/",
    "http://a b/",
    "/a\tb",
    "//[::1",
  ]) {
    test(`not to ${JSON.stringify(location)} (S2, S23)`, async () => {
      await using origin = await startFakeOrigin(() => redirect(302, location));
      await using upstream = open();
      await assert.rejects(
        upstream.fetch(at(origin, "/a")),
        failsWith("upstream-failed", "The origin redirects to what is no address"),
      );
    });
  }

  test("not to one of two places", async () => {
    await using origin = await startFakeOrigin(() => keep(head(302, "Location: /a", "Location: /b", "Content-Length: 0")));
    await using upstream = open();
    await assert.rejects(upstream.fetch(at(origin)), failsWith("upstream-failed"));
  });

  test("a redirect without Location, 300 and 304 are answers", async () => {
    await using origin = await startFakeOrigin(({ path }) => keep(head(Number(path.slice(1)), "Content-Length: 0")));
    await using upstream = open();
    for (const status of [300, 302, 304]) assert.equal((await upstream.fetch(at(origin, `/${status}`))).status, status);
  });

  test("to where redirects may lead, and not elsewhere: each hop goes through the gate", async () => {
    const origins: string[] = [];
    await using cdn = await startFakeOrigin(() => ok("blob"));
    await using origin = await startFakeOrigin(({ path }) =>
      redirect(302, path === "/cdn" ? `http://cdn.example:${cdn.port}/x` : "http://evil.example/"),
    );
    const names = { "h.example": [["127.0.0.1"]], "cdn.example": [["127.0.0.1"]], "evil.example": [["1.1.1.1"]] } as const;
    origins.push(`http://h.example:${origin.port}`);
    await using upstream = open({ names, origins, redirectOrigins: [`http://cdn.example:${cdn.port}`] });
    const { body } = await upstream.fetch(`http://h.example:${origin.port}/cdn`);
    assert.equal((await bytesOf(body)).toString(), "blob");
    await assert.rejects(upstream.fetch(`http://h.example:${origin.port}/evil`), failsWith("forbidden"));
    assert.deepEqual(upstream.asked, ["h.example", "cdn.example"]);
  });

  test("with credentials as long as the origin is the same, and never again after it was another", async () => {
    const sent = (origin: FakeOrigin) =>
      origin.requests.map(({ path, header }) => [
        path,
        header("authorization"),
        header("cookie"),
        header("x-token"),
        header("accept"),
      ]);
    await using other = await startFakeOrigin(() => redirect(302, `http://127.0.0.1:${origin.port}/back`));
    await using origin = await startFakeOrigin(({ path }) => {
      if (path === "/") return redirect(302, "/same");
      return path === "/same" ? redirect(302, at(other, "/away")) : ok("");
    });
    await using upstream = open({
      headers: { forwardAuthorization: true, forwardHeaders: ["Cookie", "X-Token"], gatewayId: "t" },
    });
    const rawHeaders = ["Authorization", "Basic x", "Cookie", "c", "X-Token", "t", "Accept", "*/*"];
    const { body } = await upstream.fetch(at(origin), { rawHeaders });
    await drain(body);
    assert.deepEqual(sent(origin), [
      ["/", "Basic x", "c", "t", "*/*"],
      ["/same", "Basic x", "c", "t", "*/*"],
      ["/back", undefined, undefined, undefined, "*/*"],
    ]);
    assert.deepEqual(sent(other), [["/away", undefined, undefined, undefined, "*/*"]]);
  });

  test("with a body beside the Location, small, large or endless, of which nothing is handed on", async () => {
    const bodies = { "/small": () => "x".repeat(100), "/large": () => "x".repeat(1_000_000) } as const;
    await using origin = await startFakeOrigin(({ path }) => {
      if (path === "/there") return ok("there");
      if (path === "/stall") return stall(head(302, "Location: /there", "Content-Length: 9"), "x");
      const text = bodies[path as keyof typeof bodies]();
      return keep(head(302, "Location: /there", `Content-Length: ${text.length}`), text);
    });
    await using upstream = open();
    for (const path of ["/small", "/large", "/stall"])
      assert.equal((await bytesOf((await upstream.fetch(at(origin, path))).body)).toString(), "there");
  });
});

describe("fetchUpstream and Via (P29)", () => {
  test("is seen on the way, and in its own request", async () => {
    await using origin = await startFakeOrigin(() => ok(""));
    await using upstream = open();
    await drain((await upstream.fetch(at(origin))).body);
    const via = origin.requests[0]?.header("via");
    assert.equal(via, "1.1 clamgate-test");
    const looping = upstream.fetch(at(origin), { rawHeaders: ["Via", `1.1 nginx, ${via}`] });
    await assert.rejects(looping, failsWith("request-loop"));
    assert.equal(origin.requests.length, 1);
  });
});
