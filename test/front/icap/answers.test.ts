import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { chunked, getHead, okHead, rawIcap, reqmod, respmod } from "./raw-icap.ts";
import { limit, openIcap } from "./stage.ts";

const id = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/;
const closing = "Connection: close\r\n";

describe("OPTIONS", () => {
  test("answers byte for byte what the contract says, on any path, and keeps the connection (1, 2)", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    for (const [uri, fields] of [
      ["icap://h/srv_clamav?allow204=on", ""],
      ["icap://h", "Encapsulated:  null-body=0\r\n"],
    ]) {
      await client.send(`OPTIONS ${uri} ICAP/1.0\r\nHost: h\r\n${fields}\r\n`);
      const { head, status } = await client.answer();
      assert.equal(status, 200);
      assert.equal(
        head.replace(id, "ID"),
        [
          "ICAP/1.0 200 OK",
          "Server: clamgate",
          "Methods: REQMOD, RESPMOD",
          "Service: clamgate antivirus",
          "Service-ID: clamgate",
          'ISTag: "cg1-aaaaaaaaaaaaaaaa-f7c48a12"'.replace(/f7c48a12/, head.match(/-([0-9a-f]{8})"/)?.[1] ?? ""),
          "Options-TTL: 3600",
          "Max-Connections: 1000",
          "Allow: 204",
          "Preview: 4096",
          "Transfer-Preview: *",
          "X-Include: X-Client-IP, X-Authenticated-User",
          "X-Clamgate-Request: ID",
          "Encapsulated: null-body=0",
        ].join("\r\n"),
      );
    }
  });

  test("passes over its body (3)", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    await client.send(`OPTIONS /x ICAP/1.0\r\nEncapsulated: opt-body=0\r\n\r\n${chunked("0123456789")}`);
    assert.equal((await client.answer()).status, 200);
    await client.send(respmod({ fields: "Allow: 204\r\n", body: chunked("clean") }));
    assert.equal((await client.answer()).status, 204);
  });

  test("asks for no preview where none is wanted", async () => {
    await using stage = await openIcap({ preview: null });
    using client = stage.client();
    await client.send("OPTIONS /x ICAP/1.0\r\n\r\n");
    assert.doesNotMatch((await client.answer()).head, /Preview/);
  });

  test("tells by ISTag when the signatures change, and by nothing else (4)", async () => {
    await using stage = await openIcap();
    await using other = await openIcap();
    const tagOf = async (port: number) => {
      using client = rawIcap(port);
      await client.send(`OPTIONS /x ICAP/1.0\r\n${closing}\r\n`);
      return (await client.answer()).field("ISTag");
    };
    const first = await tagOf(stage.port);
    assert.equal(await tagOf(stage.port), first);
    assert.equal(await tagOf(other.port), first, "the same on two gateways");
    assert.match(first, /^"[0-9A-Za-z-]{1,32}"$/);
    stage.setVersion({ engine: "1.4.6", database: 2, databaseTime: null, databaseDate: "", tag: "b".repeat(16) });
    const second = await tagOf(stage.port);
    assert.notEqual(second, first);
    assert.equal(await tagOf(stage.port), second);
    stage.setVersion(null);
    assert.match(await tagOf(stage.port), /^"cg1-none-[0-9a-f]{8}"$/);
  });

  test("is 200 without an engine, but 503 where failures are statuses (21, 22)", async () => {
    await using stage = await openIcap();
    stage.setVersion(null);
    using client = stage.client();
    await client.send("OPTIONS /avscan ICAP/1.0\r\n\r\nOPTIONS /told ICAP/1.0\r\n\r\n");
    assert.equal((await client.answer()).status, 200);
    assert.equal((await client.answer()).status, 503);
    assert.equal(await client.ended(), "fin");
  });
});

