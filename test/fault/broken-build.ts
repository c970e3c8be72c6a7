/** A build that is wrong on purpose: a few characters of src/ are others when a gateway loads them. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface Breakage {
  /** Below src/. */
  readonly file: string;
  /** Stands there exactly once; where it does not, the gateway does not start. */
  readonly from: string;
  readonly to: string;
}

/** Writes what breaks it into the directory; resolves with the environment of a gateway that is broken like that. */
export async function breakBuild(directory: string, breakages: readonly Breakage[]): Promise<{ readonly NODE_OPTIONS: string }> {
  const path = join(directory, "broken-build.mjs");
  await writeFile(path, `const breakages = ${JSON.stringify(breakages)};\n${hook}`);
  return { NODE_OPTIONS: `--import=${path}` };
}

const hook = `
import { registerHooks } from "node:module";
registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    let source = null;
    for (const { file, from, to } of breakages) {
      if (!url.endsWith("/src/" + file)) continue;
      source ??= Buffer.from(loaded.source).toString();
      const pieces = source.split(from);
      if (pieces.length !== 2) throw new Error(file + " holds " + (pieces.length - 1) + " times: " + from);
      source = pieces.join(to);
    }
    return source === null ? loaded : { ...loaded, source };
  },
});
`;
