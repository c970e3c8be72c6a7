/** A program that holds some readers and runs as long as a campaign: one request a line, one answer a line. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** What is read: a form, a body in a content coding, an address to download. */
export type ReadingKind = "form" | "coding" | "download";

/** What each reader has taken out, by the reader's name. */
export type Readings = ReadonlyMap<string, readonly Buffer[]>;

export interface ReaderProgram {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface ReaderProcess extends AsyncDisposable {
  /** Of each reader, by kind and name; null: it is missing. */
  readonly versions: Readonly<Partial<Record<ReadingKind, Readonly<Record<string, string | null>>>>>;
  /**
   * @param what the content type of a form, the content codings of a body, or an address
   * @param body of a download: its headers as JSON
   */
  read(kind: ReadingKind, what: string, body: Buffer): Promise<Readings>;
}

/** No input of a few KiB takes a sound reader longer. */
const answerMs = 15_000;
/** Java compiles its program first. */
const startMs = 90_000;

/** Rejects where the program ends before it has told its versions. */
export async function startReaderProcess({ command, args, env = {} }: ReaderProgram): Promise<ReaderProcess> {
  const { PATH = "", HOME = "/" } = process.env;
  const child = spawn(command, args, { env: { PATH, HOME, ...env }, stdio: ["pipe", "pipe", "ignore"] });
  const ended = new Promise<never>((_, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => reject(new Error(`${command} ended with ${code ?? signal}`)));
  });
  ended.catch(() => {}); // heard where an answer is waited for
  child.stdin.on("error", () => {}); // heard as its end
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let turn: Promise<unknown> = Promise.resolve();

  /** One line out at most, one line in; the answers come in the order of the requests. */
  async function exchange(request: string | null, withinMs: number): Promise<string> {
    if (request !== null) child.stdin.write(`${request}\n`);
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error(`${command} gives no answer to ${request}`)), withinMs);
    try {
      const line = await Promise.race([lines.next(), ended, late.promise]);
      if (line.done) return await ended;
      return line.value;
    } finally {
      clearTimeout(timer);
    }
  }

  const versions: ReaderProcess["versions"] = JSON.parse(await exchange(null, startMs));
  return {
    versions,
    read(kind, what, body) {
      const request = `${kind} ${Buffer.from(what, "latin1").toString("base64")} ${body.toString("base64")}`;
      const answer = turn.then(async () => readingsIn(await exchange(request, answerMs)));
      turn = answer.catch(() => {});
      return answer;
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exit = once(child, "exit");
      child.stdin.end();
      // It ends with its input, and what it has started with it; a parser that loops does not.
      const timer = setTimeout(() => child.kill("SIGKILL"), 2_000);
      await exit;
      clearTimeout(timer);
    },
  };
}

function readingsIn(line: string): Readings {
  const answer: Readonly<Record<string, readonly string[]>> = JSON.parse(line);
  return new Map(Object.entries(answer).map(([name, files]) => [name, files.map((file) => Buffer.from(file, "base64"))]));
}