describe("a clean message", () => {
  test("is 204 after a preview that was all of it, without 100 (5)", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    await client.send(respmod({ fields: "Preview: 10\r\nAllow: trailers\r\n", body: chunked("0123456789", "0; ieof") }));
    const { status, head } = await client.answer();
    assert.equal(status, 204);
    assert.match(
      head.replace(id, "ID"),
      /^ICAP\/1\.0 204 No Content\r\nServer: clamgate\r\nISTag: "[^"]+"\r\nX-Clamgate-Request: ID$/,
    );
    assert.deepEqual(stage.scans, [Buffer.from("0123456789")]);
  });

  test("is asked for behind its preview, then 204 where that is allowed (6)", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    const head = okHead("Content-Length: 3000");
    await client.send(
      respmod({ fields: "Preview: 1024\r\nAllow: 204, trailers\r\n", responseHead: head, body: chunked("a".repeat(1024)) }),
    );
    assert.equal((await client.answer()).status, 100);
    assert.equal(client.received().toString(), "ICAP/1.0 100 Continue\r\n\r\n");
    await client.send(chunked("b".repeat(1976)));
    assert.equal((await client.answer()).status, 204);
    assert.deepEqual(stage.scans, [Buffer.from("a".repeat(1024) + "b".repeat(1976))]);
  });

  test("is sent back where 204 is not allowed, byte for byte (7, 8, 9)", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    for (const size of [1, 1000, 65_536, 100_000, limit]) {
      const body = Buffer.alloc(size, Buffer.from(Array.from({ length: 251 }, (_, at) => at))).toString("latin1");
      const responseHead = okHead("X-Size: yes");
      await client.send(Buffer.from(respmod({ requestHead: getHead, responseHead, body: chunked(body) }), "latin1"));
      const answer = await client.answer();
      assert.equal(answer.status, 200);
      assert.equal(answer.field("Encapsulated"), `res-hdr=0, res-body=${responseHead.length}`);
      assert.equal(answer.httpHead, responseHead);
      assert.ok(answer.body === body, `${size} bytes come back`);
      assert.doesNotMatch(answer.head, /X-(Virus|Infection|Violations|Block)/);
    }
  });

  test("without a body is 204 without 100, and asks no engine (10, 12)", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    await client.send(reqmod({ fields: "Preview: 0\r\n" }));
    assert.equal((await client.answer()).status, 204);
    await client.send(respmod({ fields: "Preview: 0\r\n", responseHead: "HTTP/1.1 304 Not Modified\r\n\r\n" }));
    assert.equal((await client.answer()).status, 204);
    await client.send(respmod({ fields: "Preview: 0\r\n", body: chunked("", "0; ieof") }));
    assert.equal((await client.answer()).status, 204);
    await client.send(reqmod({}));
    const echo = await client.answer();
    assert.equal(echo.field("Encapsulated"), `req-hdr=0, null-body=${getHead.length}`);
    assert.equal(echo.httpHead, getHead);
    assert.equal(echo.body, null);
    assert.deepEqual(stage.scans, []);
  });

  test("is asked for behind an empty preview (11)", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    await client.send(respmod({ fields: "Preview: 0\r\n", body: "0\r\n\r\n" }));
    assert.equal((await client.answer()).status, 100);
    await client.send(chunked("clean"));
    assert.equal((await client.answer()).body, "clean");
  });

  test("is sent back with its trailers (40), and without a head", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    await client.send(respmod({ responseHead: null, body: "5\r\nclean\r\n0\r\nX-Sum: 1\r\n\r\n" }));
    const answer = await client.answer();
    assert.equal(answer.field("Encapsulated"), "res-body=0");
    assert.equal(answer.body, "clean");
    assert.equal(answer.trailers, "X-Sum: 1\r\n");
  });

  test("is clean whatever a client writes in its heads (31, 32, 33, 34)", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    for (const responseHead of [
      "Content-Length: 5\r\n\r\n",
      "GET /f HTTP/1.1\r\n\r\n",
      okHead("Content-Length: 5", "Content-Length: 5"),
      okHead("Content-Length: 1"),
      null,
    ]) {
      await client.send(respmod({ fields: "Allow: 204\r\n", responseHead, body: chunked("x".repeat(5000)) }));
      assert.equal((await client.answer()).status, 204);
    }
    const upper = respmod({ fields: "ALLOW:204\r\n", body: chunked("x") }).replace("Host: 127.0.0.1", "Host:x");
    await client.send(upper.replace(/Encapsulated: (\S+), /, "ENCAPSULATED: $1 ").replace("res-hdr", "RES-HDR"));
    assert.equal((await client.answer()).status, 204);
    await client.send(upper.replace("Host:x\r\n", ""));
    assert.equal((await client.answer()).status, 204);
  });
});

