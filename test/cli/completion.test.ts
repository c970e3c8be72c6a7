/** The three shells themselves complete `clamgate …`, and offer the same. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { commands, formats, type Shell, shells } from "../../src/cli/commands.ts";
import { completionFor } from "../../src/cli/completion.ts";

const run = promisify(execFile);

/** The last word is being typed. What is offered, whole words, in any order. */
const lines: Readonly<Record<string, readonly string[]>> = {
  "clamgate ": commands.map(({ name }) => name),
  "clamgate s": ["serve", "scan", "settings"],
  "clamgate scan --f": ["--file-list", "--format"],
  "clamgate scan files/one.txt --ex": ["--exclude"],
  "clamgate scan --exclude x --ex": ["--exclude"],
  "clamgate scan -iv --api": ["--api-key-file"],
  "clamgate keys --sc": ["--scopes"],
  "clamgate scan --format ": formats,
  "clamgate scan --format js": ["json", "jsonl"],
  "clamgate scan --format=js": ["json", "jsonl"],
  "clamgate scan --on-unscannable allow:limit-s": ["allow:limit-size"],
  "clamgate scan --on-unscannable=allow:limit-s": ["allow:limit-size"],
  "clamgate scan --to un": ["unix:///"],
  "clamgate scan --jobs ": [],
  "clamgate scan -j ": [],
  "clamgate scan --file-list files/o": ["files/one.txt"],
  "clamgate scan -o files/o": ["files/one.txt"],
  "clamgate scan files/": ["files/one.txt", "files/two.txt"],
  "clamgate scan serve files/o": ["files/one.txt"],
  "clamgate keys ": ["create", "list", "revoke"],
  "clamgate help s": ["serve", "scan", "settings"],
  "clamgate completion z": ["zsh"],
};

/** zsh completes the line in a pseudo-terminal of its own; what it adds to its list of matches, and the line in the end, are written down. */
const zshInside = `
autoload -Uz compinit
compinit -u -d $HOME/dump
source $HOME/zsh
compadd() {
  if [[ \${@[1,(i)(-|--)]} != *-(O|A|D)\\ * ]]; then
    local -a hits
    builtin compadd -A hits "$@"
    (( $#hits )) && print -rl -- offered:$^hits >>$HOME/answers
  fi
  builtin compadd "$@"
}
tell() { print -r -- "line:$BUFFER" >>$HOME/answers; exit }
zle -N tell
bindkey '^X' tell
print rea''dy`;
const zshOutside = `
zmodload zsh/zpty
: >$HOME/answers
zpty shell zsh -f -i
zpty -w shell "source $HOME/inside"
zpty -r -m shell some '*ready*'
zpty -w -n shell "$1"$'\\t\\x18'
while zpty -r shell some; do :; done
cat $HOME/answers`;

describe("completion", () => {
  let home: string;
  before(async () => {
    home = await mkdtemp(join(tmpdir(), "clamgate-completion-"));
    await mkdir(join(home, "files"));
    for (const name of ["one.txt", "two.txt"]) await writeFile(join(home, "files", name), "");
    for (const shell of shells) await writeFile(join(home, shell), completionFor([shell]));
    await writeFile(join(home, "inside"), zshInside);
  });
  after(() => rm(home, { recursive: true }));

  async function told(command: string, ...args: readonly string[]): Promise<readonly string[]> {
    const { PATH = "" } = process.env;
    const { stdout } = await run(command, args, { cwd: home, env: { PATH, HOME: home, TERM: "xterm" } });
    return stdout.split("\n").filter((line) => line !== "");
  }

  /** What bash's readline would be given, by the words as bash parts them. */
  async function bash(line: string): Promise<readonly string[]> {
    const words = line.split(/\s+|([=:])/).filter((word) => word !== undefined && (word !== "" || line.endsWith(" ")));
    const script = `source $HOME/bash; COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}
      _clamgate; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const typed = /\S*:/.exec(line.split(/[\s=]/).at(-1) ?? "")?.[0] ?? "";
    return (await told("bash", "--norc", "-c", script)).map((word) => typed + word);
  }

  async function zsh(line: string): Promise<readonly string[]> {
    const answers = await told("zsh", "-f", "-c", zshOutside, "zsh", line);
    const directory = /\S*\//.exec(line.split(" ").at(-1) ?? "")?.[0] ?? "";
    return answers.filter((answer) => answer.startsWith("offered:")).map((answer) => answer.replace("offered:", directory));
  }

  async function fish(line: string): Promise<readonly string[]> {
    const offered = await told("fish", "--no-config", "-c", "source $HOME/fish; complete -C $argv[1]", line);
    const option = /--\S+=/.exec(line)?.[0] ?? "";
    return offered.map((each) => (each.split("\t")[0] ?? "").replace(option, ""));
  }

  const ask = { bash, zsh, fish } as const satisfies Record<Shell, unknown>;
  for (const shell of shells) {
    test(`offers commands, options, values and files in ${shell}`, async () => {
      for (const [line, expected] of Object.entries(lines)) {
        assert.deepEqual((await ask[shell](line)).toSorted(), [...expected].toSorted(), `${shell}: ${line}`);
      }
    });
  }

  test("puts into zsh's line what is the only way on", async () => {
    const line = async (typed: string) => (await told("zsh", "-f", "-c", zshOutside, "zsh", typed)).at(-1);
    assert.equal(await line("clamgate scan --form"), "line:clamgate scan --format=");
    assert.equal(await line("clamgate scan -f files/t"), "line:clamgate scan -f files/two.txt ");
    assert.equal(await line("clamgate scan -"), "line:clamgate scan -");
    assert.ok((await readFile(join(home, "answers"), "utf8")).includes("offered:-i\n"));
  });
});
