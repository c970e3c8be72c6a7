import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ok, redirect, startFakeOrigin } from "../../fake/origin.ts";
import { bytesOf, loopback, recordedUpstream } from "./recorded-upstream.ts";
import { failsWith, isRefused } from "./refusing.ts";

const reachable = (error: unknown) => failsWith("upstream-failed", "The origin could not be reached")(error);

describe("what would be dialled", () => {
  test("is every checked address and nothing else, families by turns (S4, S21)", async () => {
    await using upstream = recordedUpstream({
      names: { "h.example": [["1.1.1.1", "1.0.0.1", "2606:4700::1"]] },
      maxRetries: 0,
    });
    await assert.rejects(upstream.fetch("http://h.example/x"), reachable);
    assert.deepEqual(upstream.dialled, ["1.1.1.1:80", "2606:4700::1:80", "1.0.0.1:80"]);
    assert.deepEqual(upstream.asked, ["h.example"]);
  });

  test("is the port of an https address", async () => {
    await using upstream = recordedUpstream({ names: { "h.example": [["1.1.1.1"]] }, maxRetries: 0 });
    await assert.rejects(upstream.fetch("https://h.example/x"), reachable);
    assert.deepEqual(upstream.dialled, ["1.1.1.1:443"]);
  });

  const spellings = [
    "127.1",
    "2130706433",
    "0x7f.1",
    "0177.0.0.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "127.0.0.1.",
  ];
  const inside = [
    "10.0.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "[fd00:ec2::254]",
    "100.64.0.1",
    "0.0.0.0",
    "0",
    "[::]",
    "[fe80::1]",
    "[64:ff9b::7f00:1]",
  ];
  for (const host of [
    ...spellings,
    ...inside,
    "[2002:7f00:1::]",
    "[::7f00:1]",
    "%31%32%37.0.0.1",
    "224.0.0.1",
    "255.255.255.255",
  ]) {
    test(`is nothing for http://${host}/, given or redirected to (S5, S6, S7, S9)`, async () => {
      await using upstream = recordedUpstream({ names: { "h.example": [["127.0.0.1"]] }, allowPrivate: [] });
      await assert.rejects(upstream.fetch(`http://${host}/`), isRefused);
      assert.deepEqual(upstream.dialled, []);
      assert.deepEqual(upstream.asked, []);

      await using origin = await startFakeOrigin(() => redirect(302, `http://${host}/latest/meta-data/`));
      const listed = [`127.0.0.1:${origin.port}`];
      await using following = recordedUpstream({ allowPrivate: listed });
      await assert.rejects(following.fetch(`http://127.0.0.1:${origin.port}/`), isRefused);
      assert.deepEqual(following.dialled, listed);
    });
  }

  test("is nothing for full-width digits in a redirect (S5)", async () => {
    await using origin = await startFakeOrigin(() => redirect(302, Buffer.from("http://１２７.０.０.２/").toString("latin1")));
    await using upstream = recordedUpstream({ allowPrivate: [`127.0.0.1:${origin.port}`] });
    await assert.rejects(upstream.fetch(`http://127.0.0.1:${origin.port}/`), isRefused);
    assert.deepEqual(upstream.dialled, [`127.0.0.1:${origin.port}`]);
  });

  test("is nothing when one of several addresses is forbidden: AAAA public, A loopback (S3, S21)", async () => {
    await using upstream = recordedUpstream({ names: { "h.example": [["2606:4700::1", "127.0.0.1"]] } });
    await assert.rejects(upstream.fetch("http://h.example/"), isRefused);
    assert.deepEqual(upstream.dialled, []);
  });

  test("is the checked address when the name changes its mind at once (S4: rebinding)", async () => {
    await using upstream = recordedUpstream({
      names: { "h.example": [["1.1.1.1"], ["127.0.0.1"]] },
      dnsTtlMs: 0,
      maxRetries: 0,
    });
    await assert.rejects(upstream.fetch("http://h.example/"), reachable);
    assert.deepEqual([upstream.asked, upstream.dialled], [["h.example"], ["1.1.1.1:80"]]);
    await assert.rejects(upstream.fetch("http://h.example/"), isRefused);
    assert.deepEqual(upstream.dialled, ["1.1.1.1:80"]);
  });

  test("is nothing for internal names, which are not even looked up (S8)", async () => {
    await using upstream = recordedUpstream({
      names: { localhost: [["127.0.0.1"]], "metadata.google.internal": [["169.254.169.254"]] },
    });
    for (const host of ["localhost", "metadata.google.internal", "redis", "a.svc.cluster.local"])
      await assert.rejects(upstream.fetch(`http://${host}/`), isRefused);
    assert.deepEqual([upstream.asked, upstream.dialled], [[], []]);
  });

  test("is nothing on ports that are not listed, or at our own endpoints (S2, S11)", async () => {
    const own = [{ host: "127.0.0.1", port: 6379 }];
    await using upstream = recordedUpstream({ names: { "h.example": [["1.1.1.1"]] }, allowPrivate: loopback, ownEndpoints: own });
    await assert.rejects(upstream.fetch("http://h.example:6379/"), isRefused);
    await assert.rejects(upstream.fetch("http://127.0.0.1:6379/"), isRefused);
    assert.deepEqual(upstream.dialled, []);
  });

  test("is the origin itself whatever proxy the environment names (S12)", async () => {
    const names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "NODE_USE_ENV_PROXY"] as const;
    const before = names.map((name) => [name, process.env[name]] as const);
    for (const name of names) process.env[name] = name === "NODE_USE_ENV_PROXY" ? "1" : "http://127.0.0.9:1";
    try {
      await using origin = await startFakeOrigin(() => ok("direct"));
      await using upstream = recordedUpstream({ allowPrivate: loopback });
      const { body } = await upstream.fetch(`http://127.0.0.1:${origin.port}/x`);
      assert.equal((await bytesOf(body)).toString(), "direct");
      assert.equal(origin.requests[0]?.path, "/x");
      assert.deepEqual(upstream.dialled, [`127.0.0.1:${origin.port}`]);
    } finally {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
  });

  test("a name that does not exist and a port that is closed are one answer (S16)", async () => {
    await using origin = await startFakeOrigin(() => ok(""));
    const port = origin.port;
    await origin[Symbol.asyncDispose]();
    await using upstream = recordedUpstream({ allowPrivate: loopback });
    await assert.rejects(upstream.fetch("http://nowhere.example/"), reachable);
    await assert.rejects(upstream.fetch(`http://127.0.0.1:${port}/`), reachable);
  });
});