describe("an infected message", () => {
  const name = "Win.Test-1";

  test("is a 403 within a 200, said in every tongue (13, 15)", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    await client.send(respmod({ fields: "Allow: 204\r\n", body: chunked(`virus:${name}`) }));
    const answer = await client.answer();
    const page = answer.body ?? "";
    assert.equal(
      answer.head.replace(id, "ID").replace(/"cg1-[^"]+"/, "TAG"),
      [
        "ICAP/1.0 200 OK",
        "Server: clamgate",
        "ISTag: TAG",
        `X-Infection-Found: Type=0; Resolution=2; Threat=${name};`,
        `X-Virus-ID: ${name}`,
        `X-Virus-Name: ${name}`,
        "X-Violations-Found: 1",
        "\t-",
        `\t${name}`,
        "\t0",
        "\t0",
        "X-Response-Info: Blocked",
        "X-Response-Desc: Infected",
        "X-Clamgate-Request: ID",
        `Encapsulated: res-hdr=0, res-body=${answer.httpHead?.length}`,
      ].join("\r\n"),
    );
    assert.equal(
      answer.httpHead,
      [
        "HTTP/1.1 403 Forbidden",
        "Content-Type: text/html; charset=utf-8",
        `Content-Length: ${page.length}`,
        "Cache-Control: no-store",
        `X-Infection-Found: Type=0; Resolution=2; Threat=${name};`,
        `X-Virus-ID: ${name}`,
        "",
        "",
      ].join("\r\n"),
    );
    assert.ok(page.includes(name) && page.includes(answer.field("X-Clamgate-Request")));
    assert.ok(!page.includes("virus:"), "nothing of the body");
    // ownCloud reads lines until one that begins with Encapsulated, and looks for its header before.
    const lines = client.received().toString("latin1").split("\r\n");
    const before = lines.slice(
      0,
      lines.findIndex((line) => line.startsWith("Encapsulated")),
    );
    assert.ok(before.some((line) => line.startsWith("X-Infection-Found: ")));
  });

  test("is the same in REQMOD (14)", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    const requestHead = "POST http://o/ HTTP/1.1\r\nHost: o\r\nContent-Length: 7\r\n\r\n";
    await client.send(reqmod({ fields: "Preview: 7\r\n", requestHead, body: chunked("virus:x", "0; ieof") }));
    const answer = await client.answer();
    assert.match(answer.httpHead ?? "", /^HTTP\/1\.1 403 /);
    assert.match(answer.field("Encapsulated"), /^res-hdr=0, res-body=/);
  });

  test("is named so that no name breaks a header or a page (16)", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    await client.send(Buffer.from(respmod({ body: chunked("virus:A;B\r\xe9<b>") }), "latin1"));
    const answer = await client.answer();
    assert.equal(answer.field("X-Virus-ID"), "A?B??<b>");
    assert.equal(answer.field("X-Infection-Found"), "Type=0; Resolution=2; Threat=A?B??<b>;");
    assert.ok(!answer.body?.includes("<b>\u00e9") && answer.body?.includes("&#60;b&#62;"));
  });

  test("names the first of several, and all of them in one field (17)", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    await client.send(respmod({ body: chunked("virus:One,Two,Three") }));
    const { head, field } = await client.answer();
    assert.equal(field("X-Virus-ID"), "One");
    assert.match(head, /X-Violations-Found: 3\r\n\t-\r\n\tOne\r\n\t0\r\n\t0\r\n\t-\r\n\tTwo\r\n\t0\r\n\t0\r\n\t-\r\n\tThree\r\n/);
  });
});

