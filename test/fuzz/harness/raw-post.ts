/** A POST with header lines just as they are given, twice the same name included; and the same as a command for a shell. */

import { Agent, type IncomingMessage, request } from "node:http";
import { text } from "node:stream/consumers";

export interface Post {
  readonly path: string;
  readonly lines: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

export interface PostAnswer {
  readonly status: number;
  readonly text: string;
}

export interface Poster extends Disposable {
  post(what: Post): Promise<PostAnswer>;
}

export function openPoster(port: number): Poster {
  const agent = new Agent({ keepAlive: true });
  return {
    async post({ path, lines, body }) {
      const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
      const isChunked = lines.some(([name]) => name === "Transfer-Encoding");
      const length = isChunked ? [] : ["Content-Length", String(body.length)];
      const headers = ["Host", "localhost", ...length, ...lines.flat()];
      const sent = request({ host: "127.0.0.1", port, path, method: "POST", headers, agent, timeout: 20_000 }, resolve);
      sent.on("error", reject).on("timeout", () => sent.destroy(new Error("no answer within 20 s")));
      sent.end(body);
      const answer = await promise;
      return { status: answer.statusCode ?? 0, text: await text(answer) };
    },
    [Symbol.dispose]: () => agent.destroy(),
  };
}

export function asCommand({ path, lines, body }: Post): string {
  const quoted = (part: string) => `'${part.replaceAll("'", `'\\''`)}'`;
  const headers = lines.map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`).join(" ");
  return `printf %s ${body.toString("base64")} | base64 -d | curl -sS ${headers} --data-binary @- http://127.0.0.1:9000${path}`;
}
