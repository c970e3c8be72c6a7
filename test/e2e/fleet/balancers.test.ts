import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { clean, startFakeClamd } from "../../fake/clamd.ts";
import { givenClamd } from "../../fault/harness/given-clamd.ts";
import { startHaproxy } from "../../live/balancers.ts";
import { freePort } from "../../live/free-port.ts";
import { startNginx } from "../../live/nginx.ts";
import { upload } from "../client.ts";
import { type GatewayProcess, startGatewayProcess } from "../gateway-process.ts";
import { unknownBytes } from "../samples.ts";

type Balancer = (port: number, gateways: readonly number[]) => Promise<AsyncDisposable>;

/** The files of deploy/ as they are, but for addresses. */
async function nginx(port: number, gateways: readonly number[]): Promise<AsyncDisposable> {
  return await startNginx(await filledIn("nginx/gateways.conf", /listen 9000/, `listen 127.0.0.1:${port}`, gateways), [port]);
}

async function haproxy(port: number, gateways: readonly number[]): Promise<AsyncDisposable> {
  const conf = await filledIn("haproxy/haproxy.cfg", /bind :9000/, `bind 127.0.0.1:${port}`, gateways);
  return await startHaproxy(conf, `http://127.0.0.1:${port}/readyz`);
}

async function filledIn(file: string, listen: RegExp, here: string, gateways: readonly number[]): Promise<string> {
  const text = await readFile(new URL(`../../../deploy/${file}`, import.meta.url), "utf8");
  assert.match(text, listen);
  return gateways.reduce(
    (conf, port, index) => {
      const name = `clamgate-${index + 1}:9000`;
      assert.ok(conf.includes(name));
      return conf.replace(name, `127.0.0.1:${port}`);
    },
    text.replace(listen, here),
  );
}

const workers = 6;
/** What the files ask for between two restarts. */
const settleMs = 2_000;

describe("two gateways that are restarted in turn under load", () => {
  for (const [name, balancer, shutdownDelay, signals] of [
    ["nginx", nginx, "0", ["SIGTERM", "SIGKILL"]],
    ["HAProxy", haproxy, "5s", ["SIGTERM", "SIGTERM"]],
  ] as const satisfies readonly (readonly [string, Balancer, string, readonly NodeJS.Signals[]])[]) {
    test(`lose no upload behind ${name} (${signals.join(", ")})`, { timeout: 170_000 }, async (context) => {
      await using clamd = await startFakeClamd({ scan: () => delay(20).then(() => clean) });
      const ports = [await freePort(), await freePort()];
      const start = async (index: number): Promise<GatewayProcess> => {
        const own = { PORT: String(ports[index]), DOWNLOAD_PROXY_PORT: "off", SHUTDOWN_DELAY: shutdownDelay };
        const gateway = await startGatewayProcess({ env: { ...givenClamd({ ports: [clamd.address.port] }), ...own } });
        await gateway.ready();
        return gateway;
      };
      const gateways = await Promise.all([start(0), start(1)]);
      const port = await freePort();
      const front = await balancer(port, ports);
      let isOver = false;
      let served = 0;
      const failed: string[] = [];
      async function work(): Promise<void> {
        while (!isOver) {
          const answer = await upload(`http://127.0.0.1:${port}`, unknownBytes(20_000)).catch(String);
          if (typeof answer !== "string" && answer.status === 200) served += 1;
          else failed.push(typeof answer === "string" ? answer : `${answer.status} ${answer.body}`);
        }
      }
      const working = Promise.all(Array.from({ length: workers }, work));
      try {
        for (const [turn, signal] of signals.entries()) {
          const index = turn % ports.length;
          gateways[index]?.signal(signal);
          await gateways[index]?.ended;
          gateways[index] = await start(index);
          await delay(settleMs); // as the files ask for
        }
      } finally {
        isOver = true;
        await working;
        await front[Symbol.asyncDispose]();
        for (const gateway of gateways) await gateway[Symbol.asyncDispose]();
      }
      context.diagnostic(`${served} uploads, ${failed.length} failed`);
      assert.deepEqual(failed, []);
      assert.ok(served > 100);
    });
  }
});
