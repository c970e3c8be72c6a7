import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { connect as connectHttp2, constants } from "node:http2";
import { describe, test } from "node:test";
import { inTurn } from "../../src/http/in-turn.ts";
import { getText, type Listening, listen, openSession, standStill } from "./both-servers.ts";
import { RawClient } from "./exchange.ts";
import { flags, frameOf, frameTypes, headOf, preface, reset, settings, settingsTaken } from "./http2-frames.ts";

const streams = 100;

/** Keeps the paths that were begun, in their order. */
async function open(isSecure: boolean, answer: (response: ServerResponse) => void = (response) => void response.end("x")) {
  const begun: string[] = [];
  const turns = inTurn((request: IncomingMessage, response: ServerResponse) => {
    begun.push(request.url ?? "");
    answer(response);
  });
  const listening = await listen(isSecure, turns.listener);
  return { begun, listening, [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose]() };
}

async function ask(listening: Listening, path: string, times: number): Promise<void> {
  const session = openSession(listening);
  await once(session, "remoteSettings");
  const asked = Array.from({ length: times }, () => session.request({ ":path": path }).resume());
  await Promise.all(asked.map((stream) => once(stream, "end")));
  session.close();
}

describe("requests of HTTP/2", { timeout: 20_000 }, () => {
  for (const isSecure of [false, true]) {
    test(`are all begun, of one session and of several${isSecure ? ", over TLS" : ""}`, async () => {
      await using server = await open(isSecure);
      await Promise.all(["/a", "/b", "/c"].map((path) => ask(server.listening, path, streams)));
      for (const path of ["/a", "/b", "/c"]) assert.equal(server.begun.filter((one) => one === path).length, streams);
    });

    test(`do not wait for all of another session's${isSecure ? ", over TLS" : ""}`, async () => {
      await using server = await open(isSecure, (response) => {
        standStill(2);
        response.end("x");
      });
      const other = openSession(server.listening);
      await once(other, "remoteSettings");
      const flood = ask(server.listening, "/flood", streams);
      while (server.begun.length === 0) await new Promise(setImmediate);
      await getText(other, "/other");
      assert.ok(server.begun.indexOf("/other") < 90, `begun behind ${server.begun.indexOf("/other")} others`);
      other.close();
      await flood;
    });
  }

  test("are not begun when their client has reset them before their turn", async () => {
    await using server = await open(false);
    using client = new RawClient(server.listening.port);
    const pairs = Array.from({ length: streams }, (_, index) => {
      const stream = 2 * index + 1;
      const head = frameOf(frameTypes.headers, flags.endHeaders | flags.endStream, stream, headOf("GET", "/gone"));
      return Buffer.concat([head, reset(stream, constants.NGHTTP2_CANCEL)]);
    });
    await client.send(Buffer.concat([preface, settings(), settingsTaken, ...pairs]));
    await ask(server.listening, "/other", 1);
    const gone = server.begun.filter((path) => path === "/gone").length;
    assert.ok(gone <= 2, `${gone} were begun`);
  });
});

describe("a session of HTTP/2", { timeout: 20_000 }, () => {
  test("whose client resets more than it may have open twice over is ended", async () => {
    await using server = await open(false, () => {});
    const session = connectHttp2(`http://127.0.0.1:${server.listening.port}`);
    session.on("error", () => {}); // it is told why
    const ended = once(session, "goaway");
    for (let index = 0; index < 3 * streams; index += 1) {
      const stream = session.request({ ":path": "/" }).on("error", () => {});
      stream.close(constants.NGHTTP2_CANCEL);
    }
    await ended;
    session.destroy();
  });
});
