import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { parseReport, parseStatus } from "../../../../client/src/report.ts";
import { errorCodes } from "../../../../src/core/errors.ts";
import { startRest } from "../rest-server.ts";

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const infected = "virus:A.Virus";

interface Told {
  readonly allowed?: boolean;
  readonly code?: string;
  readonly results?: readonly {
    readonly allowed?: boolean;
    readonly name: string | null;
    readonly problem?: { readonly code: string };
  }[];
}
const jsonOf = async (response: Response) => (await response.json()) as Told;

describe("POST /v3/scan", () => {
  test("reports on a body, 200 where it is allowed", async () => {
    await using server = await startRest();
    const response = await fetch(`${server.url}/v3/scan?name=dir/a%20b.txt`, { method: "POST", body: "harmless" });
    assert.equal(response.status, 200);
    const report = parseReport(await response.json());
    assert.equal(report.allowed, true);
    assert.equal(report.allowedBy, "clean");
    assert.equal(report.name, "a b.txt");
    assert.equal(report.size, 8);
    assert.equal(report.sha256, sha256("harmless"));
  });

  for (const [query, name] of [
    ["?name=what?.exe", "what?.exe"],
    ["?other=a?b&name=x.exe", "x.exe"],
    ["?name=a&name=b", null],
    ["?name=", null],
    ["?", null],
  ] as const) {
    test(`takes ${name} for the name of ${query}`, async () => {
      await using server = await startRest();
      const response = await fetch(`${server.url}/v3/scan${query}`, { method: "POST", body: "harmless" });
      assert.equal(((await response.json()) as { readonly name: string | null }).name, name);
    });
  }

  test("answers 406 to what is infected, and to what could not be looked into", async () => {
    await using server = await startRest();
    for (const [body, kind] of [
      [infected, "infected"],
      ["unscannable:encrypted:Heuristics.Encrypted.Zip", "unscannable"],
    ]) {
      const response = await fetch(`${server.url}/v3/scan`, { method: "POST", body: body ?? "" });
      assert.equal(response.status, 406);
      const report = parseReport(await response.json());
      assert.equal(report.allowed, false);
      assert.equal(report.allowedBy, null);
      assert.equal(report.verdict.kind, kind);
      assert.equal(report.name, null);
    }
  });

  test("takes the name from Content-Disposition", async () => {
    await using server = await startRest();
    const headers = { "content-disposition": 'attachment; filename="from header.txt"' };
    const response = await fetch(`${server.url}/v3/scan`, { method: "POST", body: "x", headers });
    assert.equal(parseReport(await response.json()).name, "from header.txt");
  });

  test("reports on each part of a form, and calls it allowed only if all are", async () => {
    await using server = await startRest();
    const form = new FormData();
    form.append("one", new File(["harmless"], "one.txt"));
    form.append("comment", "only text");
    const fine = await fetch(`${server.url}/v3/scan`, { method: "POST", body: form });
    assert.equal(fine.status, 200);
    const answer = await jsonOf(fine);
    assert.equal(answer.allowed, true);
    assert.deepEqual(
      answer.results?.map(({ name }) => name),
      ["one.txt", null],
    );
    form.append("two", new File([infected], "two.txt"));
    const blocked = await fetch(`${server.url}/v3/scan`, { method: "POST", body: form });
    assert.equal(blocked.status, 406);
    const told = await jsonOf(blocked);
    assert.equal(told.allowed, false);
    assert.deepEqual(
      told.results?.map(({ allowed }) => allowed),
      [true, true, false],
    );
  });

  test("scans a field without a file name, for somebody reads it", async () => {
    await using server = await startRest();
    const form = new FormData();
    form.append("file", new File(["harmless"], "one.txt"));
    form.append("comment", infected);
    assert.equal((await fetch(`${server.url}/v3/scan`, { method: "POST", body: form })).status, 406);
  });

  test("answers 422 to a form without a file", async () => {
    await using server = await startRest();
    const form = new FormData();
    form.append("comment", "only text");
    const response = await fetch(`${server.url}/v3/scan`, { method: "POST", body: form });
    assert.equal(response.status, 422);
    assert.equal((await jsonOf(response)).code, "no-file");
  });

  test("answers 413 for a file that is too large, beside the others' reports", async () => {
    await using server = await startRest();
    const form = new FormData();
    form.append("one", new File(["harmless"], "one.txt"));
    form.append("two", new File(["x".repeat(100_001)], "two.txt"));
    const response = await fetch(`${server.url}/v3/scan`, { method: "POST", body: form });
    assert.equal(response.status, 413);
    const { allowed, results = [] } = await jsonOf(response);
    assert.equal(allowed, false);
    assert.equal(results[0]?.allowed, true);
    assert.equal(results[1]?.problem?.code, "too-large");
    const raw = await fetch(`${server.url}/v3/scan`, { method: "POST", body: "x".repeat(100_001) });
    assert.equal(raw.status, 413);
    assert.equal((await jsonOf(raw)).code, "too-large");
  });

  test("answers a problem where there is no verdict, with Retry-After", async () => {
    await using server = await startRest();
    const response = await fetch(`${server.url}/v3/scan`, { method: "POST", body: "error:queue-full" });
    assert.equal(response.status, 503);
    assert.match(response.headers.get("content-type") ?? "", /^application\/problem\+json/);
    assert.equal(response.headers.get("retry-after"), "7");
    const problem = await response.json();
    assert.deepEqual(problem, {
      type: "/problems/queue-full",
      title: "Too many scans are waiting",
      status: 503,
      detail: "Scripted queue-full",
      code: "queue-full",
    });
  });

  test("answers 400 to a form that is cut, or is none", async () => {
    await using server = await startRest();
    for (const [type, body] of [
      ["multipart/form-data", "x"],
      ["multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=f; filename=a\r\n\r\ncut"],
      ["multipart/form-data; boundary=b; boundary=c", "x"],
    ] as const) {
      const response = await fetch(`${server.url}/v3/scan`, {
        method: "POST",
        body,
        headers: { "content-type": type },
      });
      assert.equal(response.status, 400, type);
    }
  });
});