describe("a listed private origin (S10)", () => {
  for (const [host, bracketed] of [
    ["127.0.0.1", "127.0.0.1"],
    ["::1", "[::1]"],
  ] as const) {
    test(`on ${host} is fetched from, by address and by name, with the URL's Host (S20)`, async () => {
      await using origin = await startFakeOrigin(() => ok("hello"), { host });
      await using upstream = recordedUpstream({
        names: { "devpi.example": [[host]], localhost: [[host]] },
        allowPrivate: [`${bracketed}:${origin.port}`, `localhost:${origin.port}`],
      });
      for (const name of [bracketed, "devpi.example", "localhost"]) {
        const { body, finalUrl } = await upstream.fetch(`http://${name}:${origin.port}/a%2Fb?c=%2B`, {
          rawHeaders: ["Host", "evil"],
        });
        assert.equal((await bytesOf(body)).toString(), "hello");
        assert.equal(finalUrl, `http://${name}:${origin.port}/a%2Fb?c=%2B`);
        assert.equal(origin.requests.at(-1)?.header("host"), `${name}:${origin.port}`);
        assert.equal(origin.requests.at(-1)?.lines.filter((line) => /^host:/i.test(line)).length, 1);
      }
      assert.ok(upstream.dialled.every((dialled) => dialled === `${host}:${origin.port}`));
    });
  }
});

describe("connections that are kept (S13)", () => {
  test("serve the next request to the same origin at the same addresses", async () => {
    await using origin = await startFakeOrigin(() => ok("x"));
    await using upstream = recordedUpstream({ allowPrivate: loopback });
    for (let round = 0; round < 5; round += 1) await bytesOf((await upstream.fetch(`http://127.0.0.1:${origin.port}/`)).body);
    // A connection is free one turn of the loop after its answer, so the second request may have opened another.
    assert.ok(origin.accepted() <= 2, `${origin.accepted()} connections for 5 requests`);
  });

  test("do not serve another name at the same address, nor the same name once its addresses have changed", async () => {
    await using origin = await startFakeOrigin(() => ok("x"));
    await using upstream = recordedUpstream({
      names: { "a.example": [["127.0.0.1"], ["127.0.0.1", "127.0.0.2"]], "b.example": [["127.0.0.1"]] },
      allowPrivate: loopback,
      dnsTtlMs: 0,
    });
    for (const name of ["a.example", "b.example", "a.example"])
      await bytesOf((await upstream.fetch(`http://${name}:${origin.port}/`)).body);
    assert.deepEqual(
      origin.requests.map(({ earlier }) => earlier),
      [0, 0, 0],
    );
  });

  test("do not outlive the address check: a name that now leads inside is refused, kept connection or not", async () => {
    await using origin = await startFakeOrigin(() => ok("x"));
    await using upstream = recordedUpstream({
      names: { "a.example": [["127.0.0.1"], ["10.0.0.1"]] },
      allowPrivate: loopback,
      dnsTtlMs: 0,
    });
    await bytesOf((await upstream.fetch(`http://a.example:${origin.port}/`)).body);
    await assert.rejects(upstream.fetch(`http://a.example:${origin.port}/`), isRefused);
    assert.equal(origin.requests.length, 1);
  });

  test("end with the upstream, and so does what still runs on them", async () => {
    await using origin = await startFakeOrigin(() => ({ kind: "send", pieces: [], after: "stall" }));
    const upstream = recordedUpstream({ allowPrivate: loopback });
    const fetching = upstream.fetch(`http://127.0.0.1:${origin.port}/`);
    while (origin.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await upstream.close();
    await assert.rejects(fetching, failsWith("stopping"));
    await origin.idle();
    await assert.rejects(upstream.fetch(`http://127.0.0.1:${origin.port}/`), failsWith("stopping"));
  });
});
