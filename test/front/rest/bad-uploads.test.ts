import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { boundary, clean, type FormFile, form, formType, infected, part, upload } from "./form.ts";
import { exchange, maxBytes, parseAnswer, type RawAnswer, type RestServer, request, startRest } from "./rest-server.ts";

const json = "application/json; charset=utf-8";
const end = `--${boundary}--\r\n`;

async function send(server: RestServer, path: string, ...pieces: readonly (string | Uint8Array)[]): Promise<RawAnswer> {
  return await exchange(server.port, upload(path, Buffer.concat(pieces.map((piece) => Buffer.from(piece as string)))));
}

function statusesOf(answer: RawAnswer): string[] {
  return (JSON.parse(answer.body) as { Status: string }[]).map(({ Status }) => Status);
}

async function servesTheNext(server: RestServer): Promise<void> {
  const answer = await exchange(server.port, upload("/v2/scan", form(clean, infected)));
  assert.equal(answer.status, 406);
  assert.equal(server.fake.held(), 0);
}

describe("a malformed upload (decided in place of rest.md 24)", () => {
  const broken: readonly (readonly [string, readonly (string | Uint8Array)[], readonly string[]])[] = [
    ["an empty body", [], ["ERROR"]],
    ["text without a boundary", ["just text\r\n"], ["ERROR"]],
    ["another boundary than announced", ["--other\r\n\r\nx\r\n--other--\r\n"], ["ERROR"]],
    ["no closing delimiter", [part(clean)], ["ERROR"]],
    ["an end in the middle of a file", [part(clean), part(infected).subarray(0, -9)], ["OK", "ERROR"]],
    ["an end in the middle of a header", [part(clean), part(infected).subarray(0, 30)], ["OK", "ERROR"]],
    ["an end behind a delimiter", [part(clean), `--${boundary}\r\n`], ["OK", "ERROR"]],
    ["an end in the middle of the delimiter", [part(clean), `--${boundary}`], ["ERROR"]],
    ["a header without a colon", [part(clean), `--${boundary}\r\nnonsense\r\n\r\nx\r\n`, end], ["OK", "ERROR"]],
  ];
  for (const [title, pieces, statuses] of broken) {
    test(`with ${title} is 400 as JSON, and the connection is not dropped`, async () => {
      await using server = await startRest();
      const answer = await send(server, "/v2/scan", ...pieces);
      assert.equal(answer.status, 400);
      assert.deepEqual(statusesOf(answer), statuses);
      assert.equal(answer.headers.get("content-type"), json);
      assert.match(answer.body, /"Status":"ERROR","Description":"Malformed multipart body: /);
      await servesTheNext(server);
    });

    test(`with ${title} is 400 in the shape of /scan`, async () => {
      await using server = await startRest();
      const answer = await send(server, "/scan", ...pieces);
      assert.equal(answer.status, 400);
      assert.match(
        answer.body,
        /^({"Status":"OK","Description":""})?{"Status":"ERROR","Description":"Malformed multipart body: [^"]*"}$/,
      );
    });
  }

  test("never says OK of a file that it broke off in, wherever that is", async () => {
    await using server = await startRest();
    const whole = form({ name: "only", content: "clean content of some length" });
    // The last two bytes are a line end that may be missing (RFC 2046 §5.1.1).
    for (let length = 0; length < whole.length - 2; length += 1) {
      const answer = await send(server, "/v2/scan", whole.subarray(0, length));
      assert.equal(answer.status, 400, String(length));
      assert.ok(!statusesOf(answer).includes("OK"), answer.body);
    }
  });

  test("is 406 when a file that came whole before was infected", async () => {
    await using server = await startRest();
    const answer = await send(server, "/v2/scan", part(infected), part(clean).subarray(0, -10));
    assert.equal(answer.status, 406);
    assert.deepEqual(statusesOf(answer), ["FOUND", "ERROR"]);
  });

  test("is 400 with a boundary that nothing can be found by", async () => {
    await using server = await startRest();
    const answer = await exchange(
      server.port,
      upload("/v2/scan", form(clean), { "content-type": 'multipart/form-data; boundary="a\tb"' }),
    );
    assert.equal(answer.status, 400);
  });
});

describe("an upload of many parts", () => {
  test("is answered with all of 10,000 results, whatever is among them", { timeout: 60_000 }, async () => {
    await using server = await startRest();
    const files: FormFile[] = Array.from({ length: 9_999 }, (_, index) => ({ name: `${index}`, content: "x" }));
    const answer = await exchange(server.port, upload("/v2/scan", form(...files, infected)));
    assert.equal(answer.status, 406);
    assert.equal(statusesOf(answer).length, 10_000);
  });

  test("is malformed beyond its number of parts", async () => {
    await using server = await startRest({ front: { maxParts: 3 } });
    const three = await exchange(server.port, upload("/v2/scan", form(clean, clean, clean)));
    assert.equal(three.status, 200);
    const four = await exchange(server.port, upload("/v2/scan", form(clean, clean, clean, infected)));
    assert.deepEqual([four.status, statusesOf(four)], [400, ["OK", "OK", "OK", "ERROR"]]);
  });
});

describe("a hostile file name", () => {
  test("of nearly 4 KiB is answered whole, a longer one is malformed", async () => {
    await using server = await startRest();
    const long = await exchange(server.port, upload("/v2/scan", form({ name: "n".repeat(4_000), content: "x" })));
    assert.equal(long.status, 200);
    assert.equal(JSON.parse(long.body)[0].FileName.length, 4_000);
    const tooLong = await exchange(server.port, upload("/v2/scan", form({ name: "n".repeat(5_000), content: "x" }, infected)));
    assert.equal(tooLong.status, 400);
  });

  for (const [title, name] of [
    ["CR", "a\rb"],
    ["LF", "a\nb"],
    ["NUL", "a\0b"],
  ] as const) {
    test(`with ${title} in it is malformed, never scanned under half its name`, async () => {
      await using server = await startRest();
      const answer = await exchange(server.port, upload("/v2/scan", form({ name, content: "x" })));
      assert.equal(answer.status, 400);
      assert.deepEqual(server.fake.begun, []);
    });
  }

  test("with encoded control characters puts none into the answer", async () => {
    await using server = await startRest();
    const body = `--${boundary}\r\nContent-Disposition: form-data; filename*=UTF-8''a%0d%0a%00b\r\n\r\nx\r\n${end}`;
    const answer = await send(server, "/v2/scan", body);
    assert.equal(answer.status, 200);
    for (const byte of Buffer.from(answer.body)) assert.ok(byte >= 0x20);
  });
});

describe("a file that is too large", () => {
  const oversize = { name: "big", content: Buffer.alloc(maxBytes * 200, "x") };

  test("gets its 413 read by a client that sends 20 MB first (rest.md 25)", async () => {
    await using server = await startRest();
    const answer = await exchange(server.port, upload("/v2/scan", form(oversize, infected)));
    assert.deepEqual([answer.status, statusesOf(answer)], [406, ["PARSE ERROR", "FOUND"]]);
    assert.equal((await exchange(server.port, upload("/v2/scan", form(oversize)))).status, 413);
  });

  test("gets its 413 read by fetch", async () => {
    await using server = await startRest();
    for (const path of ["/v2/scan", "/scan", "/scanHandlerBody"]) {
      const body = path === "/scanHandlerBody" ? oversize.content : form(oversize);
      const response = await fetch(server.url + path, { method: "POST", body, headers: { "content-type": formType } });
      assert.equal(response.status, 413, path);
      assert.match(await response.text(), /File size limit exceeded/);
    }
  });

  test("is answered while the client stalls", { timeout: 10_000 }, async () => {
    const linger = { maxMs: 200, idleMs: 100, maxBytes: 1_000_000 };
    await using server = await startRest({ front: { drain: { maxMs: 100, maxBytes: 1e9 }, linger } });
    const head = `POST /v2/scan HTTP/1.1\r\nhost: x\r\ncontent-type: ${formType}\r\ncontent-length: 10000000\r\n\r\n`;
    const answer = await exchange(server.port, head, part(infected), part({ name: "big", content: Buffer.alloc(maxBytes + 1) }));
    assert.deepEqual([answer.status, statusesOf(answer)], [406, ["FOUND", "PARSE ERROR"]]);
    await servesTheNext(server);
  });

  test("is answered while the client sends for ever", { timeout: 20_000 }, async () => {
    const linger = { maxMs: 300, idleMs: 300, maxBytes: 1_000_000 };
    await using server = await startRest({ front: { drain: { maxMs: 10_000, maxBytes: 1_000_000 }, linger } });
    const socket = connect(server.port, "127.0.0.1");
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.on("error", () => {});
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.write(`POST /v2/scan HTTP/1.1\r\nhost: x\r\ncontent-type: ${formType}\r\ntransfer-encoding: chunked\r\n\r\n`);
    const head = part({ name: "endless", content: "" });
    socket.write(`${head.length.toString(16)}\r\n${head}\r\n`);
    const chunk = Buffer.concat([Buffer.from("8000\r\n"), Buffer.alloc(0x8000), Buffer.from("\r\n")]);
    const pump = () => {
      while (!socket.destroyed && socket.write(chunk));
    };
    socket.on("drain", pump);
    pump();
    await closed;
    const answer = parseAnswer(Buffer.concat(chunks));
    assert.deepEqual([answer.status, statusesOf(answer)], [413, ["PARSE ERROR"]]);
    await servesTheNext(server);
  });

  test("keeps its 413 where the upload then breaks", async () => {
    await using server = await startRest();
    const answer = await send(server, "/v2/scan", part({ name: "big", content: Buffer.alloc(maxBytes + 1) }).subarray(0, -2));
    assert.equal(answer.status, 413);
  });
});

describe("a slow client", () => {
  for (const path of ["/v2/scan", "/scan", "/scanHandlerBody"]) {
    test(`is told so on ${path}, and what was found before stands`, { timeout: 10_000 }, async () => {
      const linger = { maxMs: 100, idleMs: 50, maxBytes: 1000 };
      await using server = await startRest({ front: { upload: { idleTimeoutMs: 100, minBytesPerSecond: 0 }, linger } });
      const head = (body: Uint8Array) =>
        `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: ${formType}\r\ncontent-length: ${body.length + 100}\r\n\r\n`;
      const half = part({ name: "half", content: "never ends" });
      const slow = await exchange(server.port, head(half), half);
      assert.equal(slow.status, 408);
      assert.match(slow.body, /{"Status":"ERROR","Description":"The request body came too slowly"/);
      if (path === "/scanHandlerBody") return;
      const found = Buffer.concat([part(infected), half]);
      assert.equal((await exchange(server.port, head(found), found)).status, 406);
      await servesTheNext(server);
    });
  }
});

describe("wrong lengths", () => {
  test("a Content-Length that is too small cuts the form: 400", async () => {
    await using server = await startRest();
    const body = form(clean);
    const answer = await exchange(server.port, upload("/v2/scan", body, { "content-length": String(body.length - 20) }));
    assert.equal(answer.status, 400);
  });

  test("a Content-Length that is too large waits for no verdict: nothing is answered clean", async () => {
    await using server = await startRest();
    const socket = connect(server.port, "127.0.0.1");
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.write(request("POST /scanHandlerBody", { "content-length": "1000" }, "only this"));
    while (server.fake.begun.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.end();
    await closed;
    assert.doesNotMatch(Buffer.concat(chunks).toString(), / 200 /);
    assert.deepEqual(server.fake.calls, []);
    await servesTheNext(server);
  });
});

describe("an early disconnect", () => {
  test("at any point leaves nothing behind, and the next request is served", { timeout: 60_000 }, async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on("unhandledRejection", note);
    await using server = await startRest();
    for (const path of ["/v2/scan", "/scan", "/scanHandlerBody"]) {
      const whole = upload(path, form(clean, { name: "big", content: Buffer.alloc(maxBytes + 1) }, infected));
      const points = [
        1,
        50,
        150,
        200,
        260,
        300,
        350,
        5_000,
        60_000,
        maxBytes + 400,
        whole.length - 100,
        whole.length - 1,
        whole.length,
      ];
      for (const point of points) {
        const socket = connect(server.port, "127.0.0.1");
        socket.on("error", () => {});
        const closed = new Promise((resolve) => socket.on("close", resolve));
        socket.write(whole.subarray(0, point), () => socket.resetAndDestroy());
        await closed;
      }
    }
    await servesTheNext(server);
    process.off("unhandledRejection", note);
    assert.deepEqual(unhandled, []);
    assert.deepEqual(
      server.events.filter(({ kind }) => kind === "notice"),
      [],
    );
  });

  test("while the verdict is out ends the wait", async () => {
    const asked = Promise.withResolvers<AbortSignal>();
    await using server = await startRest({
      scan: {
        answer: (call) => {
          if (call.bytes.toString() !== "hang") return { kind: "infected", signatures: ["X"] };
          asked.resolve(call.signal);
          return new Promise(() => {});
        },
      },
    });
    const socket = connect(server.port, "127.0.0.1");
    socket.write(upload("/v2/scan", form({ name: "h", content: "hang" })));
    const signal = await asked.promise;
    const gone = new Promise((resolve) => signal.addEventListener("abort", resolve));
    socket.resetAndDestroy();
    await gone;
    assert.equal(signal.reason.code, "client-gone");
    await servesTheNext(server);
  });
});

describe("a connection", () => {
  test("serves a second request behind an upload that was read to its end", async () => {
    await using server = await startRest();
    const first = upload("/v2/scan", form(clean), { connection: "keep-alive" });
    const socket = connect(server.port, "127.0.0.1");
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.write(Buffer.concat([first, upload("/v2/scan", form(infected))]));
    await new Promise((resolve) => socket.on("close", resolve));
    const statuses = Buffer.concat(chunks)
      .toString()
      .match(/HTTP\/1\.1 \d+/g);
    assert.deepEqual(statuses, ["HTTP/1.1 200", "HTTP/1.1 406"]);
  });

  test("goes on after an early answer whose rest was drained", async () => {
    await using server = await startRest();
    const first = request("POST /nope", { connection: "keep-alive" }, Buffer.alloc(1_000_000));
    const socket = connect(server.port, "127.0.0.1");
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.write(Buffer.concat([first, upload("/v2/scan", form(infected))]));
    await new Promise((resolve) => socket.on("close", resolve));
    const statuses = Buffer.concat(chunks)
      .toString()
      .match(/HTTP\/1\.1 \d+/g);
    assert.deepEqual(statuses, ["HTTP/1.1 404", "HTTP/1.1 406"]);
  });
});
