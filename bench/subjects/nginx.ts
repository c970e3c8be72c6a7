/** The yardstick of the download proxy: nginx as an origin, and nginx in front of it, connections kept alive on both sides. */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "../../test/live/free-port.ts";
import { type Program, startProgram } from "./program.ts";

export interface Nginx extends AsyncDisposable {
  readonly programs: readonly Program[];
  /** Serves the files of `files`, and any query behind their names. */
  readonly originUrl: string;
  /** The same by proxy_pass. */
  readonly proxyUrl: string;
}

export async function startNginx(directory: string, files: Readonly<Record<string, Buffer>>): Promise<Nginx> {
  const root = join(directory, "origin");
  await mkdir(root, { recursive: true });
  for (const [name, content] of Object.entries(files)) await writeFile(join(root, name), content);
  const originPort = await freePort();
  const proxyPort = await freePort();
  const origin = `server { listen 127.0.0.1:${originPort}; root ${root}; }`;
  const proxy = `upstream origin { server 127.0.0.1:${originPort}; keepalive 64; keepalive_requests 1000000; }
  server { listen 127.0.0.1:${proxyPort}; location / { proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; } }`;
  await using started = new AsyncDisposableStack();
  const programs = [
    started.use(await startOne("nginx-origin", directory, origin)),
    started.use(await startOne("nginx", directory, proxy)),
  ];
  const urls = [`http://127.0.0.1:${originPort}`, `http://127.0.0.1:${proxyPort}`] as const;
  for (const [index, program] of programs.entries()) await program.until(() => answers(urls[index] ?? ""));
  const held = started.move();
  return { programs, originUrl: urls[0], proxyUrl: urls[1], [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** One process, no master: what it uses of a processor is all its own. */
async function startOne(name: string, directory: string, servers: string): Promise<Program> {
  const prefix = join(directory, name);
  await mkdir(prefix, { recursive: true });
  const places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${prefix};`).join(" ");
  const conf = `daemon off; master_process off; worker_processes 1; pid ${prefix}/pid; error_log stderr warn;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 1000000; ${places}
  ${servers} }
`;
  const confPath = join(prefix, "nginx.conf");
  await writeFile(confPath, conf);
  return startProgram({ name, command: "nginx", args: ["-p", prefix, "-c", confPath], outputPath: join(prefix, "log") });
}

async function answers(url: string): Promise<true | null> {
  return fetch(url).then(
    () => true,
    () => null,
  );
}
