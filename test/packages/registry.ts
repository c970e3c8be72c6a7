/** A registry on loopback for one test: it has the locked production packages, as they are installed here, and the tarball in question. */

import { execFile } from "node:child_process";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { type Packed, repository } from "./packed.ts";

export interface Registry extends AsyncDisposable {
  readonly url: string;
}

type Manifest = { readonly name: string; readonly version: string };
/** The manifest, and what writes the package as a tarball. */
type Published = { readonly manifest: Manifest; readonly send: (response: ServerResponse) => Promise<void> };

export async function startRegistry(packed: Packed): Promise<Registry> {
  const published = new Map<string, Published>();
  const publish = (each: Published) => published.set(`${each.manifest.name}@${each.manifest.version}`, each);
  for (const directory of await lockedDirectories()) {
    publish({ manifest: await manifestIn(directory), send: (response) => sendDirectory(directory, response) });
  }
  const { stdout } = await promisify(execFile)("tar", ["-xzOf", packed.path, "package/package.json"]);
  publish({ manifest: JSON.parse(stdout), send: (response) => pipeline(createReadStream(packed.path), response) });

  const server = createServer((request, response) => {
    const path = decodeURIComponent((request.url ?? "").slice(1));
    const [name = "", version] = path.split("/-/");
    const found = version === undefined ? null : published.get(`${name}@${version}`);
    if (found) return void found.send(response).catch(() => response.destroy());
    const versions = [...published.values()].filter(({ manifest }) => manifest.name === name).map(({ manifest }) => manifest);
    const newest = versions.at(-1);
    if (version !== undefined || newest === undefined) return void response.writeHead(404).end("{}");
    const withTarball = (manifest: Manifest) => ({ ...manifest, dist: { tarball: `${url}/${name}/-/${manifest.version}` } });
    response.setHeader("content-type", "application/json").end(
      JSON.stringify({
        name,
        "dist-tags": { latest: newest.version },
        versions: Object.fromEntries(versions.map((manifest) => [manifest.version, withTarball(manifest)])),
      }),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** What `npm ci --omit=dev` installs. */
async function lockedDirectories(): Promise<readonly string[]> {
  const lock: { readonly packages: Readonly<Record<string, { dev?: boolean; devOptional?: boolean; link?: boolean }>> } =
    JSON.parse(await readFile(join(repository, "package-lock.json"), "utf8"));
  return Object.entries(lock.packages)
    .filter(([path, { dev, devOptional, link }]) => path.startsWith("node_modules/") && !dev && !devOptional && !link)
    .map(([path]) => join(repository, path));
}

async function manifestIn(directory: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(directory, "package.json"), "utf8"));
}

/** npm takes any name for the tarball's one directory. */
async function sendDirectory(directory: string, response: ServerResponse): Promise<void> {
  const args = ["-cf", "-", "--exclude=node_modules", "-C", dirname(directory), basename(directory)];
  const child = execFile("tar", args, { encoding: "buffer", maxBuffer: 64 * 1024 * 1024 });
  if (child.stdout === null) throw new Error("tar has no output");
  await pipeline(child.stdout, response);
}
