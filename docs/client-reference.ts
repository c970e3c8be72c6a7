/** The library's reference, in Markdown, from the declarations that tsc emits: their doc comments are its text. */

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** A statement of a declaration file, with the comment in front of it. */
interface Declaration {
  readonly comment: string;
  readonly code: string;
}

const entries = ["index", "express", "fastify", "nest", "next", "hono", "clamscan"];
/** What the entries name, and none of them exports. */
const named = ["Unscannable", "unscannableReasons", "UploadReport", "Refusal", "UploadedFile", "WalkOptions"];

const intro = `# Reference of @clamgate/client

Printed from the declarations and their comments: \`npm run docs\` renews it. How it is used is in the [README](../README.md).
`;

/** @param dist where tsc has put `client/src/*.d.ts` and `src/…`. */
export async function clientReference(dist: string): Promise<string> {
  const declared = new Map<string, Declaration>();
  const files = new Map<string, readonly Declaration[]>();
  for (const path of await readdir(dist, { recursive: true })) {
    if (!path.endsWith(".d.ts")) continue;
    const declarations = declarationsIn(await readFile(join(dist, path), "utf8"));
    files.set(path, declarations);
    for (const declaration of declarations) {
      const name = nameOf(declaration);
      if (name !== null) declared.set(name, declaration);
    }
  }
  const section = (title: string, comment: string, names: readonly string[]) =>
    [`## ${title}`, proseOf(comment), ...names.map((name) => entryOf(name, declared.get(name)))].join("\n\n");
  const sections = entries.map((entry) => {
    const declarations = files.get(join("client/src", `${entry}.d.ts`)) ?? [];
    const title = entry === "index" ? "@clamgate/client" : `@clamgate/client/${entry}`;
    // The comment of the file stands before its first statement.
    return section(title, declarations[0]?.comment ?? "", declarations.flatMap(namesOf));
  });
  const others = section("Named above", "/** These have no entry of their own. */", named);
  return `${[intro.trim(), ...sections, others].join("\n\n")}\n`;
}

/** tsc begins each statement, and nothing else but closing brackets, in the first column. */
function declarationsIn(text: string): readonly Declaration[] {
  const found: Declaration[] = [];
  let comment: string[] = [];
  let code: string[] = [];
  const end = () => {
    if (code.length > 0) found.push({ comment: comment.join("\n"), code: code.join("\n") });
    if (code.length > 0) comment = [];
    code = [];
  };
  for (const line of text.split("\n")) {
    if (line.startsWith("//#") || line === "") continue;
    if (line.startsWith("/**")) {
      end();
      comment = [line];
    } else if (line.startsWith(" *")) comment.push(line);
    else {
      if (/^(import|export|declare) /.test(line)) end();
      code.push(line);
    }
  }
  end();
  return found;
}

function nameOf({ code }: Declaration): string | null {
  const [, name = null] =
    /^(?:export )?(?:declare )?(?:abstract )?(?:class|interface|type|function|const) (\w+)/.exec(code) ?? [];
  return name;
}

/** What a statement of an entry makes known: itself, or what it passes on. */
function namesOf(declaration: Declaration): readonly string[] {
  const { code } = declaration;
  if (code.startsWith("import ") || code === "export {};") return [];
  const [, list] = /^export (?:type )?\{([^}]*)\} from/.exec(code) ?? [];
  if (list !== undefined) return list.split(",").flatMap((each) => each.replace("type ", "").trim() || []);
  const name = nameOf(declaration);
  return name === null ? [] : [name];
}

function entryOf(name: string, declaration: Declaration | undefined): string {
  if (declaration === undefined) throw new Error(`${name} is declared nowhere`);
  const code = declaration.code
    .replaceAll(/^ {4}#private;\n/gm, "")
    .replaceAll("export ", "")
    .replaceAll("declare ", "");
  return [`### ${name}`, proseOf(declaration.comment), `\`\`\`ts\n${code}\n\`\`\``].filter((part) => part !== "").join("\n\n");
}

/** A doc comment as text; each of its tags as a line of its own. */
function proseOf(comment: string): string {
  const text = comment
    .replace(/\*\/$/, "")
    .split("\n")
    .map((line) => line.replace(/^(\/\*\*| \*)/, "").trim())
    .join(" ")
    .trim();
  return text
    .replaceAll(/\s*@param (\w+) /g, "\n\n`$1`: ")
    .replaceAll(/\s*@throws (\w+)/g, "\n\nThrows `$1`")
    .replaceAll(/\s*@returns? /g, "\n\nReturns ")
    .trim();
}
