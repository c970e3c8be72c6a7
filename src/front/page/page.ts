/** The page for people: its files, held in memory, each with the policy that keeps the page to this gateway (product.md G). */

import { readdir, readFile } from "node:fs/promises";
import { extname } from "node:path";
import type { FastifyInstance, FastifyPluginAsync } from "fastify";
import { type Answer, type AnswerOptions, sendAnswer } from "../../http/answer.ts";

export interface Page {
  /** For a browser that asks for `/`. */
  readonly home: Answer;
  /** `/ui/`: the page again, and its files. */
  readonly routes: FastifyPluginAsync;
}

/** No file of another kind is served. */
const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};

const headers = {
  "content-security-policy": "default-src 'self'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-cache",
};

const assets = new URL("./assets/", import.meta.url);

export async function loadPage(options: AnswerOptions): Promise<Page> {
  const files = new Map<string, Answer>();
  for (const name of await readdir(assets)) {
    const contentType = types[extname(name)];
    if (contentType === undefined) continue;
    files.set(name, { status: 200, headers, contentType, body: await readFile(new URL(name, assets), "utf8") });
  }
  const home = files.get("index.html");
  if (home === undefined) throw new Error("the page's index.html is not there");
  return {
    home,
    async routes(server) {
      addFile(server, "/ui/", home);
      for (const [name, file] of files) addFile(server, `/ui/${name}`, file);
    },
  };

  function addFile(server: FastifyInstance, url: string, file: Answer): void {
    server.get(url, { schema: { hide: true }, exposeHeadRoute: true }, async (request, reply) =>
      sendAnswer(request, reply, file, options),
    );
  }
}
