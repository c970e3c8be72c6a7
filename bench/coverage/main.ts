/** `npm run coverage`: samples of each format, by the installed clamd alone and through the gateway → the tables of docs/coverage.md. */

import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createScanner, type Scanner } from "../../client/src/index.ts";
import { namesOf } from "../../src/core/verdict.ts";
import { marker, markerName, testSignatures } from "../../test/live/clamd.ts";
import { describeMachine } from "../machine.ts";
import { type Gateway, startGateway } from "../subjects/gateway.ts";
import { type Sample, tables } from "./samples.ts";
import { MissingTool, Workshop } from "./workshop.ts";

const page = new URL("../../docs/coverage.md", import.meta.url);
const mark = "<!-- coverage: `npm run coverage` renews it -->";
const columns = ["Format", "clamd alone", "clamgate", "with `archives`"];

const directory = await mkdtemp(join(tmpdir(), "clamgate-coverage-"));
try {
  await renew();
} finally {
  await rm(directory, { recursive: true, force: true });
}

async function renew(): Promise<void> {
  const database = join(directory, "database");
  await mkdir(database);
  for (const [name, content] of Object.entries(testSignatures)) await writeFile(join(database, name), content);
  await using byDefault = await gatewayIn("default", database, {});
  await using withArchives = await gatewayIn("archives", database, { UNSUPPORTED_FORMATS: "archives" });
  using workshop = new Workshop();
  const scanners = [
    createScanner(`unix://${await byDefault.clamdSocket()}`),
    createScanner(byDefault.url),
    createScanner(withArchives.url),
  ];
  const written: string[] = [];
  for (const { title, samples } of tables) {
    console.log(title);
    const rows = [];
    for (const sample of samples) rows.push(await rowOf(sample, workshop, scanners));
    written.push([`## ${title}`, "", line(columns), line(columns.map(() => "---")), ...rows].join("\n"));
  }
  for (const scanner of scanners) await scanner[Symbol.asyncDispose]();
  const before = await readFile(page, "utf8");
  const markAt = before.indexOf(mark);
  if (markAt === -1) throw new Error(`docs/coverage.md does not say where its tables begin: ${mark}`);
  const head = before.slice(0, markAt + mark.length);
  const { clamd } = await describeMachine();
  await writeFile(page, `${head}\n\nBy ${clamd.replace("ClamAV", "clamd")}.\n\n${written.join("\n\n")}\n`);
}

async function rowOf({ format, make }: Sample, workshop: Workshop, scanners: readonly Scanner[]): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = make(workshop);
  } catch (error) {
    if (!(error instanceof MissingTool)) throw error;
    console.log(`  ${format}: ${error.message} is not installed`);
    return line([format, "not made here", "", ""]);
  }
  if (bytes.includes(marker)) throw new Error(`${format}: the marker is seen without opening it`);
  const cells = [];
  for (const scanner of scanners) cells.push(await cellOf(scanner, bytes));
  return line([format, ...cells]);
}

async function cellOf(scanner: Scanner, bytes: Buffer): Promise<string> {
  const { verdict } = await scanner.scan(bytes);
  switch (verdict.kind) {
    case "clean":
      return "OK";
    case "infected":
      return verdict.signatures.includes(markerName) ? "found" : namesOf(verdict).join(", ");
    case "unscannable":
      return namesOf(verdict).join(", ");
  }
}

async function gatewayIn(name: string, database: string, env: Readonly<Record<string, string>>): Promise<Gateway> {
  const own = join(directory, name);
  await mkdir(own);
  return startGateway({ directory: own, env: { DATABASE_DIRECTORY: database, ...env } });
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}
