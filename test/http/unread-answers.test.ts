import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { connect as connectHttp2, constants } from "node:http2";
import { connect, type Server } from "node:net";
import { buffer } from "node:stream/consumers";
import { describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { cutUnreadAnswers } from "../../src/http/connections.ts";
import { type Certificate, plainServer, secureServer } from "../../src/http/listener.ts";
import { makeCertificate } from "../e2e/certificate.ts";
import { listening } from "../listening.ts";
import { scratchDirectory } from "../scratch-directory.ts";

const limits = { headersTimeoutMs: 5_000, keepAliveTimeoutMs: 60_000, maxHeaderBytes: 65_536, maxConnections: 0 };
/** More than the sockets of both ends take. */
const large = Buffer.alloc(32 * 1024 * 1024);
/** More than HTTP/2 lets a sender send ahead. */
const medium = Buffer.alloc(1024 * 1024);

async function listen(patienceMs: number, certificate: Certificate | null = null) {
  const opened = Promise.withResolvers<ServerResponse>();
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    opened.resolve(response);
    if (request.url === "/late") setTimeout(() => response.end("late"), 4 * patienceMs);
    else response.end(request.url === "/large" ? large : request.url === "/medium" ? medium : "small");
  };
  const server = certificate === null ? plainServer(answer, limits) : secureServer(answer, limits, certificate);
  cutUnreadAnswers(server, patienceMs);
  const port = await listening(server);
  return { server, port, first: opened.promise, [Symbol.asyncDispose]: () => close(server) };
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

/** A hang here is a connection that is never cut. */
async function allGone(server: Server): Promise<void> {
  const count = () => new Promise<number>((resolve) => server.getConnections((_error, open) => resolve(open)));
  while ((await count()) > 0) await new Promise(setImmediate);
}

describe("an answer that its client does not take", { timeout: 120_000 }, () => {
  test("ends the connection over HTTP/1.1", async () => {
    await using listening = await listen(100);
    const socket = connect(listening.port, "127.0.0.1").pause();
    socket.on("error", () => {}); // reset
    socket.write("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    await listening.first;
    await allGone(listening.server);
    socket.destroy();
  });

  test("ends the connection over HTTP/1.1, also where it had to wait for the one before it", async () => {
    await using listening = await listen(100);
    const socket = connect(listening.port, "127.0.0.1").pause();
    socket.on("error", () => {}); // reset
    socket.write("GET /late HTTP/1.1\r\nHost: x\r\n\r\nGET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    await listening.first;
    await allGone(listening.server);
    socket.destroy();
  });

  test("ends the connection over TLS", async () => {
    await using directory = await scratchDirectory();
    const { cert, key } = await makeCertificate(directory.path);
    await using listening = await listen(100, { cert: await readFile(cert, "utf8"), key: await readFile(key, "utf8"), ca: null });
    const socket = connectTls({ port: listening.port, host: "127.0.0.1", rejectUnauthorized: false });
    socket.on("error", () => {}); // cut
    await once(socket, "secureConnect");
    socket.pause();
    socket.write("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    await listening.first;
    await allGone(listening.server);
    socket.destroy();
  });

  test("ends its stream over HTTP/2, and no other", async () => {
    await using listening = await listen(200);
    const session = connectHttp2(`http://127.0.0.1:${listening.port}`);
    const unread = session.request({ ":path": "/medium" });
    unread.on("error", () => {}); // reset
    // Not `once`, which an error would make reject.
    await new Promise((resolve) => unread.on("close", resolve));
    assert.equal(unread.rstCode, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    assert.equal((await buffer(session.request({ ":path": "/" }))).toString(), "small");
    session.close();
    await allGone(listening.server);
  });
});

describe("an answer", { timeout: 120_000 }, () => {
  test("that takes longer to come than that is waited for", async () => {
    await using listening = await listen(100);
    const response = await fetch(`http://127.0.0.1:${listening.port}/late`, { headers: { connection: "close" } });
    assert.equal(await response.text(), "late");
  });

  test("that waits for the one before it is waited for", async () => {
    await using listening = await listen(100);
    const socket = connect(listening.port, "127.0.0.1");
    socket.write("GET /late HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert.match((await buffer(socket)).toString("latin1"), /\r\n\r\nlate[\s\S]*\r\n\r\nsmall$/);
  });

  test("that is taken leaves its connection to the next", async () => {
    await using listening = await listen(100);
    const session = connectHttp2(`http://127.0.0.1:${listening.port}`);
    for (const path of ["/medium", "/late", "/medium", "/late", "/"]) {
      assert.ok((await buffer(session.request({ ":path": path }))).length > 0, path);
    }
    session.close();
    await allGone(listening.server);
  });
});