describe("an unscannable message", () => {
  test("is blocked as Type 2, or passes where its reason is allowed (18)", async () => {
    await using stage = await openIcap();
    await using lax = await openIcap({ allowed: ["encrypted"] });
    const body = chunked("unscannable:encrypted:Heuristics.Encrypted.Zip");
    using client = stage.client();
    await client.send(respmod({ fields: "Allow: 204\r\n", body }));
    const answer = await client.answer();
    assert.equal(answer.field("X-Infection-Found"), "Type=2; Resolution=2; Threat=Heuristics.Encrypted.Zip;");
    assert.equal(answer.field("X-Response-Desc"), "Unscannable");
    assert.match(answer.httpHead ?? "", /^HTTP\/1\.1 403 /);
    using relaxed = lax.client();
    await relaxed.send(respmod({ fields: "Allow: 204\r\n", body }) + respmod({ body }));
    const allowed = await relaxed.answer();
    assert.equal(allowed.status, 204);
    assert.equal(allowed.field("X-Clamgate-Allowed"), "encrypted");
    const echo = await relaxed.answer();
    assert.equal(echo.body, "unscannable:encrypted:Heuristics.Encrypted.Zip");
    assert.equal(echo.field("X-Clamgate-Allowed"), "encrypted");
  });

  test("is blocked within its preview where it says that it is too large, and nothing more is read (19)", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    const head = (bytes: number) => okHead(`Content-Length: ${bytes}`);
    await client.send(respmod({ fields: "Preview: 4\r\n", responseHead: head(limit + 1), body: chunked("abcd") }));
    const answer = await client.answer();
    assert.equal(answer.status, 200);
    assert.match(answer.field("X-Infection-Found"), /^Type=2; .*TooLarge;$/);
    await client.send(respmod({ fields: "Preview: 4\r\n", responseHead: head(limit), body: chunked("abcd") }));
    assert.equal((await client.answer()).status, 100, "the connection goes on");
  });

  test("is too large from one byte above the limit on, for a client that writes all before it reads (20)", async () => {
    await using stage = await openIcap();
    for (const [size, status] of [
      [limit - 1, 204],
      [limit, 204],
      [limit + 1, 200],
      [limit * 2, 200],
    ] as const) {
      using client = stage.client();
      await client.send(respmod({ fields: `Allow: 204\r\n${closing}`, body: chunked("x".repeat(size)) }));
      const answer = await client.answer();
      assert.equal(answer.status, status, `${size} bytes`);
      if (status === 200) assert.match(answer.field("X-Infection-Found"), /TooLarge/);
      assert.equal(await client.ended(), "fin");
    }
  });

  test("that goes on without end is answered, and its connection reset a second later", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    await client.send(respmod({ body: "7fffffff\r\n" }));
    const filling = (async () => {
      while (!client.socket.destroyed) await client.send(Buffer.alloc(64 * 1024));
    })();
    const answer = await client.answer();
    assert.equal(answer.status, 200);
    assert.match(answer.head, /Connection: close/);
    assert.equal(await client.ended(), "reset");
    await filling;
  });

  test("that is allowed to be too large passes by 204, and stays blocked where it would have to be sent back", async () => {
    await using stage = await openIcap({ allowed: ["too-large"] });
    using client = stage.client();
    const body = chunked("x".repeat(limit + 1));
    await client.send(respmod({ fields: "Allow: 204\r\n", body }));
    const passed = await client.answer();
    assert.equal(passed.status, 204);
    assert.equal(passed.field("X-Clamgate-Allowed"), "too-large");
    await client.send(respmod({ body }));
    assert.match((await client.answer()).field("X-Infection-Found"), /TooLarge/);
    const responseHead = okHead(`Content-Length: ${limit + 1}`);
    await client.send(respmod({ fields: "Preview: 1\r\n", responseHead, body: chunked("x") }));
    assert.equal((await client.answer()).status, 204);
  });
});
