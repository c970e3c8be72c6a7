import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { resetConnection } from "../../src/http/connections.ts";
import { listening } from "../listening.ts";
import { eventually } from "../process/stage.ts";

const moments: Readonly<Record<string, (reset: () => void) => void>> = {
  "at once": (reset) => reset(),
  "in the next tick": (reset) => process.nextTick(reset),
  "behind a promise": (reset) => void Promise.resolve().then(reset),
  "in the next turn": (reset) => void setImmediate(reset),
};

describe("resetConnection", () => {
  for (const [when, later] of Object.entries(moments)) {
    test(`behind the end of a few bytes, ${when}: no descriptor stays`, async () => {
      await using pair = await connectedPair();
      pair.near.end("a few");
      await resetLater(pair.near, later);
      pair.far.on("error", () => {}); // it may have the whole already, or not
      pair.far.resume().end();
      await once(pair.far, "close");
      await eventually("both sockets are closed", () => sockets() === pair.socketsBefore);
    });

    test(`behind the end of more than the client has read, ${when}: it is reset`, async () => {
      await using pair = await connectedPair();
      const failed = once(pair.far, "error");
      pair.near.end(Buffer.alloc(50_000_000));
      await resetLater(pair.near, later);
      pair.far.resume();
      const [error] = await failed;
      assert.equal((error as NodeJS.ErrnoException).code, "ECONNRESET");
      await eventually("both sockets are closed", () => sockets() === pair.socketsBefore);
    });
  }

  test("of a connection that is gone does nothing", async () => {
    await using pair = await connectedPair();
    pair.near.end();
    pair.near.destroy();
    resetConnection(pair.near);
    await once(pair.near, "close");
  });
});

async function resetLater(socket: Socket, later: (reset: () => void) => void): Promise<void> {
  const closed = once(socket, "close");
  later(() => resetConnection(socket));
  await closed;
}

function sockets(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === "TCPSocketWrap").length;
}

/** Both ends may be half closed; nothing is read. */
async function connectedPair() {
  const socketsBefore = sockets();
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  const port = await listening(server);
  const near = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  const [[far]] = (await Promise.all([once(server, "connection"), once(near, "connect")])) as [[Socket], unknown];
  return {
    near,
    far,
    socketsBefore,
    async [Symbol.asyncDispose]() {
      near.destroy();
      far.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