describe("GET /v3/verdicts", () => {
  test("tells what is remembered, 200 or 406, and 404 for what is not", async () => {
    const known = new Map<string, "clean" | "infected">([
      [sha256("a"), "clean"],
      [sha256("b"), "infected"],
    ]);
    await using server = await startRest({
      front: {
        knownVerdict: async (digest: string) => {
          const kind = known.get(digest);
          if (kind === undefined) return null;
          const decision = { isAllowed: kind === "clean", relaxedFor: null };
          const verdict = kind === "clean" ? ({ kind } as const) : ({ kind, signatures: ["A.Virus"] } as const);
          return { verdict, decision };
        },
      },
    });
    const ask = (digest: string) => fetch(`${server.url}/v3/verdicts/${digest}`);
    const clean = await ask(sha256("a").toUpperCase());
    assert.equal(clean.status, 200);
    const report = parseReport(await clean.json());
    assert.deepEqual([report.allowed, report.size, report.cached], [true, null, true]);
    assert.equal((await ask(sha256("b"))).status, 406);
    const unknown = await ask(sha256("c"));
    assert.equal(unknown.status, 404);
    assert.equal((await jsonOf(unknown)).code, "unknown-digest");
    assert.equal((await ask("abc")).status, 400);
  });

  test("answers 503 while there is no engine", async () => {
    await using server = await startRest({ front: { engineVersion: () => null } });
    assert.equal((await fetch(`${server.url}/v3/verdicts/${sha256("a")}`)).status, 503);
  });
});

describe("GET /v3/status", () => {
  test("tells engine, load and warnings", async () => {
    await using server = await startRest({ front: { warnings: () => ["signatures: test signatures only"] } });
    const status = parseStatus(await (await fetch(`${server.url}/v3/status`)).json());
    assert.deepEqual(status.slots, { total: 10, busy: 1 });
    assert.deepEqual(status.warnings, ["signatures: test signatures only"]);
    assert.notEqual(status.engine, null);
  });
});

describe("GET /problems", () => {
  test("has a page for every code that /v3 can answer", async () => {
    await using server = await startRest();
    for (const code of [...errorCodes, "no-file", "unknown-digest"]) {
      const response = await fetch(`${server.url}/problems/${code}`);
      assert.equal(response.status, 200, code);
      assert.match(await response.text(), new RegExp(`\\b${code}\\b`));
    }
    assert.equal((await fetch(`${server.url}/problems/constructor`)).status, 404);
  });
});
