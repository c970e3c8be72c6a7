import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import type { Verdict } from "../../../src/core/verdict.ts";
import { clean, type FormFile, form, infected, upload } from "./form.ts";
import { exchange, maxBytes, type RawAnswer, type RestServer, request, startRest } from "./rest-server.ts";

const json = "application/json; charset=utf-8";
const text = "text/plain; charset=utf-8";
const oversize = { name: "big", content: Buffer.alloc(maxBytes + 1, "x") };
const nameless = { name: null, content: "a field" };
const cleanEntry = '{"Status":"OK","Description":"","FileName":"clean.txt"}';
const infectedEntry = '{"Status":"FOUND","Description":"Win.Test.EICAR_HDB-1","FileName":"eicar.test"}';
const namelessEntry = '{"Status":"ERROR","Description":"MimePart FileName missing"}';
const oversizeEntry = '{"Status":"PARSE ERROR","Description":"File size limit exceeded","FileName":"big"}';

async function post(server: RestServer, path: string, ...files: readonly FormFile[]): Promise<RawAnswer> {
  return await exchange(server.port, upload(path, form(...files)));
}

describe("POST /v2/scan", () => {
  test("answers a clean file with an array of exact bytes (rest.md 7, 12, 20, 22)", async () => {
    await using server = await startRest();
    const answer = await post(server, "/v2/scan", { name: "test.txt", content: "x" });
    assert.equal(answer.status, 200);
    assert.equal(answer.body, '[{"Status":"OK","Description":"","FileName":"test.txt"}]');
    assert.equal(answer.headers.get("content-type"), json);
  });

  test("answers an infected file with 406 and its signature (rest.md 9, 12)", async () => {
    await using server = await startRest();
    const answer = await post(server, "/v2/scan", infected);
    assert.deepEqual([answer.status, answer.body], [406, `[${infectedEntry}]`]);
  });

  test("tells in whose turn each scan waits, whatever the route and however it is coded", async () => {
    await using server = await startRest({ front: { scanPathRoots: [import.meta.dirname], access: null } });
    await post(server, "/v2/scan", clean, clean);
    const coded = upload("/v2/scan", gzipSync(form(clean)), { "content-encoding": "gzip" });
    for (const path of ["/v2/scan", "/scan", "/scanHandlerBody"]) await exchange(server.port, upload(path, form(clean)));
    await exchange(server.port, coded);
    await exchange(server.port, request(`GET /scanFile?path=${import.meta.filename}`));
    assert.ok(server.fake.calls.length > 6);
    for (const { client } of server.fake.calls) assert.equal(client, "127.0.0.1");
  });

  test("takes multipart/mixed as well (rest.md 16)", async () => {
    await using server = await startRest();
    const mixed = upload("/v2/scan", form(infected), { "content-type": "multipart/mixed; boundary=frontier" });
    assert.equal((await exchange(server.port, mixed)).status, 406);
  });

  test("scans any number of files under any field name, in order (rest.md 17, 26)", async () => {
    await using server = await startRest();
    const files = ["a", "b", "c", "d", "e", "f", "g"].map((name) => ({ name, content: `content of ${name}` }));
    const answer = await post(server, "/v2/scan", ...files);
    assert.deepEqual(
      JSON.parse(answer.body).map(({ FileName }: { FileName: string }) => FileName),
      files.map(({ name }) => name),
    );
    assert.deepEqual(
      server.fake.calls.map(({ bytes }) => bytes.toString()),
      files.map(({ content }) => content),
    );
    assert.equal(server.fake.held(), 0);
  });

  test("answers in order although verdicts come out of order, and waits with the fifth until one is there", async () => {
    const release: ((verdict: Verdict) => void)[] = [];
    const waiting = Promise.withResolvers<void>();
    await using server = await startRest({
      scan: {
        answer: () => {
          const { promise, resolve } = Promise.withResolvers<Verdict>();
          release.push(resolve);
          if (release.length === 4) waiting.resolve();
          return promise;
        },
      },
    });
    const answer = post(server, "/v2/scan", ...["1", "2", "3", "4", "5"].map((name) => ({ name, content: name })));
    await waiting.promise;
    assert.equal(server.fake.begun.length, 4);
    release[3]?.({ kind: "infected", signatures: ["Fourth"] });
    while (release.length < 5) await new Promise((resolve) => setImmediate(resolve));
    for (const resolve of release) resolve({ kind: "clean" });
    const entries = JSON.parse((await answer).body) as { FileName: string; Description: string }[];
    assert.deepEqual(
      entries.map(({ FileName, Description }) => FileName + Description),
      ["1", "2", "3", "4Fourth", "5"],
    );
  });

  test("says 422 for a part without a file name and scans on (rest.md 18)", async () => {
    await using server = await startRest();
    const answer = await post(server, "/v2/scan", nameless, clean);
    assert.deepEqual([answer.status, answer.body], [422, `[${namelessEntry},${cleanEntry}]`]);
    assert.equal(answer.headers.get("content-type"), json);
  });

  test("has no name where Content-Disposition cannot be read (rest.md 19)", async () => {
    await using server = await startRest();
    const body = "--frontier\r\nContent-Disposition: form-data; filename=a b\r\n\r\nx\r\n--frontier--\r\n";
    const answer = await exchange(server.port, upload("/v2/scan", Buffer.from(body)));
    assert.deepEqual([answer.status, answer.body], [422, `[${namelessEntry}]`]);
  });

  const names: readonly (readonly [string, string])[] = [
    ['filename="/clamav/tmp/virus/eicar.test"', "eicar.test"],
    ['filename="C:\\dir\\x.exe"', "C:\\\\dir\\\\x.exe"],
    ["filename*=UTF-8''%e2%82%ac%20rates", "€ rates"],
    ['filename="<a>&b"', "\\u003ca\\u003e\\u0026b"],
  ];
  for (const [parameter, written] of names) {
    test(`names a file by ${parameter} (rest.md 8, 19)`, async () => {
      await using server = await startRest();
      const body = `--frontier\r\nContent-Disposition: form-data; name="f"; ${parameter}\r\n\r\nx\r\n--frontier--\r\n`;
      const answer = await exchange(server.port, upload("/v2/scan", Buffer.from(body)));
      assert.equal(answer.body, `[{"Status":"OK","Description":"","FileName":"${written}"}]`);
    });
  }

  const severities = [
    ["406 before 413", [oversize, infected], 406],
    ["406 before 503", [infected, { name: "e", content: "error:queue-full" }], 406],
    ["406 before 422", [nameless, infected, nameless], 406],
    ["503 before 413", [oversize, { name: "e", content: "error:engine-error" }, clean], 503],
    ["413 before 422", [nameless, oversize], 413],
    ["413 in any order", [oversize, nameless, clean], 413],
    ["422 before 200", [clean, nameless, clean], 422],
    ["406 whether the clean file comes first", [clean, infected], 406],
    ["406 or the infected one", [infected, clean], 406],
  ] as const;
  for (const [title, files, status] of severities) {
    test(`answers several results with the most severe: ${title} (decided in place of rest.md 21)`, async () => {
      await using server = await startRest();
      assert.equal((await post(server, "/v2/scan", ...files)).status, status);
    });
  }

  test("names no JSON while no file has a result (rest.md 23)", async () => {
    await using server = await startRest();
    const onlyNameless = await post(server, "/v2/scan", nameless, nameless);
    assert.deepEqual([onlyNameless.status, onlyNameless.body], [422, `[${namelessEntry},${namelessEntry}]`]);
    assert.equal(onlyNameless.headers.get("content-type"), text);
  });

  test("says 422 for a form without any part (decided in place of rest.md 23)", async () => {
    await using server = await startRest();
    const none = await post(server, "/v2/scan");
    assert.deepEqual([none.status, none.body], [422, '[{"Status":"ERROR","Description":"The form has no file"}]']);
    assert.equal(none.headers.get("content-type"), text);
  });

  test("scans what follows a file that is too large (rest.md 13, 25)", async () => {
    await using server = await startRest();
    const answer = await post(server, "/v2/scan", oversize, clean);
    assert.deepEqual([answer.status, answer.body], [413, `[${oversizeEntry},${cleanEntry}]`]);
  });

  test("takes a file of exactly the limit and none that is a byte longer (rest.md 25)", async () => {
    await using server = await startRest();
    for (const [size, status] of [
      [maxBytes - 1, 200],
      [maxBytes, 200],
      [maxBytes + 1, 413],
    ] as const) {
      assert.equal((await post(server, "/v2/scan", { name: "n", content: Buffer.alloc(size) })).status, status, String(size));
    }
  });

  test("scans quoted-printable and base64 as they came and decoded (in place of rest.md 27)", async () => {
    await using server = await startRest();
    const encoded = { name: "q", content: "virus=3AQuoted", headers: ["Content-Transfer-Encoding: quoted-printable"] };
    const base64 = { name: "b", content: "dmlydXM6WA==", headers: ["Content-Transfer-Encoding: base64"] };
    const answer = await post(server, "/v2/scan", encoded, base64);
    assert.deepEqual(
      JSON.parse(answer.body).map(({ Description }: { Description: string }) => Description),
      ["Quoted", "X"],
    );
    const seen = server.fake.calls.map(({ bytes }) => bytes.toString()).sort();
    assert.deepEqual(seen, ["dmlydXM6WA==", "virus:Quoted", "virus:X", "virus=3AQuoted"]);
  });

  test("scans an empty file (rest.md 30)", async () => {
    await using server = await startRest();
    const answer = await post(server, "/v2/scan", { name: "empty", content: "" });
    assert.deepEqual([answer.status, server.fake.calls.length], [200, 1]);
  });

  test("answers 503 with Retry-After where no verdict was made (decided in place of rest.md 28, 29)", async () => {
    await using server = await startRest();
    const answer = await post(server, "/v2/scan", { name: "a", content: "error:engine-unavailable" });
    assert.equal(answer.status, 503);
    assert.equal(answer.headers.get("retry-after"), "7");
    assert.equal(answer.body, '[{"Status":"ERROR","Description":"Scripted engine-unavailable","FileName":"a"}]');
  });

  for (const [title, type, message] of [
    ["another type", "application/json", "request Content-Type isn't multipart/form-data\n"],
    ["no type at all", null, "request Content-Type isn't multipart/form-data\n"],
    ["a type that is none", "//", "request Content-Type isn't multipart/form-data\n"],
    ["a broken parameter", "multipart/form-data; boundary", "request Content-Type isn't multipart/form-data\n"],
    ["no boundary", "multipart/form-data", "no multipart boundary param in Content-Type\n"],
    ["an empty boundary", 'multipart/form-data; boundary=""', "no multipart boundary param in Content-Type\n"],
  ] as const) {
    test(`answers 400 in plain text to ${title} (rest.md 16)`, async () => {
      await using server = await startRest();
      for (const path of ["/v2/scan", "/scan"]) {
        const headers: Record<string, string> = type === null ? {} : { "content-type": type };
        const answer = await exchange(server.port, request(`POST ${path}`, headers, form(infected)));
        assert.deepEqual([answer.status, answer.body], [400, message]);
        assert.equal(answer.headers.get("content-type"), text);
        assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
      }
      assert.deepEqual(server.fake.begun, []);
    });
  }

  test("tells digest, cache and every signature of a single file in headers, and of none where there are more", async () => {
    await using server = await startRest({ scan: { isCached: true } });
    const one = await post(server, "/v2/scan", { name: "v", content: "virus:First,Second" });
    assert.equal(one.headers.get("x-clamgate-sha256"), createHash("sha256").update("virus:First,Second").digest("hex"));
    assert.equal(one.headers.get("x-clamgate-cache"), "hit");
    assert.equal(one.headers.get("x-clamgate-signature"), "First, Second");
    const two = await post(server, "/v2/scan", clean, infected);
    for (const name of two.headers.keys()) assert.doesNotMatch(name, /^x-clamgate/);
  });

  test("answers 406 even to a name that no header may carry", async () => {
    await using server = await startRest({ scan: { answer: () => ({ kind: "infected", signatures: ["Bad\r\nName\u20ac"] }) } });
    const answer = await post(server, "/v2/scan", clean);
    assert.equal(answer.status, 406);
    assert.equal(answer.headers.get("x-clamgate-signature"), "Bad??Name?");
  });

  test("blocks what cannot be looked into under its heuristic's name, and says where the policy lets it pass", async () => {
    await using server = await startRest({ scan: { allowed: ["encrypted"] } });
    const blocked = await post(server, "/v2/scan", {
      name: "u",
      content: "unscannable:limit-size:Heuristics.Limits.Exceeded.MaxFiles",
    });
    assert.equal(blocked.status, 406);
    assert.match(blocked.body, /"FOUND","Description":"Heuristics\.Limits\.Exceeded\.MaxFiles"/);
    const allowed = await post(server, "/v2/scan", { name: "e", content: "unscannable:encrypted" }, clean);
    assert.equal(allowed.status, 200);
    assert.equal(allowed.headers.get("x-clamgate-allowed"), "encrypted");
  });

  test("gives the scan the request's id and the file's name", async () => {
    await using server = await startRest();
    await post(server, "/v2/scan", clean);
    const [call] = server.fake.calls;
    assert.deepEqual([call?.name, call?.via], ["clean.txt", "rest"]);
    assert.ok((call?.requestId ?? "").length > 0);
  });
});

