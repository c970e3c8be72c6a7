/** The question a container's HEALTHCHECK asks: is the gateway beside me ready? */

import { get } from "node:http";
import type { Config } from "../../config/settings.ts";
import { messageOf } from "../../core/errors.ts";

const timeoutMs = 5_000;

/** Writes one line; resolves with the exit code. */
export async function checkHealth(config: Pick<Config, "HOST" | "PORT">, output: NodeJS.WritableStream): Promise<number> {
  if (config.PORT === 0) {
    output.write("PORT: 0 is any free port; a healthcheck needs the port that the gateway listens on\n");
    return 1;
  }
  // What listens on every address listens on loopback too.
  const host = config.HOST === "::" || config.HOST === "0.0.0.0" ? "127.0.0.1" : config.HOST;
  try {
    const { status, body } = await ask(host, config.PORT);
    output.write(`${status} ${body.trim()}\n`);
    return status === 200 ? 0 : 1;
  } catch (error) {
    output.write(`no answer on port ${config.PORT}: ${messageOf(error)}\n`);
    return 1;
  }
}

function ask(host: string, port: number): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const request = get({ host, port, path: "/readyz", timeout: timeoutMs, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text: string) => {
        body += text;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      response.on("error", reject);
    });
    request.on("timeout", () => request.destroy(new Error(`nothing within ${timeoutMs} ms`)));
    request.on("error", reject);
  });
}
