/** Random numbers that the same seed gives again, so that a failed run can be repeated. */

export interface Random {
  /** At least 0, below 1. */
  next(): number;
  /** A whole number at least 0 and below `end`. */
  below(end: number): number;
  /** A whole number from `least` to `most`, each order of magnitude as likely as the others. */
  size(least: number, most: number): number;
  pick<T>(from: readonly T[]): T;
  bytes(length: number): Buffer;
}

export function seededRandom(seed: number): Random {
  let state = seed >>> 0;

  /** mulberry32: 32 bits of state are plenty for tests. */
  function bits(): number {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  const next = () => bits() / 2 ** 32;
  const below = (end: number) => Math.floor(next() * end);
  return {
    next,
    below,
    size: (least, most) => Math.round(least * (most / least) ** next()),
    pick(from) {
      const picked = from[below(from.length)];
      if (picked === undefined) throw new RangeError("there is nothing to pick from");
      return picked;
    },
    bytes(length) {
      const words = new Uint32Array(Math.ceil(length / 4));
      for (let index = 0; index < words.length; index += 1) words[index] = bits();
      return Buffer.from(words.buffer, 0, length);
    },
  };
}

/** The seed a run is told by `SEED`, else a new one. Whoever uses it prints it. */
export function chooseSeed(environment: NodeJS.ProcessEnv = process.env): number {
  const given = Number(environment.SEED);
  return Number.isSafeInteger(given) && environment.SEED !== undefined ? given : Math.floor(Math.random() * 2 ** 31);
}
