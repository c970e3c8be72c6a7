import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { boundary, form, formType } from "./form.ts";
import { exchange, maxBytes, parseAnswer, request, startRest } from "./rest-server.ts";

const virus = Buffer.from("virus:Coded");
const harmless = Buffer.from("harmless ".repeat(20));
const coders: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  gzip: gzipSync,
  "X-GZIP": gzipSync,
  deflate: deflateSync,
  "deflate,": deflateRawSync,
  br: brotliCompressSync,
  zstd: zstdCompressSync,
  "gzip, identity, br": (bytes) => brotliCompressSync(gzipSync(bytes)),
  "deflate, gzip, zstd": (bytes) => zstdCompressSync(gzipSync(deflateSync(bytes))),
};
const bad: readonly (readonly [string, Buffer, RegExp])[] = [
  ["x-unknown", harmless, /The content coding \\"x-unknown\\" is not known/],
  ["gzip, compress", harmless, /The content coding \\"compress\\" is not known/],
  ["compress, gzip", gzipSync(harmless), /The content coding \\"compress\\" is not known/],
  ["gzip, gzip, gzip, gzip", harmless, /in more content codings than 3/],
  ["gzip", harmless, /its gzip coding is broken or unfinished/],
  ["br", brotliCompressSync(harmless).subarray(0, -1), /its br coding is broken or unfinished/],
  ["gzip", Buffer.concat([gzipSync(harmless), Buffer.alloc(4), gzipSync(virus)]), /left over behind the end of its gzip coding/],
  ["deflate", Buffer.concat([deflateSync(harmless), virus]), /left over behind the end of its deflate coding/],
];

