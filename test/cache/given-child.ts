/** Gives copies in the file that it is told, four at a time, until it is killed. Says each address once the give has been answered. */

import { writeSync } from "node:fs";
import { copiesJournal } from "../../src/cache/copies-journal.ts";
import { copyOf } from "../contract/given-copies.ts";

const [path = ""] = process.argv.slice(2);
const copies = copiesJournal({ path, maxEntries: 100_000, emit: () => {}, now: Date.now });

async function giveForever(first: number): Promise<void> {
  for (let number = first; ; number += 4) {
    const address = number.toString(16).padStart(64, "0");
    await copies.give(address, copyOf("1"));
    writeSync(1, `${address}\n`);
  }
}

await Promise.all([0, 1, 2, 3].map(giveForever));
