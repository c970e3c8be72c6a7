/** Where there is no verdict, nobody is told clean, and nobody is told infected. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, test } from "node:test";
import { ClamgateError, errorCodes } from "../../../src/core/errors.ts";
import { statusOf } from "../../../src/front/icap/failures.ts";
import { eventually } from "../../process/stage.ts";
import { startQuietClock } from "../../quiet-clock.ts";
import { chunked, okHead, respmod } from "./raw-icap.ts";
import { limit, openIcap } from "./stage.ts";

const codes = [
  "engine-unavailable",
  "backend-lost",
  "engine-error",
  "scan-timeout",
  "queue-full",
  "queue-timeout",
  "engine-killed",
  "internal",
] as const;

describe("a scan without a verdict", () => {
  for (const code of codes) {
    test(`of ${code} ends as the operator has chosen for its path (21, 22, 24, 25)`, async () => {
      await using stage = await openIcap();
      for (const fields of ["Allow: 204\r\n", "", "Preview: 9999\r\n"]) {
        // No two alike: a body that took too long, or killed an engine, is not tried again.
        const body = () => chunked(`error:${code} ${"x".repeat(5000)}${randomUUID()}`, fields.startsWith("P") ? "0; ieof" : "0");
        using client = stage.client();
        await client.send(respmod({ fields, body: body() }));
        assert.equal(await client.ended(), "reset");
        using told = stage.client();
        await told.send(respmod({ service: "told", fields, body: body() }));
        const answer = await told.answer();
        assert.equal(answer.status, code === "internal" ? 500 : 503);
        assert.equal(await told.ended(), "fin");
        using proxy = stage.client();
        await proxy.send(respmod({ service: "proxy", fields, body: body() }));
        const page = await proxy.answer();
        assert.match(page.httpHead ?? "", /^HTTP\/1\.1 503 /);
        assert.ok(page.body?.includes(page.field("X-Clamgate-Request")));
        assert.doesNotMatch(page.head + page.httpHead, /X-(?!Clamgate-Request)/);
        await proxy.send("OPTIONS /proxy ICAP/1.0\r\n\r\n");
        assert.equal((await proxy.answer()).status, 200, "a web proxy keeps its connection");
      }
      const told = stage.icapEvents().filter(({ method }) => method === "RESPMOD");
      assert.deepEqual(
        told.map(({ answer, code: logged }) => [answer, logged]),
        Array.from({ length: 3 }, () => [
          ["reset", code],
          [code === "internal" ? "500" : "503", code],
          ["page", code],
        ]).flat(),
      );
    });
  }

  test("of a full spool is read to its end before its page is sent", async () => {
    await using stage = await openIcap({ spoolMax: 1000 });
    using client = stage.client();
    await client.send(respmod({ body: chunked("x".repeat(100_000)) }));
    assert.equal(await client.ended(), "reset");
    using proxy = stage.client();
    await proxy.send(respmod({ service: "proxy", body: chunked("x".repeat(100_000)) }));
    assert.match((await proxy.answer()).httpHead ?? "", /^HTTP\/1\.1 503 /);
    assert.equal(stage.icapEvents().at(-1)?.code, "spool-full");
  });

  test("resets only when the answer before has been taken (I73)", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    await client.send(respmod({ body: chunked("clean") }) + respmod({ body: chunked("error:backend-lost") }));
    assert.equal((await client.answer()).body, "clean");
    assert.equal(await client.ended(), "reset");
  });

  test("has a status for every code, and none of them is 200 or 204", () => {
    for (const code of errorCodes) assert.ok(statusOf(new ClamgateError(code, "x")) >= 400);
  });
});

describe("a stop", () => {
  test("lets requests end with Connection: close, and idle connections with FIN (53)", async () => {
    await using stage = await openIcap();
    const release = stage.holdScans();
    using idle = stage.client();
    await idle.send("OPTIONS /x ICAP/1.0\r\n\r\n");
    await idle.answer();
    using busy = stage.client();
    await busy.send(respmod({ fields: "Allow: 204\r\n", body: chunked("clean") }));
    await eventually("it is scanned", () => stage.scans.length === 1);
    const drained = stage.server.drain();
    assert.equal(await idle.ended(), "fin");
    release();
    const answer = await busy.answer();
    assert.equal(answer.status, 204);
    assert.match(answer.head, /\r\nConnection: close\r\n/);
    assert.equal(await busy.ended(), "fin");
    await drained;
  });

  test("ends what is left as a failure, never by FIN alone (53, I71)", async () => {
    await using stage = await openIcap();
    const release = stage.holdScans();
    const clients = ["avscan", "told", "proxy"].map((service) => ({ service, client: stage.client() }));
    for (const { service, client } of clients) await client.send(respmod({ service, body: chunked("clean") }));
    using half = stage.client();
    await half.send(respmod({ body: "5\r\ncl" }));
    await eventually("all are scanned", () => stage.scans.length >= 1 && stage.spool.usage().bodies >= 4);
    void stage.server.drain();
    const closed = stage.server.close();
    const [reset, told, proxy] = clients.map(({ client }) => client);
    assert.equal(await reset?.ended(), "reset");
    assert.equal((await told?.answer())?.status, 503);
    assert.match((await proxy?.answer())?.httpHead ?? "", /503/);
    assert.equal(await half.ended(), "reset");
    await closed;
    release();
    assert.deepEqual([...new Set(stage.icapEvents().map(({ code }) => code))], ["stopping"]);
  });
});

describe("limits of connections", () => {
  test("are kept by a reset, and counted (46, 48)", async () => {
    await using stage = await openIcap({ maxConnections: 2 });
    using first = stage.client();
    using second = stage.client();
    for (const client of [first, second]) {
      await client.send("OPTIONS /x ICAP/1.0\r\n\r\n");
      assert.equal((await client.answer()).field("Max-Connections"), "2");
    }
    using third = stage.client();
    assert.equal(await third.ended(), "reset");
    assert.deepEqual(
      stage.events.filter(({ kind }) => kind === "icap-refused").map((event) => event.kind === "icap-refused" && event.reason),
      ["limit"],
    );
    first.socket.destroy();
    await eventually("a place is free", () => stage.server.connections() === 1);
    using fourth = stage.client();
    await fourth.send("OPTIONS /x ICAP/1.0\r\n\r\n");
    assert.equal((await fourth.answer()).status, 200);
  });

  test("let in only whom the operator has listed (48)", async () => {
    const range = (text: string) => ({ network: { text, family: 4 as const }, bits: 32 });
    await using stage = await openIcap({ peers: [range("127.0.0.2")] });
    await using open = await openIcap({ peers: [range("127.0.0.2"), range("127.0.0.1")] });
    using refused = stage.client();
    assert.equal(await refused.ended(), "reset");
    assert.ok(stage.events.some((event) => event.kind === "icap-refused" && event.reason === "peer"));
    using taken = open.client();
    await taken.send("OPTIONS /x ICAP/1.0\r\n\r\n");
    assert.equal((await taken.answer()).status, 200);
  });
});

describe("a connection", () => {
  test("answers requests in their order, also when they come in one segment (37, 44)", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    const clean = respmod({ fields: "Allow: 204\r\n", body: chunked("clean") });
    const infected = respmod({ fields: "Allow: 204\r\n", body: chunked("virus:x") });
    await client.send(`${clean}\r\n${infected}OPTIONS /x ICAP/1.0\r\n\r\n${clean}`);
    const statuses = [];
    for (let turn = 0; turn < 4; turn += 1) statuses.push((await client.answer()).field("X-Virus-ID") || "none");
    assert.deepEqual(statuses, ["none", "x", "none", "none"]);
  });

  for (const value of ["close", "Close", "keep-alive, CLOSE"]) {
    test(`ends by FIN at once where its client says ${value} (45)`, async () => {
      await using stage = await openIcap();
      using client = stage.client();
      await client.send(respmod({ fields: `Connection: ${value}\r\nAllow: 204\r\n`, body: chunked("clean") }));
      const answer = await client.answer();
      const quietMs = startQuietClock();
      assert.match(answer.head, /\r\nConnection: close\r\nX-Clamgate-Request/);
      assert.equal(await client.ended(), "fin");
      assert.ok(quietMs() < 1000);
    });
  }

  test("serves a thousand mixed requests without losing its place (46)", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    for (let turn = 0; turn < 1000; turn += 1) {
      const fields = turn % 3 === 0 ? "Allow: 204\r\n" : "";
      switch (turn % 5) {
        case 0:
          await client.send(respmod({ fields, body: chunked(`virus:V${turn}`) }));
          assert.equal((await client.answer()).field("X-Virus-ID"), `V${turn}`);
          break;
        case 1:
          await client.send(respmod({ fields: `${fields}Preview: 2\r\n`, body: chunked("ab") }));
          assert.equal((await client.answer()).status, 100);
          await client.send(chunked(`${turn}`));
          assert.equal((await client.answer()).body, fields === "" ? `ab${turn}` : null);
          break;
        case 2:
          await client.send(
            respmod({ fields: "Preview: 2\r\n", responseHead: okHead(`Content-Length: ${limit + 1}`), body: chunked("ab") }),
          );
          assert.match((await client.answer()).field("X-Virus-ID"), /TooLarge/);
          break;
        case 3:
          await client.send(respmod({ fields, body: chunked(`clean ${turn}`) }));
          assert.equal((await client.answer()).body, fields === "" ? `clean ${turn}` : null);
          break;
        default:
          await client.send("\r\nOPTIONS /x ICAP/1.0\r\n\r\n");
          assert.equal((await client.answer()).status, 200);
      }
    }
    assert.equal(stage.icapEvents().length, 1000);
  });

  test("asks for one scan of the same body from fifty clients at once (55)", async () => {
    await using stage = await openIcap();
    const release = stage.holdScans();
    const clients = Array.from({ length: 50 }, () => stage.client());
    for (const client of clients) await client.send(respmod({ fields: "Allow: 204\r\n", body: chunked("the same") }));
    await eventually("all have come", () => stage.spool.usage().bodies >= 50);
    release();
    for (const client of clients) assert.equal((await client.answer()).status, 204);
    assert.equal(stage.scans.length, 1);
  });

  test("tells the log nothing that is secret (58)", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    const requestHead =
      "GET http://user:hunter2@o.example/p/f?token=hunter2#hunter2 HTTP/1.1\r\nHost: o\r\nCookie: hunter2\r\nAuthorization: hunter2\r\n\r\n";
    const fields =
      "Proxy-Authorization: hunter2\r\nX-Client-IP: 10.1.2.3\r\nX-Authenticated-User: TERBUDovL3VzZXI=\r\nAllow: 204\r\n";
    for (const body of ["clean", "virus:x", "error:engine-error"])
      await client.send(respmod({ fields, requestHead, body: chunked(body) }));
    await client.answer();
    await client.answer();
    await client.ended();
    const events = stage.icapEvents();
    assert.deepEqual(
      events.map(({ answer }) => answer),
      ["204", "block", "reset"],
    );
    assert.doesNotMatch(JSON.stringify(stage.events), /hunter2/);
    assert.equal(events[0]?.url, "http://o.example/p/f");
    assert.equal(events[0]?.client, "10.1.2.3");
    assert.equal(events[0]?.user, "LDAP://user");
    assert.equal(events[0]?.previewBytes, null);
  });
});
