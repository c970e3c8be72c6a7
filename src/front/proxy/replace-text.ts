/** Replaces addresses in a text as it streams by, so that an index sends its readers through the gateway. */

export interface Replacement {
  /** Not empty. */
  readonly from: string;
  readonly to: string;
}

/** The first that fits at a place counts; what was put in is not looked at again. Bytes are compared, whatever the text's encoding. */
export async function* replaceText(
  body: AsyncIterable<Uint8Array>,
  replacements: readonly Replacement[],
): AsyncGenerator<Uint8Array, void, undefined> {
  const rules = replacements.map(({ from, to }) => ({ from: Buffer.from(from), to: Buffer.from(to) }));
  const longest = Math.max(1, ...rules.map(({ from }) => from.length));
  let held: Buffer = Buffer.alloc(0);
  for await (const chunk of body) {
    held = Buffer.concat([held, chunk]);
    // What may be the beginning of a longer match waits for the next chunk.
    const { replaced, rest } = replaceUpTo(held, Math.max(0, held.length - longest + 1), rules);
    held = rest;
    if (replaced.length > 0) yield replaced;
  }
  const { replaced } = replaceUpTo(held, held.length, rules);
  if (replaced.length > 0) yield replaced;
}

interface Rule {
  readonly from: Buffer;
  readonly to: Buffer;
}

/** Matches that begin before `limit`; the rest begins there, or behind a match that reaches further. */
function replaceUpTo(bytes: Buffer, limit: number, rules: readonly Rule[]): { readonly replaced: Buffer; readonly rest: Buffer } {
  const pieces: Buffer[] = [];
  let done = 0;
  for (;;) {
    const next = earliest(bytes, done, rules);
    if (next === null || next.at >= limit) break;
    pieces.push(bytes.subarray(done, next.at), next.rule.to);
    done = next.at + next.rule.from.length;
  }
  const end = Math.max(done, limit);
  pieces.push(bytes.subarray(done, end));
  return { replaced: Buffer.concat(pieces), rest: bytes.subarray(end) };
}

function earliest(bytes: Buffer, from: number, rules: readonly Rule[]): { readonly at: number; readonly rule: Rule } | null {
  let found: { readonly at: number; readonly rule: Rule } | null = null;
  for (const rule of rules) {
    const at = bytes.indexOf(rule.from, from);
    if (at >= 0 && (found === null || at < found.at)) found = { at, rule };
  }
  return found;
}
