import assert from "node:assert/strict";
import { createServer } from "node:http";
import { PassThrough } from "node:stream";
import { describe, test } from "node:test";
import { checkHealth } from "../../../src/app/commands/healthcheck.ts";

async function check(host: string, port: number): Promise<{ readonly code: number; readonly said: string }> {
  const output = new PassThrough().setEncoding("utf8");
  const code = await checkHealth({ HOST: host, PORT: port }, output);
  return { code, said: String(output.read()) };
}

async function onServer(status: number, use: (port: number) => Promise<void>): Promise<void> {
  const server = createServer((request, response) => response.writeHead(status).end(`${request.url}\n`));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  try {
    await use(address !== null && typeof address === "object" ? address.port : 0);
  } finally {
    server.close();
  }
}

describe("checkHealth", () => {
  test("is 0 where the gateway is ready, and 1 where it is not", async () => {
    for (const [status, code] of [
      [200, 0],
      [503, 1],
    ] as const) {
      await onServer(status, async (port) => {
        for (const host of ["127.0.0.1", "0.0.0.0", "::"]) {
          assert.deepEqual(await check(host, port), { code, said: `${status} /readyz\n` });
        }
      });
    }
  });

  test("is 1 where nobody answers", async () => {
    let unused = 0;
    await onServer(200, async (port) => {
      unused = port;
    });
    const { code, said } = await check("127.0.0.1", unused);
    assert.equal(code, 1);
    assert.match(said, new RegExp(`^no answer on port ${unused}: .*ECONNREFUSED`));
  });

  test("asks nobody where PORT is any free port: it cannot know which one that was", async () => {
    const { code, said } = await check("127.0.0.1", 0);
    assert.equal(code, 1);
    assert.match(said, /^PORT: 0 is any free port; .* the port that the gateway listens on\n$/);
  });
});
