import assert from "node:assert/strict";
import { createServer, type Server } from "node:net";
import { describe, test } from "node:test";
import { HttpConnection } from "../../bench/load/http-connection.ts";

/** Answers each request with the next text, in the pieces given. */
async function serve(answers: readonly (readonly string[])[]): Promise<{ readonly server: Server; readonly port: number }> {
  let next = 0;
  const server = createServer(async (socket) => {
    socket.on("error", () => {}); // the connection under test may cut it
    for await (const _ of socket) {
      for (const piece of answers[next] ?? []) {
        socket.write(piece);
        await new Promise(setImmediate);
      }
      next += 1;
      if (next >= answers.length) socket.end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return { server, port: address !== null && typeof address === "object" ? address.port : 0 };
}

const request = [Buffer.from("GET / HTTP/1.1\r\n\r\n")];

describe("HttpConnection", () => {
  test("reads answers however they are cut, one after the other", async () => {
    const { server, port } = await serve([
      ["HTTP/1.1 200 OK\r\nContent-Len", "gth: 5\r\n\r\nhe", "llo"],
      ["HTTP/1.1 406 Not Acceptable\r\ncontent-length: 0\r\n\r\n"],
    ]);
    const connection = await HttpConnection.open("127.0.0.1", port);
    const first = await connection.request(request);
    assert.deepEqual([first.status, first.bodyBytes], [200, 5]);
    const second = await connection.request(request);
    assert.deepEqual([second.status, second.bodyBytes], [406, 0]);
    connection.close();
    server.close();
  });

  for (const [fault, answer] of [
    ["without a length", ["HTTP/1.1 200 OK\r\n\r\n"]],
    ["that is cut short", ["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel"]],
    ["that is longer than it says", ["HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nhel"]],
  ] as const) {
    test(`counts no answer ${fault}`, async () => {
      const { server, port } = await serve([answer]);
      const connection = await HttpConnection.open("127.0.0.1", port);
      await assert.rejects(connection.request(request));
      connection.close();
      server.close();
    });
  }
});
