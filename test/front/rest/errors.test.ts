import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ErrorCode, errorCodes } from "../../../src/core/errors.ts";
import { scratchDirectory } from "../../scratch-directory.ts";
import { form, upload } from "./form.ts";
import { exchange, request, startRest } from "./rest-server.ts";

/** What each endpoint answers when the scan fails with a code: written out here, not taken from the code under test. */
const table = {
  "too-large": 413,
  malformed: 400,
  undecodable: 415,
  "client-gone": 400,
  "client-slow": 408,
  forbidden: 403,
  "not-found": 412,
  "source-changed": 503,
  "engine-unavailable": 503,
  "backend-lost": 503,
  "engine-killed": 503,
  "engine-error": 503,
  "scan-timeout": 503,
  "queue-full": 503,
  "queue-timeout": 503,
  "spool-full": 503,
  unrecorded: 503,
  "upstream-failed": 502,
  "upstream-timeout": 504,
  "request-loop": 508,
  stopping: 503,
  internal: 500,
} as const satisfies Record<ErrorCode, number>;

const scripted = (code: ErrorCode) => ({
  status: code === "too-large" ? "PARSE ERROR" : "ERROR",
  description: code === "too-large" ? "File size limit exceeded" : `Scripted ${code}`,
});

describe("an error of the scan", () => {
  for (const code of errorCodes) {
    test(`${code} is ${table[code]} on every endpoint, in its shape, with Retry-After only for 503`, async () => {
      await using scratch = await scratchDirectory({ f: `error:${code}` });
      await using server = await startRest({ front: { scanPathRoots: [scratch.path] } });
      const { status, description } = scripted(code);
      const object = `{"Status":"${status}","Description":"${description}"}`;
      const named = (name: string) => `{"Status":"${status}","Description":"${description}","FileName":"${name}"}`;
      const path = scratch.at("f");
      const noMatch = (more: string) => `{"Status":"PARSE ERROR","Description":"Regex had no matches${more}`;
      const isMissing = code === "not-found";
      const cases = [
        [upload("/v2/scan", form({ name: "f", content: `error:${code}` })), `[${named("f")}]`],
        [upload("/scan", form({ name: "f", content: `error:${code}` })), object],
        [request("POST /scanHandlerBody", {}, `error:${code}`), object],
        [request(`GET /scanFile?path=${path}`), isMissing ? null : named(path)],
        [request(`GET /scanPath?path=${path}`), isMissing ? `[${noMatch('"}')}]` : `[${object}]`],
      ] as const;
      for (const [sent, body] of cases) {
        const answer = await exchange(server.port, sent);
        assert.equal(answer.status, table[code], sent.toString().slice(0, 40));
        if (body !== null) assert.equal(answer.body, body);
        assert.equal(answer.headers.get("retry-after"), table[code] === 503 ? "7" : undefined);
        assert.doesNotMatch(answer.body, /never shown/);
      }
    });
  }

  test("that is none of ours is 500 and tells nothing", async () => {
    await using server = await startRest({
      scan: {
        answer: () => {
          throw new TypeError("secret detail");
        },
      },
    });
    const answer = await exchange(server.port, request("POST /scanHandlerBody", {}, "x"));
    assert.deepEqual([answer.status, answer.body], [500, '{"Status":"ERROR","Description":"Internal error"}']);
  });

  test("of our own making in a route is 500, emitted, and the next request is served", async () => {
    let isBroken = true;
    await using server = await startRest({
      front: {
        poolStats: () => {
          if (isBroken) throw new TypeError("secret detail");
          return { backendsUp: 1, slots: 1, inFlight: 0, queued: 0 };
        },
      },
    });
    const answer = await exchange(server.port, request("GET /"));
    assert.deepEqual([answer.status, answer.body], [500, '{"Status":"ERROR","Description":"Internal error"}']);
    assert.deepEqual(
      server.events.map(({ kind }) => kind),
      ["notice", "answered"],
    );
    isBroken = false;
    assert.equal((await exchange(server.port, request("GET /"))).status, 200);
  });
});
