/** curl, wget and aria2, as people run them: each download is a process, its file is read when it has ended well. */

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { findProgram, type KnownReader } from "./judged/readers.ts";

export interface Order {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface DownloadProgram {
  readonly name: string;
  /** The whole file; null where the program has failed. */
  fetch(order: Order): Promise<Buffer | null>;
  /**
   * The file put together: its first bytes were asked for as a range, the rest when it went on.
   * null where the program has failed, or cannot.
   */
  resume(order: Order, firstBytes: number): Promise<Buffer | null>;
}

export interface DownloadPrograms extends AsyncDisposable {
  readonly known: readonly KnownReader[];
  readonly programs: readonly DownloadProgram[];
}

const run = promisify(execFile);

/** Arguments by program: for a download into a file, and for one that goes on with what is there. */
interface Manner {
  fetch(order: Order, file: string): readonly string[];
  goOn(order: Order, file: string): readonly string[];
}

const lines = ({ headers }: Order, option: string) =>
  Object.entries(headers).flatMap(([name, value]) => [option, `${name}: ${value}`]);
const aria = (order: Order, directory: string) => [
  ...[
    "--no-conf",
    "--quiet",
    "--max-tries=1",
    "--timeout=10",
    "--disable-ipv6",
    "--allow-overwrite=true",
    "--auto-file-renaming=false",
  ],
  ...["--max-connection-per-server=4", "--split=4", "--min-split-size=1M", "--file-allocation=none", "--http-accept-gzip=true"],
  ...lines(order, "--header"),
  ...["--dir", directory, "--out", "file", order.url],
];

const manners: Readonly<Record<string, Manner>> = {
  curl: {
    fetch: (order, file) => [
      "-q",
      "-sSf",
      "--noproxy",
      "*",
      "-m",
      "10",
      "--compressed",
      ...lines(order, "-H"),
      "-o",
      file,
      order.url,
    ],
    goOn: (order, file) => ["-q", "-sSf", "--noproxy", "*", "-m", "10", "-C", "-", ...lines(order, "-H"), "-o", file, order.url],
  },
  wget: {
    fetch: (order, file) => [
      ...["--no-config", "-q", "--no-proxy", "-t", "1", "-T", "10", "--compression=auto"],
      ...[...lines(order, "--header"), "-O", file, order.url],
    ],
    goOn: (order, file) => [
      ...["--no-config", "-q", "--no-proxy", "-t", "1", "-T", "10", "-c"],
      ...[...lines(order, "--header"), "-O", file, order.url],
    ],
  },
  aria2c: {
    fetch: (order, file) => aria(order, join(file, "..")),
    goOn: (order, file) => ["-c", ...aria(order, join(file, ".."))],
  },
};

/** @param wanted their names, from curl, wget and aria2c */
export async function openDownloadPrograms(wanted: readonly string[]): Promise<DownloadPrograms> {
  const directory = await mkdtemp(join(tmpdir(), "clamgate-downloads-"));
  const known: KnownReader[] = [];
  const programs: DownloadProgram[] = [];
  for (const name of wanted) {
    const manner = manners[name];
    const version = await versionOf(name);
    known.push({ kind: "download", name, version });
    if (manner !== undefined && version !== null) programs.push(programOf(name, manner, directory));
  }
  return { known, programs, [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) };
}

function programOf(name: string, { fetch, goOn }: Manner, directory: string): DownloadProgram {
  const file = join(directory, "file");
  const clear = () => Promise.all([rm(file, { force: true }), rm(`${file}.aria2`, { force: true })]);
  const take = async (args: readonly string[]) => {
    const hasEndedWell = await run(name, args, { cwd: directory, timeout: 20_000 }).then(
      () => true,
      () => false,
    );
    return hasEndedWell ? await readFile(file).catch(() => null) : null;
  };
  return {
    name,
    async fetch(order) {
      await clear();
      return take(fetch(order, file));
    },
    async resume(order, firstBytes) {
      await clear();
      const range = ["-r", `0-${firstBytes - 1}`];
      const first = await run("curl", [...range, ...(manners.curl?.fetch(order, file) ?? [])], {
        cwd: directory,
        timeout: 20_000,
      }).then(
        () => readFile(file),
        () => null,
      );
      if (first === null) return null;
      // Whoever got the whole file has it already.
      return first.length === firstBytes ? take(goOn(order, file)) : first;
    },
  };
}

async function versionOf(name: string): Promise<string | null> {
  try {
    const { stdout } = await run(await findProgram(name), ["--version"]);
    return /\d+(\.\d+)+/.exec(stdout)?.[0] ?? null;
  } catch {
    return null;
  }
}
