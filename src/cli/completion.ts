/** What makes bash, zsh and fish complete commands and options: made from the table of commands. */

import { type Command, commands, type Option, type Shell, shells, UsageError } from "./commands.ts";

/** @throws UsageError where the operands are not one shell. */
export function completionFor(operands: readonly string[]): string {
  const [word, ...more] = operands;
  const shell = shells.find((known) => known === word);
  if (shell === undefined || more.length > 0) throw new UsageError(`name one shell: ${shells.join(", ")}`);
  return scripts[shell]();
}

const scripts = { bash, zsh, fish } as const satisfies Record<Shell, () => string>;

function bash(): string {
  const cases = commands.map((command) => {
    const values = command.options.flatMap((option) => {
      const { value } = option;
      if (value === undefined) return [];
      const names = [`--${option.name}`, ...(option.short === undefined ? [] : [`-${option.short}`])].join("|");
      const offered =
        value.completes === "files"
          ? 'compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current"))'
          : words(value.completes ?? []);
      return [`        ${names}) ${offered}; return ;;`];
    });
    return `    ${command.name})
      case "$previous" in
${values.join("\n")}
      esac
      if [[ $current == -* ]]; then ${words(optionNames(command))}; return; fi
      ${operandsOf(command)} ;;`;
  });
  return `# bash completion for clamgate; made by: clamgate completion bash
_clamgate() {
  # For bash --to=http://x is five words; what it puts in stands behind the last colon.
  local at=$COMP_CWORD current=\${COMP_WORDS[COMP_CWORD]} head=
  COMPREPLY=()
  if [[ $current == : ]]; then head=\${COMP_WORDS[--at]}: current=
  elif ((at > 2)) && [[ \${COMP_WORDS[at-1]} == : ]]; then head=\${COMP_WORDS[at-=2]}:
  fi
  if [[ $current == = ]]; then current=
  elif [[ \${COMP_WORDS[at-1]} == = ]]; then ((at -= 1))
  fi
  current=$head$current
  _clamgate_offer "\${COMP_WORDS[at-1]}"
  COMPREPLY=("\${COMPREPLY[@]#"$head"}")
}
_clamgate_offer() {
  local previous=$1
  if ((COMP_CWORD == 1)); then ${words(commands.map(({ name }) => name))}; return; fi
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
  esac
}
complete -F _clamgate clamgate
`;

  function words(all: readonly string[]): string {
    return `COMPREPLY=($(compgen -W '${all.join(" ")}' -- "$current"))`;
  }

  function operandsOf({ completes }: Command): string {
    if (completes === "files") return 'compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current"))';
    return words(wordsOf(completes));
  }
}

function zsh(): string {
  const functions = commands.map((command) => {
    const specs = command.options.flatMap(zshSpecs).map((spec) => `    ${quoted(spec)}`);
    const { completes } = command;
    const operands =
      completes === "files"
        ? ["    '*:file:_files'"]
        : completes === null
          ? []
          : [`    '1:word:(${wordsOf(completes).join(" ")})'`];
    return `    ${command.name})
      _arguments -s -S ${["", ...specs, ...operands].join(" \\\n    ")} ;;`;
  });
  return `#compdef clamgate
# zsh completion for clamgate; made by: clamgate completion zsh
_clamgate() {
  if ((CURRENT == 2)); then
    local -a names=(
${commands.map(({ name, summary }) => `      ${quoted(`${name}:${summary}`)}`).join("\n")}
    )
    _describe command names
    return
  fi
  local name=$words[2]
  shift words
  ((CURRENT--))
  case $name in
${functions.join("\n")}
  esac
}
compdef _clamgate clamgate
`;
}

/** Of `_arguments`: `(-f --file-list)--file-list=[text]:FILE:_files`, and the same of `-f+` where there is a short name. */
function zshSpecs({ name, short, value, isRepeatable, help }: Option): readonly string[] {
  const text = firstSentence(help).replace(/[[\]\\:]/g, "\\$&");
  const action =
    value?.completes === "files"
      ? "_files"
      : value?.completes == null
        ? ""
        : `(${value.completes.join(" ").replaceAll(":", "\\:")})`;
  const [long, brief] = value === undefined ? [`--${name}`, `-${short}`] : [`--${name}=`, `-${short}+`];
  const once = isRepeatable ? "*" : short === undefined ? "" : `(-${short} --${name})`;
  const rest = `[${text}]${value === undefined ? "" : `:${value.name}:${action}`}`;
  return (short === undefined ? [long] : [brief, long]).map((each) => `${once}${each}${rest}`);
}

function fish(): string {
  const lines = commands.flatMap(({ name, summary, options, completes }) => {
    const within = `__clamgate_runs ${name}`;
    const operands =
      completes === "files" ? [] : [`complete -c clamgate -n ${quoted(within)} -f -a ${quoted(wordsOf(completes).join(" "))}`];
    return [
      `complete -c clamgate -n __fish_use_subcommand -f -a ${name} -d ${quoted(summary)}`,
      ...options.map(
        (option) => `complete -c clamgate -n ${quoted(within)} ${fishFlags(option)} -d ${quoted(firstSentence(option.help))}`,
      ),
      ...operands,
    ];
  });
  return `# fish completion for clamgate; made by: clamgate completion fish
function __clamgate_runs # a later word may be a file with the name of a command
    set -l words (commandline -opc)
    test "$words[2]" = "$argv[1]"
end
${lines.join("\n")}
`;
}

function fishFlags({ name, short, value }: Option): string {
  const names = `${short === undefined ? "" : `-s ${short} `}-l ${name}`;
  if (value === undefined) return names;
  if (value.completes === "files") return `${names} -r -F`;
  return value.completes === null ? `${names} -x` : `${names} -x -a ${quoted(value.completes.join(" "))}`;
}

function optionNames({ options }: Command): readonly string[] {
  return options.flatMap(({ name, short }) => [`--${name}`, ...(short === undefined ? [] : [`-${short}`])]);
}

function wordsOf(completes: Exclude<Command["completes"], "files">): readonly string[] {
  if (completes === null) return [];
  return completes === "commands" ? commands.map(({ name }) => name) : completes;
}

function firstSentence(text: string): string {
  return text
    .replaceAll("`", "")
    .replace(/([^.]\.) .*$/s, "$1")
    .replace(/\.$/, "");
}

/** Of all three shells: a quote ends the text, stands by itself, and begins it anew. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
