/** YAML files as plain data, and what the tests may ask of it. */

import { readFileSync } from "node:fs";
import { parseAllDocuments } from "yaml";
import { deployDirectory } from "./image.ts";

/** Every document of a file below deploy/; throws on any error or warning, a key that comes twice among them. */
export function readYaml(path: string): readonly Node[] {
  return parseAllDocuments(readFileSync(new URL(path, deployDirectory), "utf8"), { strict: true, uniqueKeys: true }).map(
    (document) => {
      const [problem] = [...document.errors, ...document.warnings];
      if (problem !== undefined) throw new Error(`${path}: ${problem.message}`);
      return new Node(document.toJS(), path);
    },
  );
}

/** The only document of a file. */
export function readOneYaml(path: string): Node {
  const [one, ...more] = readYaml(path);
  if (one === undefined || more.length > 0) throw new Error(`${path} has ${more.length + 1} documents`);
  return one;
}

/** A place in a document: what is asked for must be there, so that a test does not pass on a name written wrong. */
export class Node {
  readonly value: unknown;
  readonly place: string;

  constructor(value: unknown, place: string) {
    this.value = value;
    this.place = place;
  }

  /** Keys and indexes, one after the other. Throws where there is nothing. */
  at(...path: readonly (string | number)[]): Node {
    const found = this.find(...path);
    if (found === null) throw new Error(`${this.place}: there is no ${path.join(".")}`);
    return found;
  }

  find(...path: readonly (string | number)[]): Node | null {
    let value = this.value;
    for (const key of path) {
      if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return null;
      value = (value as Record<string | number, unknown>)[key]; // has it, as just seen
    }
    return new Node(value, [this.place, ...path].join("."));
  }

  items(): readonly Node[] {
    if (!Array.isArray(this.value)) throw new Error(`${this.place} is no list`);
    return this.value.map((value, index) => new Node(value, `${this.place}.${index}`));
  }

  /** The item of a list whose key `name` has that value. */
  named(name: string): Node {
    const found = this.items().find((item) => item.find("name")?.value === name);
    if (found === undefined) throw new Error(`${this.place}: there is no ${name}`);
    return found;
  }

  text(): string {
    if (typeof this.value !== "string") throw new Error(`${this.place} is no text: ${JSON.stringify(this.value)}`);
    return this.value;
  }

  /** A map of texts; numbers and booleans that YAML has made of them are refused, as Kubernetes does. */
  texts(): Readonly<Record<string, string>> {
    if (typeof this.value !== "object" || this.value === null) throw new Error(`${this.place} is no map`);
    return Object.fromEntries(Object.keys(this.value).map((key) => [key, this.at(key).text()]));
  }
}
