/** Other people's readers of forms, codings and downloads, as far as they are on this machine. */

import { execFile } from "node:child_process";
import { access, mkdtemp, readdir, readFile, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { type ReaderProcess, type ReaderProgram, type ReadingKind, type Readings, startReaderProcess } from "./reader-process.ts";

/** Few: those of npm and of Python's packages, quickly started. All: those of Go, Java, PHP and Ruby besides. */
export type ReaderChoice = "few" | "all";

export interface Readers extends AsyncDisposable {
  readonly known: readonly KnownReader[];
  /** What all readers of that kind take out of it, each reader under its name. */
  read(kind: ReadingKind, what: string, body: Buffer): Promise<Readings>;
}

export interface KnownReader {
  readonly kind: ReadingKind;
  readonly name: string;
  /** null: it is missing here. */
  readonly version: string | null;
}

interface Source {
  readonly readers: Readonly<Partial<Record<ReadingKind, readonly string[]>>>;
  /** Rejects where the language is missing. */
  program(scratch: string): Promise<ReaderProgram>;
}

const run = promisify(execFile);
const fileOf = (name: string) => new URL(`readers/${name}`, import.meta.url).pathname;

const few: readonly Source[] = [
  {
    readers: {
      form: ["busboy", "@fastify/busboy", "formidable", "multiparty", "multer", "Node's formData"],
      coding: ["Node's zlib"],
      download: ["Node's fetch", "undici", "node-fetch", "axios", "npm's fetch"],
    },
    program: async () => ({ command: process.execPath, args: [fileOf("node.mjs"), await npmDirectory()] }),
  },
  {
    readers: {
      form: ["Python's email", "Python's cgi", "Werkzeug", "Django", "python-multipart", "aiohttp"],
      coding: ["Python's zlib and gzip"],
      download: ["urllib3", "requests"],
    },
    // The system's own: another one on PATH would not have the system's packages.
    program: async () => ({ command: "/usr/bin/python3", args: [fileOf("python.py")] }),
  },
];

const jars = ["commons-fileupload", "commons-io", "servlet-api"].map((name) => `/usr/share/java/${name}.jar`);

const more: readonly Source[] = [
  {
    readers: { form: ["Go's mime/multipart", "Go's ParseMultipartForm"], coding: ["Go's compress"] },
    async program(scratch) {
      const { PATH = "" } = process.env;
      // Without modules, and whatever else it might want to fetch.
      const env = { PATH, HOME: scratch, GO111MODULE: "off", GOPROXY: "off", GOTOOLCHAIN: "local", GOCACHE: join(scratch, "go") };
      await run("go", ["build", "-o", join(scratch, "go-readers"), fileOf("go.go")], { env });
      return { command: join(scratch, "go-readers"), args: [] };
    },
  },
  {
    readers: { form: ["Rack"], coding: ["Ruby's zlib"] },
    program: async () => ({ command: await findProgram("ruby"), args: [fileOf("ruby.rb")] }),
  },
  {
    readers: { form: ["PHP"], coding: ["PHP's zlib"] },
    // Its standard input is a socket, on which it would wait for a minute and no longer.
    program: async () => ({
      command: await findProgram("php"),
      args: ["-d", "default_socket_timeout=-1", fileOf("php.php")],
    }),
  },
  {
    readers: { form: ["commons-fileupload"], coding: ["Java's zip"] },
    async program() {
      await Promise.all(jars.map((jar) => access(jar)));
      const names = await readdir("/usr/share/java");
      const version = names.map((name) => /^commons-fileupload-(.*)\.jar$/.exec(name)?.[1]).find((found) => found !== undefined);
      const command = await findProgram("java");
      return { command, args: ["-Xmx128m", "-cp", jars.join(":"), fileOf("Java.java"), version ?? "of unknown version"] };
    },
  },
];

export async function openReaders(choice: ReaderChoice): Promise<Readers> {
  await using opened = new AsyncDisposableStack();
  const scratch = await mkdtemp(join(tmpdir(), "clamgate-readers-"));
  opened.defer(() => rm(scratch, { recursive: true, force: true }));
  const processes: ReaderProcess[] = [];
  const known: KnownReader[] = [];
  const sources = choice === "all" ? [...few, ...more] : few;
  const all = await Promise.all(sources.map((source) => start(source, scratch)));
  for (const [index, source] of sources.entries()) {
    const started = all[index] ?? null;
    if (started !== null) processes.push(opened.use(started));
    for (const kind of ["form", "coding", "download"] as const)
      for (const name of source.readers[kind] ?? []) known.push({ kind, name, version: started?.versions[kind]?.[name] ?? null });
  }
  const owned = opened.move();
  return {
    known,
    async read(kind, what, body) {
      const asked = processes.filter(({ versions }) => Object.keys(versions[kind] ?? {}).length > 0);
      const all = await Promise.all(asked.map((one) => one.read(kind, what, body)));
      return new Map(all.flatMap((readings) => [...readings]));
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** null where it is missing; the readers' table says so. */
async function start({ program }: Source, scratch: string): Promise<ReaderProcess | null> {
  try {
    return await startReaderProcess(await program(scratch));
  } catch {
    return null;
  }
}

/** The absolute path of a program; rejects where there is none. */
export async function findProgram(name: string): Promise<string> {
  const places = (process.env.PATH ?? "").split(delimiter).map((directory) => join(directory, name));
  const found = await Promise.all(
    places.map((place) =>
      access(place).then(
        () => place,
        () => null,
      ),
    ),
  );
  const [first] = found.filter((place) => place !== null);
  if (first === undefined) throw new Error(`there is no ${name} on PATH`);
  return first;
}

/** Where npm's own packages lie; empty where npm is laid out otherwise. */
async function npmDirectory(): Promise<string> {
  const npm = await findProgram("npm").then(
    (path) => realpath(path),
    () => "",
  );
  const directory = join(npm, "..", "..");
  const manifest = await readFile(join(directory, "package.json"), "utf8").catch(() => "{}");
  return JSON.parse(manifest).name === "npm" ? directory : "";
}
