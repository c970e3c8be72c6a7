/** Replaces addresses in a text as it streams by, so that an index sends its readers through the gateway. */

export interface Replacement {
  /** Not empty. */
  readonly from: string;
  readonly to: string;
}

/**
 * The first that fits at a place counts; what was put in is not looked at again. Bytes are compared, whatever the text's encoding.
 * A byte costs the same, however many rules there are and however nearly they fit.
 */
export async function* replaceText(
  body: AsyncIterable<Uint8Array>,
  replacements: readonly Replacement[],
): AsyncGenerator<Uint8Array, void, undefined> {
  const rules = replacements.map(({ from, to }) => ({ from: Buffer.from(from), to: Buffer.from(to) }));
  const longest = Math.max(1, ...rules.map(({ from }) => from.length));
  const search = new RuleSearch(rules);
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  for await (const chunk of body) {
    held.push(chunk);
    heldBytes += chunk.length;
    // Of so much at least half is done with: a byte is looked at twice, and not once for each chunk that comes.
    if (heldBytes < 2 * longest) continue;
    // What may be the beginning of a longer match waits for the next chunk.
    const { replaced, rest } = search.replaceUpTo(Buffer.concat(held), heldBytes - longest + 1);
    held = [rest];
    heldBytes = rest.length;
    if (replaced.length > 0) yield replaced;
  }
  const { replaced } = search.replaceUpTo(Buffer.concat(held), heldBytes);
  if (replaced.length > 0) yield replaced;
}

interface Rule {
  readonly from: Buffer;
  readonly to: Buffer;
}

const none = -1;

/**
 * Aho and Corasick's automaton, read from the text's end to its beginning: at each byte it knows which rules begin there. Read the other way it
 * would know which ones end there, and could not tell yet whether an earlier rule fits that is longer.
 */
class RuleSearch {
  readonly #rules: readonly Rule[];
  /** A number for each byte that is in a rule; 0 for all others. */
  readonly #letters = new Uint16Array(256);
  #letterCount = 1;
  /** The state behind each state and letter, in one table. State 0: no end of a rule. */
  readonly #next: Uint32Array;
  /** The first rule that begins at a state, or `none`. */
  readonly #found: Int32Array;

  constructor(rules: readonly Rule[]) {
    this.#rules = rules;
    for (const { from } of rules) for (const byte of from) this.#letters[byte] ||= this.#letterCount++;
    const states = 1 + rules.reduce((bytes, { from }) => bytes + from.length, 0);
    this.#next = new Uint32Array(states * this.#letterCount);
    this.#found = new Int32Array(states).fill(none);
    this.#addRules();
    this.#addFallbacks(states);
  }

  /** Matches that begin before `limit`; the rest begins there, or behind a match that reaches further. */
  replaceUpTo(bytes: Buffer, limit: number): { readonly replaced: Buffer; readonly rest: Buffer } {
    const pieces: Buffer[] = [];
    const begins = this.#beginsIn(bytes, limit);
    let done = 0;
    for (let at = 0; at < limit; at += 1) {
      const index = begins[at] ?? none;
      const rule = index === none ? undefined : this.#rules[index];
      if (rule === undefined) continue;
      if (at > done) pieces.push(bytes.subarray(done, at));
      pieces.push(rule.to);
      done = at + rule.from.length;
      at = done - 1;
    }
    const end = Math.max(done, limit);
    pieces.push(bytes.subarray(done, end));
    return { replaced: Buffer.concat(pieces), rest: bytes.subarray(end) };
  }

  /** For each place the rule that fits there, or `none`. */
  #beginsIn(bytes: Buffer, limit: number): Int32Array {
    const begins = new Int32Array(limit);
    let state = 0;
    for (let at = bytes.length - 1; at >= 0; at -= 1) {
      state = this.#next[state * this.#letterCount + (this.#letters[bytes[at] ?? 0] ?? 0)] ?? 0;
      if (at < limit) begins[at] = this.#found[state] ?? none;
    }
    return begins;
  }

  /** A state for each end of a rule, the whole rule included. */
  #addRules(): void {
    let states = 1;
    for (const [index, { from }] of this.#rules.entries()) {
      let state = 0;
      for (const byte of from.toReversed()) {
        const place = state * this.#letterCount + (this.#letters[byte] ?? 0);
        state = this.#next[place] ||= states++;
      }
      if (this.#found[state] === none) this.#found[state] = index;
    }
  }

  /** Where no rule goes on, the longest other end of a rule that has been read does. Shorter ones come first. */
  #addFallbacks(states: number): void {
    const fallbacks = new Uint32Array(states);
    const reached = [0];
    for (const state of reached) {
      const fallback = fallbacks[state] ?? 0;
      this.#found[state] = firstOf(this.#found[state] ?? none, this.#found[fallback] ?? none);
      for (let letter = 0; letter < this.#letterCount; letter += 1) {
        const place = state * this.#letterCount + letter;
        const next = this.#next[place] ?? 0;
        const behindFallback = state === 0 ? 0 : (this.#next[fallback * this.#letterCount + letter] ?? 0);
        if (next === 0) this.#next[place] = behindFallback;
        else {
          fallbacks[next] = behindFallback;
          reached.push(next);
        }
      }
    }
  }
}

function firstOf(one: number, other: number): number {
  if (one === none || other === none) return Math.max(one, other);
  return Math.min(one, other);
}
