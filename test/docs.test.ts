/** What the documents name is there: files, tests, places they link to, commands, settings. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { settingsAsMarkdown } from "../src/config/print-settings.ts";
import { settings } from "../src/config/settings.ts";

const root = new URL("..", import.meta.url).pathname;
const documents = [
  "README.md",
  "SECURITY.md",
  "CONTRIBUTING.md",
  "client/README.md",
  "client/docs/reference.md",
  "deploy/README.md",
  "docs/access.md",
  "docs/clamd.md",
  "docs/cli.md",
  "docs/containers.md",
  "docs/coverage.md",
  "docs/download-proxy.md",
  "docs/download-proxy-fields.md",
  "docs/icap.md",
  "docs/moving.md",
  "docs/operating.md",
  "docs/page.md",
  "docs/performance.md",
  "docs/reliability.md",
  "docs/rest.md",
  "docs/searches.md",
  "docs/settings.md",
];
/** Variables of others: Node's, the image's, the template's for nginx, the library's, the command line's and OpenCloud's. */
const foreign =
  /^(NODE_OPTIONS|HTTPS_PROXY|NODE_IMAGE|DEBIAN_IMAGE|BAKE_SIGNATURES|EXAMPLE_.+|CLAMGATE_URL|CLAMGATE_API_KEY|NODE_EXTRA_CA_CERTS|NO_COLOR|ANTIVIRUS_.+)$/;

const read = (path: string) => readFile(join(root, path), "utf8");

describe("the commands of package.json", () => {
  test("run files that are kept with the source", async () => {
    const { scripts } = JSON.parse(await read("package.json")) as { scripts: Readonly<Record<string, string>> };
    const kept = new Set(execFileSync("git", ["ls-files"], { cwd: root, encoding: "utf8" }).split("\n"));
    const named = Object.values(scripts).flatMap((script) =>
      matches(script, /((?:bench|test|setup|docs|src)\/[\w./-]+\.(?:ts|mjs))/g),
    );
    assert.ok(named.length > 5);
    assert.deepEqual(
      named.filter((path) => !kept.has(path)),
      [],
    );
  });
});

describe("the documents", () => {
  for (const document of documents) {
    test(`${document} names files that are there`, async () => {
      const text = await read(document);
      const named = matches(text, /`((?:\.\.\/)?(?:src|test|docs|deploy|bench)\/[\w./-]+)`/g);
      // A path is told from the repository's root, or from the document.
      const isThere = (path: string) => existsSync(join(root, path)) || existsSync(join(root, dirname(document), path));
      assert.deepEqual(
        named.filter((path) => !isThere(path)),
        [],
      );
    });

    test(`${document} links to what is there`, async () => {
      const broken: string[] = [];
      for (const link of matches(await read(document), /\]\(([^)\s]+)\)/g)) {
        if (/^https?:/.test(link)) continue;
        const [path = "", anchor] = link.split("#");
        const target = path === "" ? document : join(dirname(document), path);
        if (!existsSync(join(root, target))) broken.push(link);
        else if (anchor !== undefined && !(await anchorsOf(target)).has(anchor)) broken.push(link);
      }
      assert.deepEqual(broken, []);
    });

    test(`${document} names commands and settings that there are`, async () => {
      const text = await read(document);
      const { scripts }: { readonly scripts: Readonly<Record<string, string>> } = JSON.parse(await read("package.json"));
      const commands = matches(text, /npm run ([\w:-]+)/g).filter((name) => scripts[name] === undefined);
      assert.deepEqual(commands, []);
      const known = new Set<string>(settings.map(({ name }) => name));
      const variables = matches(text, /`([A-Z]+_[A-Z_]+)(?:=[^`]*)?`/g);
      assert.deepEqual(
        variables.filter((name) => !known.has(name) && !foreign.test(name)),
        [],
      );
    });
  }

  test("docs/settings.md has the table as the code prints it", async () => {
    assert.ok((await read("docs/settings.md")).includes(settingsAsMarkdown(settings)), "npm run docs renews it");
  });

  test("docs/reliability.md has a row for every fault and every bad input, each with a test", async () => {
    const lines = (await read("docs/reliability.md")).split("\n");
    const ids = [...numbered("F", 23), ...numbered("B", 16).filter((id) => id !== "B2")];
    for (const id of ids) {
      const rows = lines.filter((line) => line.startsWith(`| ${id} |`));
      assert.equal(rows.length, 1, id);
      assert.match(rows[0] ?? "", /`test\/[\w./-]+\.test\.ts`/, id);
    }
  });
});

function matches(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, found = ""]) => found);
}

/** As the usual hosts make them of headings. */
async function anchorsOf(document: string): Promise<ReadonlySet<string>> {
  const headings = matches(await read(document), /^#+ (.+)$/gm);
  const anchors = new Set<string>();
  for (const heading of headings) {
    const plain = heading.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "");
    const anchor = plain.trim().replaceAll(" ", "-");
    let number = 0;
    while (anchors.has(number === 0 ? anchor : `${anchor}-${number}`)) number += 1;
    anchors.add(number === 0 ? anchor : `${anchor}-${number}`);
  }
  return anchors;
}

function numbered(letter: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${letter}${index + 1}`);
}
