/** A queue that serves clients in turn: however many requests one of them has in it, the next client's first one is next but one. */

import { Chain, type Link } from "./chain.ts";

export interface FairQueueOptions<Item> {
  /** Of all clients together. */
  readonly max: number;
  /** Of one client. A lone one may fill the queue where this is not less than `max`. */
  readonly maxOfOne: number;
  /** Told of an item that had to leave, since the queue was full and a client with fewer came: it was the last of the longest line. */
  readonly crowdOut: (item: Item) => void;
}

export interface FairQueue<Item> {
  size(): number;
  /** Adds it behind the others of its client. Returns what takes it out again, once is enough; null where there is no room for it. */
  add(client: string, item: Item): (() => void) | null;
  /** Takes out the one whose turn it is. */
  next(): Item | null;
}

/** One client's. */
interface Line<Item> {
  readonly client: string;
  readonly items: Chain<Item>;
  /** Its place among those that wait for their turn. */
  turn: Link<Line<Item>> | null;
  /** Its place among the lines of its length. */
  rank: Link<Line<Item>> | null;
}

/** Nothing here takes longer for more clients or longer lines. */
export function createFairQueue<Item>({ max, maxOfOne, crowdOut }: FairQueueOptions<Item>): FairQueue<Item> {
  /** No Map, for the reason that `ActiveSet` gives. */
  const lines: Record<string, Line<Item>> = Object.create(null);
  const turns = new Chain<Line<Item>>();
  /** By their length; there is none of length 0. */
  const ranks: Chain<Line<Item>>[] = [];
  let longest = 0;
  let size = 0;

  function ranked(length: number): Chain<Line<Item>> {
    ranks[length] ??= new Chain();
    return ranks[length];
  }

  function open(client: string): Line<Item> {
    const line: Line<Item> = { client, items: new Chain(), turn: null, rank: null };
    lines[client] = line;
    line.turn = turns.add(line);
    return line;
  }

  /** To be called after each change of its length: by one. */
  function rank(line: Line<Item>): void {
    const length = line.items.size;
    line.rank?.remove();
    if (length === 0) {
      line.turn?.remove();
      delete lines[line.client];
    } else line.rank = ranked(length).add(line);
    if (length > longest) longest = length;
    while (longest > 0 && ranked(longest).size === 0) longest -= 1;
  }

  function remove(line: Line<Item>, link: Link<Item>): void {
    const before = line.items.size;
    link.remove();
    if (line.items.size === before) return;
    size -= 1;
    rank(line);
  }

  /** False where all that wait have as much right to. */
  function makeRoomFor(ownLength: number): boolean {
    const line = ranks[longest]?.first?.item;
    const last = line?.items.last ?? null;
    if (line === undefined || last === null || ownLength + 1 >= longest) return false;
    remove(line, last);
    crowdOut(last.item);
    return true;
  }

  return {
    size: () => size,
    add(client, item) {
      const ownLength = lines[client]?.items.size ?? 0;
      if (ownLength >= maxOfOne) return null;
      if (size >= max && !makeRoomFor(ownLength)) return null;
      const line = lines[client] ?? open(client);
      const link = line.items.add(item);
      size += 1;
      rank(line);
      return () => remove(line, link);
    },
    next() {
      const line = turns.first?.item;
      const first = line?.items.first ?? null;
      if (line === undefined || first === null) return null;
      // Its next turn comes behind everybody else's.
      line.turn?.remove();
      line.turn = turns.add(line);
      remove(line, first);
      return first.item;
    },
  };
}
