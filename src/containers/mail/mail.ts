/** What a mail carries in base64: each text of it behind an empty line, or behind the first line of an armour. */

import type { BodyReader } from "../body-reader.ts";
import { headBytes } from "../kind.ts";

const beforeText = ["\n\n", "\n\r\n", "-----\n", "-----\r\n"];
const overlapBytes = 6;
const firstLine = /^[A-Za-z0-9+/]{8,}={0,2}[ \t]*(?:\r?\n|$)/;
const fewCharacters = 128;
const marksPerBreath = 512;
const lineFeed = 0x0a;
const lookCharacters = Math.ceil((headBytes * 4) / 3) + 100;

/** clamd unpacks and scans them: what that is worth is looked at here. */
export async function openAttachments(reader: BodyReader): Promise<void> {
  let marks = 0;
  for await (const { at, bytes } of reader.pieces(overlapBytes)) {
    for (const mark of beforeText) {
      for (let index = bytes.indexOf(mark, 0, "latin1"); index !== -1; index = bytes.indexOf(mark, index + 1, "latin1")) {
        const from = index + mark.length;
        const wasSeen = at > 0 && from <= overlapBytes;
        if (wasSeen) continue;
        marks += 1;
        if (marks % marksPerBreath === 0) await reader.breathe();
        if (bytes[from] === lineFeed) continue;
        // Most texts are no base64, which a few characters tell; at the end of the piece they may be cut.
        const few = bytes.toString("latin1", from, from + fewCharacters);
        const isCut = from + fewCharacters > bytes.length;
        if (!isCut && !firstLine.test(few)) continue;
        const text = isCut || endOfText(few) === few.length ? await textAt(reader, at + from) : few;
        if (!firstLine.test(text) || !reader.isWorthALook(Buffer.from(text.slice(0, endOfText(text)), "base64"))) continue;
        await reader.handOver({ isScanned: true, read: () => decoded(reader, at + from) });
      }
    }
  }
}

async function textAt(reader: BodyReader, at: number): Promise<string> {
  return (await reader.some(at, lookCharacters)).toString("latin1");
}

async function* decoded(reader: BodyReader, from: number): AsyncGenerator<Uint8Array, void, undefined> {
  let waiting = "";
  for await (const bytes of reader.range(from)) {
    const text = bytes.toString("latin1");
    const end = endOfText(text);
    const characters = waiting + text.slice(0, end).replace(/\s+/g, "");
    const whole = end === text.length ? characters.length - (characters.length % 4) : characters.length;
    yield Buffer.from(characters.slice(0, whole), "base64");
    if (end < text.length) return;
    waiting = characters.slice(whole);
  }
  yield Buffer.from(waiting, "base64");
}

/** Where something else stands: a boundary, an empty line. */
function endOfText(text: string): number {
  const index = text.search(/[^A-Za-z0-9+/=\s]|\n\r?\n/);
  return index === -1 ? text.length : index;
}
