import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { head, keep, ok } from "../../fake/origin.ts";
import { openProxy, virusMark } from "./proxy-stage.ts";

describe("a range", () => {
  const body = "0123456789";
  const dated = ['ETag: "v1"', "Last-Modified: Tue, 01 Jul 2025 00:00:00 GMT"];

  for (const [range, expected] of [
    ["bytes=0-0", "0"],
    ["bytes=2-5", "2345"],
    ["bytes=5-", "56789"],
    ["bytes=-3", "789"],
    ["bytes=-99", body],
    ["bytes=9-99", "9"],
  ] as const) {
    test(`${range} is cut from the scanned copy, and the origin is asked for the whole (P45)`, async () => {
      await using proxy = await openProxy(() => ok(body, ...dated));
      const answer = await proxy.get("/x", [`Range: ${range}`]);
      assert.equal(answer.status, 206);
      assert.equal(answer.body.toString(), expected);
      const start = body.indexOf(expected);
      assert.equal(answer.header("content-range"), `bytes ${start}-${start + expected.length - 1}/10`);
      assert.equal(answer.header("content-length"), String(expected.length));
      assert.equal(proxy.origin.requests[0]?.header("range"), undefined);
    });
  }

  for (const range of ["bytes=10-", "bytes=99-100", "bytes=-0"]) {
    test(`${range} is 416 with the size`, async () => {
      await using proxy = await openProxy(() => ok(body));
      const answer = await proxy.get("/x", [`Range: ${range}`]);
      assert.equal(answer.status, 416);
      assert.equal(answer.header("content-range"), "bytes */10");
    });
  }

  for (const range of ["bytes=0-1,3-4", "bytes=5-2", "lines=0-1", "bytes=-", "bytes=a-b", "bytes=0-1\r\nRange: bytes=2-3"]) {
    test(`${JSON.stringify(range)} is answered with the whole`, async () => {
      await using proxy = await openProxy(() => ok(body));
      const answer = await proxy.get("/x", [`Range: ${range}`]);
      assert.deepEqual([answer.status, answer.body.toString()], [200, body]);
    });
  }

  test("of a file that is not the one the client has is answered with the whole (If-Range)", async () => {
    await using proxy = await openProxy(() => ok(body, ...dated));
    const statusFor = async (condition: string) => (await proxy.get("/x", ["Range: bytes=0-1", `If-Range: ${condition}`])).status;
    assert.equal(await statusFor('"v1"'), 206);
    assert.equal(await statusFor("Tue, 01 Jul 2025 00:00:00 GMT"), 206);
    assert.equal(await statusFor('"v2"'), 200);
    assert.equal(await statusFor('W/"v1"'), 200);
    assert.equal(await statusFor("Wed, 02 Jul 2025 00:00:00 GMT"), 200);
  });

  test("of an infected file, or of an error, is no part", async () => {
    await using proxy = await openProxy(({ path }) =>
      path === "/virus" ? ok(`0123456789${virusMark}`) : keep(head(404, "Content-Length: 10"), body),
    );
    assert.equal((await proxy.get("/virus", ["Range: bytes=0-1"])).status, 409);
    assert.equal((await proxy.get("/gone", ["Range: bytes=0-1"])).status, 404);
  });
});
