/** A pseudo-terminal for a command's output: what was written to it, and what a person sees of it in the end. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { mainPath } from "./command-line.ts";

/** Node has no pseudo-terminals. What is not on the terminal stays the pipe that it is; the terminal's bytes come by descriptor 3. */
const holder = `
import fcntl, os, pty, struct, subprocess, sys, termios
streams, columns, *command = sys.argv[1:]
terminal, inside = pty.openpty()
fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(columns), 0, 0))
child = subprocess.Popen(command, stdout=inside if "stdout" in streams else None, stderr=inside if "stderr" in streams else None)
os.close(inside)
while True:
    try:
        some = os.read(terminal, 65536)
    except OSError:
        break
    if not some:
        break
    os.write(3, some)
sys.exit(child.wait())
`;

export interface TerminalOptions {
  /** What is on the terminal; the others are pipes. */
  readonly streams: readonly ("stdout" | "stderr")[];
  readonly columns?: number;
  readonly env?: Readonly<Record<string, string>>;
}

export interface TerminalRun {
  /** Resolves once the terminal, or that pipe, has got this, an ESC as ␛. Rejects when the command ends without. */
  until(where: "terminal" | "stderr", what: RegExp): Promise<void>;
  /** Ends standard input behind this. What came is told with its ESC as ␛. */
  finish(input: string): Promise<{
    readonly code: number;
    readonly terminal: string;
    readonly stdout: string;
    readonly stderr: string;
  }>;
}

/** `clamgate …` with its standard input held open. */
export function startOnTerminal(args: readonly string[], { streams, columns = 80, env = {} }: TerminalOptions): TerminalRun {
  const { PATH = "", HOME = "/", NODE_COMPILE_CACHE = "" } = process.env;
  const child = spawn("python3", ["-c", holder, streams.join(), String(columns), process.execPath, mainPath, ...args], {
    env: { PATH, HOME, NODE_COMPILE_CACHE, TERM: "xterm-256color", ...env },
    stdio: ["pipe", "pipe", "pipe", "pipe"],
  });
  const seen = { terminal: "", stdout: "", stderr: "" };
  const sources = { terminal: child.stdio[3] as Readable, stdout: child.stdout, stderr: child.stderr };
  for (const name of ["terminal", "stdout", "stderr"] as const) {
    sources[name].setEncoding("utf8").on("data", (text: string) => {
      seen[name] += text.replaceAll("\x1b", "␛");
    });
  }
  const ended = once(child, "close");
  return {
    async until(where, what) {
      while (!what.test(seen[where])) {
        const [more] = await Promise.race([once(sources[where], "data"), ended.then(() => [null])]);
        if (more === null) throw new Error(`it ended without ${what}: ${JSON.stringify(seen)}`);
      }
    },
    async finish(input) {
      child.stdin.end(input);
      const [code] = await ended;
      return { code: Number(code), ...seen };
    },
  };
}

/** The lines that stand there in the end; knows what clamgate uses of a terminal, and fails where it uses more. */
export function screenOf(written: string): readonly string[] {
  const lines = [""];
  let column = 0;
  for (const [token] of written.matchAll(/␛\[[0-9;]*[A-Za-z]|./gs)) {
    const line = lines.at(-1) ?? "";
    if (token === "\n") lines.push("");
    else if (token === "\r") column = 0;
    else if (token === "␛[K") lines[lines.length - 1] = line.slice(0, column);
    else if (/^␛\[[0-9;]*m$/.test(token)) continue;
    else if (token < " ") throw new Error(`what does a terminal make of ${JSON.stringify(token)}?`);
    else {
      lines[lines.length - 1] = line.slice(0, column) + token + line.slice(column + 1);
      column += 1;
    }
  }
  return lines;
}
