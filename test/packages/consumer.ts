/** An empty project with the packed library in it, and other packages as they are installed in this checkout. */

import { existsSync } from "node:fs";
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { npm, type Packed, pack, repository } from "./packed.ts";

export interface Consumer extends AsyncDisposable {
  readonly packed: Packed;
  readonly directory: string;
  link(...names: readonly string[]): Promise<void>;
  /** Packages of this checkout by the names under which they are found here, in place of what was there. */
  relink(names: Readonly<Record<string, string>>): Promise<void>;
}

export async function openConsumer(): Promise<Consumer> {
  const packed = await pack("-w", "client");
  const directory = join(packed.directory, "project");
  await mkdir(directory);
  await writeFile(join(directory, "package.json"), '{ "type": "module" }');
  await npm(directory, ["install", packed.path]);
  async function linkAs(name: string, installed: string): Promise<void> {
    const path = join(directory, "node_modules", name);
    await mkdir(dirname(path), { recursive: true });
    await symlink(join(repository, installed), path);
  }
  return {
    packed,
    directory,
    async link(...names) {
      for (const name of names)
        if (!existsSync(join(directory, "node_modules", name))) await linkAs(name, `node_modules/${name}`);
    },
    async relink(names) {
      for (const [name, installed] of Object.entries(names)) {
        await rm(join(directory, "node_modules", name), { force: true });
        await linkAs(name, installed);
      }
    },
    [Symbol.asyncDispose]: () => packed[Symbol.asyncDispose](),
  };
}