describe("POST /scan", () => {
  test("writes objects without names, one behind the other (rest.md 32)", async () => {
    await using server = await startRest();
    const answer = await post(server, "/scan", clean, infected);
    assert.equal(answer.status, 406);
    assert.equal(answer.body, '{"Status":"OK","Description":""}{"Status":"FOUND","Description":"Win.Test.EICAR_HDB-1"}');
    assert.equal(answer.headers.get("content-type"), json);
  });

  test("says 200 and 406 as /v2/scan does (rest.md 75)", async () => {
    await using server = await startRest();
    assert.equal((await post(server, "/scan", clean)).status, 200);
    assert.equal((await post(server, "/scan", infected)).status, 406);
  });

  test("marks every answer as deprecated, errors too, with the host it was asked by (rest.md 31)", async () => {
    await using server = await startRest();
    const broken = request("POST /scan", { "content-type": "text/plain", host: "localhost:9000" }, "x");
    for (const answer of [await post(server, "/scan", clean), await post(server, "/scan"), await exchange(server.port, broken)]) {
      assert.equal(answer.headers.get("deprecation"), "version=v1");
      assert.match(answer.headers.get("link") ?? "", /^(gateway\.test|localhost):9000\/v2\/scan; rel=successor-version$/);
    }
  });

  test("says 422 for a part without a file name, and for a form without any part (decided in place of rest.md 33)", async () => {
    await using server = await startRest();
    const namelessObject = '{"Status":"ERROR","Description":"MimePart FileName missing"}';
    const mixed = await post(server, "/scan", nameless, clean, nameless);
    assert.deepEqual([mixed.status, mixed.body], [422, `${namelessObject}{"Status":"OK","Description":""}${namelessObject}`]);
    const only = await post(server, "/scan", nameless);
    assert.deepEqual([only.status, only.body, only.headers.get("content-type")], [422, namelessObject, json]);
    const none = await post(server, "/scan");
    assert.deepEqual([none.status, none.body], [422, '{"Status":"ERROR","Description":"The form has no file"}']);
    assert.equal((await post(server, "/scan", nameless, infected)).status, 406);
  });

  test("says 422 for a part whose name cannot be read", async () => {
    await using server = await startRest();
    for (const disposition of [
      "form-data; filename=a b",
      'form-data; name="f"; filename=""',
      'filename="a"',
      "form-data; name=f, filename=a",
    ]) {
      const body = `--frontier\r\nContent-Disposition: ${disposition}\r\n\r\nx\r\n--frontier--\r\n`;
      for (const path of ["/scan", "/v2/scan"]) {
        assert.equal((await exchange(server.port, upload(path, Buffer.from(body)))).status, 422, `${path} ${disposition}`);
      }
    }
    assert.deepEqual(server.fake.begun, []);
  });

  test("tells the listener of each hit, whatever came of it (rest.md 34)", async () => {
    await using server = await startRest();
    await post(server, "/scan", clean);
    await exchange(server.port, request("POST /scan", { "content-type": "text/plain" }, "x"));
    await exchange(server.port, request("GET /scan"));
    const hits = server.events.filter(({ kind }) => kind !== "answered");
    assert.deepEqual(hits, [{ kind: "deprecated-endpoint" }, { kind: "deprecated-endpoint" }]);
  });

  test("writes errors in its own shape", async () => {
    await using server = await startRest();
    const answer = await post(server, "/scan", clean, { name: "e", content: "error:scan-timeout" });
    assert.equal(answer.status, 503);
    assert.equal(answer.body, '{"Status":"OK","Description":""}{"Status":"ERROR","Description":"Scripted scan-timeout"}');
  });
});
