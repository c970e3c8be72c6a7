/** Both packages as `npm pack` makes them, from a copy of what they are made of: the checkout stays unbuilt. */

import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

export const repository = new URL("../../", import.meta.url).pathname;

export interface Packed extends AsyncDisposable {
  /** The tarball. */
  readonly path: string;
  /** For what a test makes beside it. */
  readonly directory: string;
  /** Paths below `package/`. */
  files(): Promise<readonly string[]>;
}

const ingredients = [
  ...["package.json", "tsconfig.json", "tsconfig.build.json", "README.md", "LICENSE", "CHANGELOG.md"],
  ...["bin", "src", "client"],
];

/** `npm pack` with its prepack: `[]` for the gateway, `["-w", "client"]` for the library. */
export async function pack(...which: readonly string[]): Promise<Packed> {
  const directory = await mkdtemp(join(tmpdir(), "clamgate-pack-"));
  const copy = join(directory, "copy");
  await mkdir(copy);
  const isUnbuilt = (path: string) => !path.endsWith("/dist") && !path.endsWith("/node_modules");
  await Promise.all(
    ingredients.map((name) => cp(join(repository, name), join(copy, name), { recursive: true, filter: isUnbuilt })),
  );
  await symlink(join(repository, "node_modules"), join(copy, "node_modules"));
  await npm(copy, ["pack", ...which, "--pack-destination", directory]);
  const [name = ""] = (await readdir(directory)).filter((name) => name.endsWith(".tgz"));
  const path = join(directory, name);
  return {
    path,
    directory,
    async files() {
      const { stdout } = await promisify(execFile)("tar", ["-tzf", path]);
      return stdout
        .trim()
        .split("\n")
        .map((line) => line.replace("package/", ""));
    },
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  };
}

export interface NpmOptions {
  /** Without one npm asks nobody, and gets along with what it is given. */
  readonly registry?: string;
}

/** npm as it comes, with no settings or cache of this machine's. Rejects with what it wrote. */
export async function npm(cwd: string, args: readonly string[], { registry }: NpmOptions = {}): Promise<string> {
  const { PATH = "" } = process.env;
  const home = join(cwd, ".home");
  await mkdir(home, { recursive: true });
  const env = {
    PATH: [join(repository, "node_modules/.bin"), PATH].join(delimiter),
    HOME: home,
    npm_config_cache: join(home, "cache"),
    npm_config_audit: "false",
    npm_config_fund: "false",
    npm_config_update_notifier: "false",
    // Port 1 of this machine: nobody listens there.
    npm_config_registry: registry ?? "http://127.0.0.1:1/",
    npm_config_offline: String(registry === undefined),
  };
  const { stdout } = await promisify(execFile)("npm", args, { cwd, env, maxBuffer: 16 * 1024 * 1024 });
  return stdout;
}
