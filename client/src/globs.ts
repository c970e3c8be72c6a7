/** Which paths a list of globs leaves out, as .gitignore reads them: `*`, `?` and `[…]` within a name, `**` over several. */

/** @param path relative, with slashes. */
export function isExcluded(path: string, globs: readonly string[]): boolean {
  return globs.some((glob) => {
    const trimmed = glob.replace(/\/+$/, "").replace(/^\.?\//, "");
    if (trimmed === "") return false;
    const isNameAlone = !glob.replace(/\/+$/, "").includes("/");
    const subject = isNameAlone ? path.slice(path.lastIndexOf("/") + 1) : path;
    return fits(subject.split("/"), trimmed.split("/"));
  });
}

/** Each `**` keeps the last place it was tried from: the steps are the product of both lengths, at most. */
function fits(names: readonly string[], parts: readonly string[]): boolean {
  let [name, part] = [0, 0];
  let [retryName, retryPart] = [-1, -1];
  while (name < names.length) {
    if (parts[part] === "**") {
      [retryName, retryPart] = [name, part];
      part += 1;
    } else if (part < parts.length && fitsName(names[name] ?? "", parts[part] ?? "")) {
      name += 1;
      part += 1;
    } else if (retryPart >= 0) {
      retryName += 1;
      [name, part] = [retryName, retryPart + 1];
    } else return false;
  }
  while (parts[part] === "**") part += 1;
  return part === parts.length;
}

function fitsName(name: string, pattern: string): boolean {
  let [at, in_] = [0, 0];
  let [retryAt, retryIn] = [-1, -1];
  while (at < name.length) {
    const one = tokenAt(pattern, in_);
    if (one?.kind === "any") {
      [retryAt, retryIn] = [at, in_];
      in_ = one.next;
    } else if (one !== null && isOne(one, name[at] ?? "")) {
      at += 1;
      in_ = one.next;
    } else if (retryIn >= 0) {
      retryAt += 1;
      [at, in_] = [retryAt, retryIn + 1];
    } else return false;
  }
  while (pattern[in_] === "*") in_ += 1;
  return in_ === pattern.length;
}

type Token =
  | { readonly kind: "any" | "one"; readonly next: number }
  | { readonly kind: "set"; readonly next: number; readonly set: string; readonly isNegated: boolean }
  | { readonly kind: "literal"; readonly next: number; readonly character: string };

function tokenAt(pattern: string, at: number): Token | null {
  const character = pattern[at];
  if (character === undefined) return null;
  if (character === "*") return { kind: "any", next: at + 1 };
  if (character === "?") return { kind: "one", next: at + 1 };
  if (character === "\\" && at + 1 < pattern.length) return { kind: "literal", next: at + 2, character: pattern[at + 1] ?? "" };
  const end = character === "[" ? pattern.indexOf("]", at + 2) : -1;
  if (end < 0) return { kind: "literal", next: at + 1, character };
  const isNegated = pattern[at + 1] === "!" || pattern[at + 1] === "^";
  return { kind: "set", next: end + 1, set: pattern.slice(at + (isNegated ? 2 : 1), end), isNegated };
}

function isOne(token: Exclude<Token, { kind: "any" }>, character: string): boolean;
function isOne(token: Token, character: string): boolean;
function isOne(token: Token, character: string): boolean {
  if (token.kind === "literal") return token.character === character;
  if (token.kind !== "set") return true;
  let isIn = false;
  for (let at = 0; at < token.set.length; at += 1) {
    const [from = "", dash, to] = token.set.slice(at, at + 3);
    if (dash === "-" && to !== undefined) {
      isIn ||= from <= character && character <= to;
      at += 2;
    } else isIn ||= from === character;
  }
  return isIn !== token.isNegated;
}