describe("a coded body on /scanHandlerBody", () => {
  const post = (coding: string, body: Buffer, headers: Readonly<Record<string, string>> = {}) =>
    request("POST /scanHandlerBody", { "content-encoding": coding, ...headers }, body);

  for (const [coding, encode] of Object.entries(coders)) {
    test(`in ${coding} is scanned decoded`, async () => {
      await using server = await startRest();
      const infected = await exchange(server.port, post(coding, encode(virus)));
      assert.deepEqual([infected.status, infected.body], [406, "{FOUND Coded  406}"]);
      const clean = await exchange(server.port, post(coding, encode(harmless)));
      assert.deepEqual([clean.status, clean.body], [200, "{OK   200}"]);
      const digest = createHash("sha256").update(encode(harmless)).digest("hex");
      assert.equal(clean.headers.get("x-clamgate-sha256"), digest, "of what came");
      assert.equal(server.fake.held(), 0);
    });
  }

  test("over several lines is decoded in their order", async () => {
    await using server = await startRest();
    const sent = post("gzip\r\nContent-Encoding: br", brotliCompressSync(gzipSync(virus)));
    assert.equal((await exchange(server.port, sent)).body, "{FOUND Coded  406}");
  });

  test("is scanned as it came as well", async () => {
    const coded = gzipSync(harmless);
    await using server = await startRest({
      scan: { answer: ({ bytes }) => (bytes.equals(coded) ? { kind: "infected", signatures: ["Raw"] } : { kind: "clean" }) },
    });
    assert.equal((await exchange(server.port, post("gzip", coded))).body, "{FOUND Raw  406}");
  });

  for (const [coding, body, message] of bad) {
    test(`${coding}, ${message.source.slice(0, 40)}: 415, saying which`, async () => {
      await using server = await startRest();
      const answer = await exchange(server.port, post(coding, body));
      assert.deepEqual([answer.status, answer.reason], [415, "Unsupported Media Type"]);
      assert.match(answer.body, /^\{"Status":"ERROR","Description":"/);
      assert.match(answer.body, message);
      assert.equal(answer.headers.get("content-type"), "application/json; charset=utf-8");
      assert.equal(server.fake.held(), 0);
    });
  }

  test("in an unknown coding is refused by its head alone", async () => {
    await using server = await startRest();
    const socket = connect(server.port, "127.0.0.1");
    socket.write("POST /scanHandlerBody HTTP/1.1\r\nhost: x\r\ncontent-encoding: foo\r\ncontent-length: 9\r\n\r\n");
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      assert.equal(parseAnswer(chunk).status, 415);
      break;
    }
    assert.deepEqual(server.fake.begun, []);
    socket.destroy();
  });

  test("is unscannable where it decodes to more than a body may have", async () => {
    await using server = await startRest();
    assert.equal((await exchange(server.port, post("gzip", gzipSync(Buffer.alloc(maxBytes))))).status, 200);
    // The fake does not know what is said in place of clean; the real scan does (scan-layers.test.ts).
    await exchange(server.port, post("gzip", gzipSync(Buffer.alloc(maxBytes + 1))));
    const last = server.fake.calls.at(-1);
    assert.deepEqual(last?.insteadOfClean, { kind: "unscannable", reason: "limit-size", heuristic: null });
    assert.equal(server.fake.held(), 0);
  });

  test("is empty where it is empty, and plain where identity is its coding", async () => {
    await using server = await startRest();
    assert.equal((await exchange(server.port, post("gzip", Buffer.alloc(0)))).body, "{OK   200}");
    assert.equal((await exchange(server.port, post("identity", virus))).body, "{FOUND Coded  406}");
    assert.equal(server.fake.calls.length, 2);
  });
});

describe("a coded form", () => {
  const post = (path: string, coding: string, body: Buffer) =>
    request(`POST ${path}`, { "content-type": formType, "content-encoding": coding }, body);
  const two = form({ name: "a", content: "fine" }, { name: "b", content: "virus:InForm" });
  const one = form({ name: "a", content: "fine" });

  for (const [coding, encode] of Object.entries(coders)) {
    test(`in ${coding} is answered as the form that it decodes to`, async () => {
      await using server = await startRest();
      const answer = await exchange(server.port, post("/v2/scan", coding, encode(two)));
      assert.equal(answer.status, 406);
      const lines = '{"Status":"OK","Description":"","FileName":"a"},{"Status":"FOUND","Description":"InForm","FileName":"b"}';
      assert.equal(answer.body, `[${lines}]`);
      const old = await exchange(server.port, post("/scan", coding, encode(one)));
      assert.deepEqual([old.status, old.body], [200, '{"Status":"OK","Description":""}']);
      assert.equal(server.fake.held(), 0);
    });
  }

  test("that is infected as it came, or as a whole, is answered with that alone, without a file name", async () => {
    for (const infected of [gzipSync(one), one]) {
      await using server = await startRest({
        scan: {
          answer: ({ bytes }) => (bytes.equals(infected) ? { kind: "infected", signatures: ["Whole"] } : { kind: "clean" }),
        },
      });
      const answer = await exchange(server.port, post("/v2/scan", "gzip", gzipSync(one)));
      assert.deepEqual([answer.status, answer.body], [406, '[{"Status":"FOUND","Description":"Whole"}]']);
    }
  });

  test("that passes for a relaxation says so", async () => {
    await using server = await startRest({
      scan: {
        allowed: ["encrypted"],
        answer: ({ bytes }) =>
          bytes.equals(gzipSync(one)) ? { kind: "unscannable", reason: "encrypted", heuristic: null } : { kind: "clean" },
      },
    });
    const answer = await exchange(server.port, post("/v2/scan", "gzip", gzipSync(one)));
    assert.deepEqual([answer.status, answer.headers.get("x-clamgate-allowed")], [200, "encrypted"]);
    assert.equal(answer.body, '[{"Status":"OK","Description":""},{"Status":"OK","Description":"","FileName":"a"}]');
  });

  for (const path of ["/v2/scan", "/scan"]) {
    for (const [coding, body, message] of bad) {
      test(`${coding}, ${message.source.slice(0, 40)}: 415 on ${path}, in its shape`, async () => {
        await using server = await startRest();
        const answer = await exchange(server.port, post(path, coding, body));
        assert.equal(answer.status, 415);
        assert.match(answer.body, message);
        assert.match(answer.body, path === "/scan" ? /^\{"Status":"ERROR"/ : /^\[\{"Status":"ERROR"/);
      });
    }
  }

  test("that is no whole form when it is decoded is malformed", async () => {
    await using server = await startRest();
    for (const broken of [one.subarray(0, -8), Buffer.alloc(0)]) {
      const answer = await exchange(server.port, post("/v2/scan", "gzip", gzipSync(broken)));
      assert.equal(answer.status, 400);
      assert.equal((await exchange(server.port, post("/v2/scan", "gzip", Buffer.alloc(0)))).status, 400);
    }
  });
});

describe("a part with a transfer coding", () => {
  const eicarLike = "virus:InPart";
  const part = (coding: string, content: string) =>
    form({ name: "x", content, headers: [`Content-Transfer-Encoding: ${coding}`] }, { name: "y", content: "fine" });
  const post = (body: Buffer) => request("POST /v2/scan", { "content-type": formType }, body);

  for (const [coding, content] of [
    ["base64", Buffer.from(eicarLike).toString("base64")],
    ["BASE64", `${Buffer.from(eicarLike).toString("base64")}\r\n`],
    ["quoted-printable", "=76irus:In=\r\nPart"],
    ["binary", eicarLike],
  ] as const) {
    test(`${coding} is scanned as it came and decoded`, async () => {
      await using server = await startRest();
      const answer = await exchange(server.port, post(part(coding, content)));
      assert.equal(answer.status, 406);
      assert.match(answer.body, /^\[\{"Status":"FOUND","Description":"InPart","FileName":"x"\},\{"Status":"OK"/);
      const raw = await exchange(server.port, post(part(coding, eicarLike)));
      assert.equal(raw.status, 406, "the receiver may leave it coded");
      assert.equal(server.fake.held(), 0);
    });
  }

  for (const [coding, content] of [
    ["base64", "Zm9v!"],
    ["base64", "Zm9v\r\nZg"],
    ["quoted-printable", "blank \r\nat the end"],
    ["quoted-printable", "not=hex"],
  ] as const) {
    test(`${coding} that receivers read differently is 400: ${JSON.stringify(content)}`, async () => {
      await using server = await startRest();
      const answer = await exchange(server.port, post(part(coding, content)));
      assert.equal(answer.status, 400);
      assert.match(answer.body, /^\[\{"Status":"ERROR","Description":"Malformed part: a .*"FileName":"x"\},\{"Status":"OK"/);
    });
  }
});

describe("a form on /scanHandlerBody", () => {
  const post = (body: Buffer, type = formType) => request("POST /scanHandlerBody", { "content-type": type }, body);

  test("is scanned as a whole and part by part, files and fields alike, and keeps its answer", async () => {
    await using server = await startRest();
    for (const infected of [
      form({ name: "a", content: "fine" }, { name: "b", content: "virus:InForm" }),
      form({ name: null, content: "virus:InForm" }, { name: "b", content: "fine" }),
      form({
        name: "b",
        content: Buffer.from("virus:InForm").toString("base64"),
        headers: ["Content-Transfer-Encoding: base64"],
      }),
    ]) {
      const answer = await exchange(server.port, post(infected));
      assert.deepEqual([answer.status, answer.body], [406, "{FOUND InForm  406}"]);
      assert.equal(answer.headers.get("x-clamgate-sha256"), createHash("sha256").update(infected).digest("hex"));
    }
    const clean = await exchange(server.port, post(form({ name: "a", content: "fine" }, { name: null, content: "" })));
    assert.deepEqual([clean.status, clean.body, server.fake.held()], [200, "{OK   200}", 0]);
  });

  test("is found by any multipart type, and coded", async () => {
    await using server = await startRest();
    const infected = form({ name: "b", content: "virus:InForm" });
    for (const type of ["mixed", "related", "alternative", "x-own"])
      assert.equal((await exchange(server.port, post(infected, `Multipart/${type}; boundary=${boundary}`))).status, 406, type);
    const coded = request("POST /scanHandlerBody", { "content-type": formType, "content-encoding": "gzip" }, gzipSync(infected));
    assert.equal((await exchange(server.port, coded)).body, "{FOUND InForm  406}");
  });

  test("is 400 where readers could differ about it", async () => {
    await using server = await startRest();
    const whole = form({ name: "b", content: "fine" });
    for (const type of [
      "multipart/form-data",
      "multipart/form-data; boundary=",
      `text/plain; multipart; boundary=${boundary}`,
      `application/x-multipart; boundary=${boundary}`,
      `multipart; boundary=${boundary}`,
      `multipart/form-data, text/plain; boundary=${boundary}`,
      `Multipart/Digest; boundary=${boundary}`,
      `text/plain\r\nContent-Type: ${formType}`,
      "text/plain\r\nContent-Type: text/plain",
    ]) {
      const answer = await exchange(server.port, post(whole, type));
      assert.equal(answer.status, 400, type);
      assert.match(answer.body, /^\{"Status":"ERROR","Description":"/);
    }
    assert.equal((await exchange(server.port, post(whole.subarray(0, -10)))).status, 400, "not whole");
    const inPart = form({ name: "x", content: "Z", headers: ["Content-Transfer-Encoding: base64"] });
    assert.equal((await exchange(server.port, post(inPart))).status, 400, "a coding that cannot be undone");
  });

  test("that is infected is never hidden by what is malformed in it", async () => {
    await using server = await startRest();
    const broken = form({ name: "a", content: "virus:First" }, { name: "b", content: "fine" }).subarray(0, -12);
    assert.equal((await exchange(server.port, post(broken))).body, "{FOUND First  406}");
  });

  test("says what the operator lets pass in a part", async () => {
    await using server = await startRest({ scan: { allowed: ["encrypted"] } });
    const answer = await exchange(server.port, post(form({ name: "a", content: "unscannable:encrypted" })));
    assert.deepEqual([answer.status, answer.headers.get("x-clamgate-allowed")], [200, "encrypted"]);
  });
});
