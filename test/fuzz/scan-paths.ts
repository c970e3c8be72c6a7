/** B6: paths that would leave the roots, or never end. Outside of the root everything is infected, inside everything is clean. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { lstat, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { marker } from "../live/clamd.ts";
import { type Campaign, campaign } from "./harness/campaign.ts";
import type { Client } from "./harness/client.ts";

export interface PathStage extends AsyncDisposable {
  /** SCAN_PATH_ROOTS; free of links. */
  readonly root: string;
}

export async function pathStage(): Promise<PathStage> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), "clamgate-paths-")));
  const root = join(directory, "root");
  await mkdir(join(root, "deep", "er"), { recursive: true });
  await mkdir(join(directory, "root-beside"));
  for (const place of ["secret", "root-beside/secret"]) await writeFile(join(directory, place), marker);
  for (const place of ["file", "deep/file", "deep/er/file", "a b", "..file", "%2e%2e"])
    await writeFile(join(root, place), "clean");
  const links = { out: "../secret", up: "..", abroad: "/etc/passwd", self: "self", fds: "/proc/self/fd", inside: "deep/file" };
  for (const [name, target] of Object.entries(links)) await symlink(target, join(root, name));
  execFileSync("mkfifo", [join(root, "fifo")]);
  return { root, [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) };
}

const segment = fc.constantFrom(
  "..",
  ".",
  "",
  "file",
  "deep",
  "er",
  "out",
  "up",
  "abroad",
  "self",
  "fds",
  "inside",
  "fifo",
  "secret",
  "root",
  "root-beside",
  "..file",
  "%2e%2e",
  "a b",
  "0",
  "\0",
  "\n",
  "\\..",
  "...",
  "~",
);
const encoded = fc.constantFrom<((text: string) => string)[]>(
  (text: string) => encodeURIComponent(text),
  (text: string) => encodeURIComponent(text).replaceAll("%2F", "/"),
  (text: string) => encodeURIComponent(text).replaceAll(".", "%2e"),
  (text: string) => encodeURIComponent(encodeURIComponent(text)),
);

const endpoints = ["scanFile", "scanPath"] as const;

export function scanPaths({ fetch }: Client, url: string, root: string): Campaign {
  const absolute = [
    "/dev/zero",
    "/dev/random",
    "/proc/self/mem",
    "/proc/self/environ",
    "/etc/passwd",
    "file:///etc/passwd",
    "//etc/passwd",
    `${root}/../secret`,
    `${root}-beside/secret`,
    `${root}/fds/0`,
    `${root}/abroad`,
    `${root}/out`,
    `${root}/up/secret`,
    `${root}/self`,
    `${root}/fifo`,
  ];
  const within = [
    "",
    "/",
    "/file",
    "/deep",
    "/inside",
    "/deep/../file",
    "/./deep//er/file",
    "/up/root/file",
    "/%2e%2e",
    "/..file",
  ];
  return campaign({
    name: "paths of /scanFile and /scanPath (B6)",
    testRuns: 400,
    arbitrary: fc.record({
      endpoint: fc.constantFrom(...endpoints),
      path: fc.oneof(
        fc.array(segment, { maxLength: 7 }).map((parts) => `${root}/${parts.join("/")}`),
        fc.array(segment, { maxLength: 7 }).map((parts) => parts.join("/")),
      ),
      encode: encoded,
    }),
    corpus: [...absolute, ...within.map((path) => root + path)].flatMap((path) =>
      endpoints.map((endpoint) => ({ endpoint, path, encode: encodeURIComponent })),
    ),
    least: { scanned: 0.02, refused: 0.5 },
    async check({ endpoint, path, encode }, note) {
      const query = encode(path);
      const answer = await fetch(`${url}/${endpoint}?path=${query}`, { signal: AbortSignal.timeout(10_000) });
      const text = await answer.text();
      const label = `${answer.status} ${text} for ${endpoint} ${JSON.stringify(path)}`;
      if (await leadsInside(root, decodeURIComponent(query))) {
        assert.ok(answer.status === 200 && text.includes('"Status":"OK"'), label);
        note("scanned");
      } else {
        assert.ok([400, 403, 412].includes(answer.status) && !text.includes('"Status":"OK"'), label);
        note("refused");
      }
    },
  });
}

/** Whether the system itself finds a file or a directory of the root there. */
async function leadsInside(root: string, path: string): Promise<boolean> {
  if (!path.startsWith("/")) return false;
  const real = await realpath(path).catch(() => null);
  if (real === null || (real !== root && !real.startsWith(`${root}/`))) return false;
  const stats = await lstat(real);
  return stats.isFile() || stats.isDirectory();
}
