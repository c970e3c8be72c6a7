/** Engines that are killed, behind a pool: which bodies are blamed for it, and which are not. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type Act, answer, clean, type FakeClamd, type FakeClamdOptions, startFakeClamd } from "../../fake/clamd.ts";
import { openPool } from "../stage.ts";

describe("the blame for an engine's death", () => {
  test("falls on no body where both of two are killed in turn, ten times, and all are clean in the end", async (context) => {
    const scan = async (): Promise<Act> => {
      await delay(20); // so long a scan takes
      return clean;
    };
    const servers = [await killable({ scan }), await killable({ scan })];
    try {
      await using stage = await openPool({ addresses: servers.map(({ address }) => address), backend: { slots: () => 5 } });
      const outcomes: Promise<unknown>[] = [];
      for (let kill = 0; kill < 20; kill += 1) {
        for (let body = 0; body < 10; body += 1) outcomes.push(stage.scan(`${kill} ${body}`).catch((error) => error.code));
        await delay(10); // in the middle of them
        await servers[kill % 2]?.restart();
      }
      const codes = new Set((await Promise.all(outcomes)).filter((code) => typeof code === "string"));
      context.diagnostic(`200 bodies, 20 kills, errors: ${[...codes].join() || "none"}`);
      assert.equal(codes.has("engine-killed"), false);
      await stage.isUp(2);
      for (let kill = 0; kill < 20; kill += 1) assert.equal((await stage.scan(`${kill} 0`)).verdict.kind, "clean");
    } finally {
      await Promise.all(servers.map((server) => server.kill()));
    }
  });

  test("falls on no body where the only one is killed again and again in the middle of its scan", async () => {
    const server = await killable({
      scan: async () => {
        await delay(150); // so long a scan takes
        return clean;
      },
    });
    try {
      await using stage = await openPool({ addresses: [server.address], queueTimeoutMs: 60_000 });
      let isOver = false;
      const outcome = stage.scan("long").then(
        ({ verdict }) => verdict.kind,
        (error) => error.code,
      );
      void outcome.finally(() => {
        isOver = true;
      });
      for (let kill = 0; kill < 10 && !isOver; kill += 1) {
        await delay(100); // a rhythm in which no scan ends
        await server.restart();
      }
      assert.match(await outcome, /^(clean|backend-lost)$/);
    } finally {
      await server.kill();
    }
  });

  test("falls on the body that kills them, however many others there are, and on no other", async () => {
    const servers: Killable[] = [];
    const scan = async (body: Buffer): Promise<Act> => {
      await delay(5); // so long a scan takes
      if (!body.includes("poison")) return clean;
      const killed = servers.find(({ fake }) => fake().bodies.includes(body));
      void killed?.restart();
      return answer();
    };
    servers.push(await killable({ scan }), await killable({ scan }));
    try {
      await using stage = await openPool({ addresses: servers.map(({ address }) => address), backend: { slots: () => 4 } });
      const poisons = ["poison 1", "poison 2"].map((body) => stage.scan(body).catch((error) => error.code));
      const others = Array.from({ length: 200 }, (_, index) => stage.scan(`${index}`).catch((error) => error.code));
      for (const other of await Promise.all(others)) assert.notEqual(other, "engine-killed");
      const told = await Promise.all(poisons);
      // One may have seen the other's kills: it is told the next time.
      for (let again = 0; again < 3; again += 1) {
        for (const [index, code] of told.entries()) {
          if (code !== "engine-killed") told[index] = await stage.scan(`poison ${index + 1}`).catch((error) => error.code);
        }
      }
      assert.deepEqual(told, ["engine-killed", "engine-killed"]);
      for (let index = 0; index < 200; index += 1) assert.equal((await stage.scan(`${index}`)).verdict.kind, "clean");
    } finally {
      await Promise.all(servers.map((server) => server.kill()));
    }
  });
});

interface Killable {
  readonly address: FakeClamd["address"];
  fake(): FakeClamd;
  kill(): Promise<void>;
  /** Kills it and starts another one in its place. */
  restart(): Promise<void>;
}

async function killable(options: FakeClamdOptions): Promise<Killable> {
  let fake = await startFakeClamd(options);
  const { address } = fake;
  return {
    address,
    fake: () => fake,
    kill: () => fake.kill(),
    async restart() {
      await fake.kill();
      await delay(60); // a clamd has its signatures to load: longer than from one proof to the next
      fake = await startFakeClamd({ ...options, port: address.port });
    },
  };
}
