/** Clients take turns: in a queue, and for places that they share. However much one of them wants, the next client's first one is next but one of its priority. */

import { ClamgateError } from "../errors.ts";
import { Chain, type Link } from "./chain.ts";

export const priorities = ["interactive", "batch"] as const;

/** Somebody waits for `interactive`; for `batch` nobody does. */
export type Priority = (typeof priorities)[number];

/** Turns in a row that `interactive` takes while `batch` waits too: that one is slow then, and never stands still. */
const turnsInARow = 4;

export interface FairQueueOptions<Item> {
  /** Of all clients together. */
  readonly max: number;
  /** Of one client. A lone one may fill the queue where this is not less than `max`. */
  readonly maxOfOne: number;
  /** Asked when a client comes that has none waiting; without it all are `interactive`. */
  readonly priorityOf?: ((client: string) => Priority) | undefined;
  /** Told of an item that had to leave, since the queue was full and a client with fewer came: it was the last of the longest line. */
  readonly crowdOut: (item: Item) => void;
}

export interface FairQueue<Item> {
  size(): number;
  /** Adds it behind the others of its client. Returns what takes it out again, once is enough; null where there is no room for it. */
  add(client: string, item: Item): (() => void) | null;
  /** The one whose turn it is. */
  first(): Item | null;
  /** Takes that one out. */
  next(): Item | null;
}

/** One client's. */
interface Line<Item> {
  readonly client: string;
  readonly items: Chain<Item>;
  readonly priority: Priority;
  /** Its place among those of its priority that wait for their turn. */
  turn: Link<Line<Item>> | null;
  /** Its place among the lines of its length. */
  rank: Link<Line<Item>> | null;
}

/** Nothing here takes longer for more clients or longer lines. */
export function createFairQueue<Item>({
  max,
  maxOfOne,
  priorityOf = () => "interactive",
  crowdOut,
}: FairQueueOptions<Item>): FairQueue<Item> {
  /** No Map, for the reason that `ActiveSet` gives. */
  const lines: Record<string, Line<Item>> = Object.create(null);
  const turns: Readonly<Record<Priority, Chain<Line<Item>>>> = { interactive: new Chain(), batch: new Chain() };
  /** Turns of `interactive` since `batch` had one, or had nobody waiting. */
  let inARow = 0;
  /** By their length; there is none of length 0. */
  const ranks: Chain<Line<Item>>[] = [];
  let longest = 0;
  let size = 0;

  function ranked(length: number): Chain<Line<Item>> {
    ranks[length] ??= new Chain();
    return ranks[length];
  }

  function open(client: string): Line<Item> {
    const priority = priorityOf(client);
    const line: Line<Item> = { client, items: new Chain(), priority, turn: null, rank: null };
    lines[client] = line;
    line.turn = turns[priority].add(line);
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

  function nextLine(): Line<Item> | undefined {
    const [interactive, batch] = [turns.interactive.first, turns.batch.first];
    const isBatch = interactive === null || (batch !== null && inARow >= turnsInARow);
    return (isBatch ? batch : interactive)?.item;
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
    first: () => nextLine()?.items.first?.item ?? null,
    next() {
      const line = nextLine();
      const first = line?.items.first ?? null;
      if (line === undefined || first === null) return null;
      inARow = line.priority === "batch" || turns.batch.first === null ? 0 : inARow + 1;
      // Its next turn comes behind everybody else's.
      line.turn?.remove();
      line.turn = turns[line.priority].add(line);
      remove(line, first);
      return first.item;
    },
  };
}

export interface FairPlacesOptions {
  readonly places: number;
  /** How many of one client may wait. */
  readonly maxWaiting: number;
}

export interface FairPlaces {
  /** Resolves with what gives the place back, to be called once. Rejects with `queue-full`, or with the signal's reason. */
  take(client: string, signal: AbortSignal): Promise<() => void>;
}

/** In the order in which they came. */
type Waiting = Set<() => void>;

/**
 * A client with none takes any free place; one that has some takes another while it has less than this part of the free ones. A fixed bound
 * must be small, or a few clients take everything. This one gives a lone client a ninth of all, and leaves room after forty that take what
 * they can get.
 */
const shareOfFree = 1 / 8;

export function createFairPlaces({ places, maxWaiting }: FairPlacesOptions): FairPlaces {
  const taken = new Map<string, number>();
  const lines = new Map<string, Waiting>();
  let free = places;

  function hasRoom(client: string): boolean {
    return (taken.get(client) ?? 0) < free * shareOfFree;
  }

  function occupy(client: string): () => void {
    free -= 1;
    taken.set(client, (taken.get(client) ?? 0) + 1);
    return () => {
      free += 1;
      const left = (taken.get(client) ?? 1) - 1;
      if (left === 0) taken.delete(client);
      else taken.set(client, left);
      admit();
    };
  }

  /** As many as there is room for. Clients without room have places, so there are no more of them than places. */
  function admit(): void {
    let hasAdmitted = true;
    while (free > 0 && hasAdmitted) {
      hasAdmitted = false;
      for (const [client, line] of lines) {
        const [first] = line;
        if (first === undefined || !hasRoom(client)) continue;
        // Its next turn comes behind everybody else's.
        lines.delete(client);
        line.delete(first);
        if (line.size > 0) lines.set(client, line);
        first();
        hasAdmitted = true;
        break;
      }
    }
  }

  return {
    take(client, signal) {
      if (signal.aborted) return Promise.reject(signal.reason);
      if (hasRoom(client)) return Promise.resolve(occupy(client));
      const line: Waiting = lines.get(client) ?? new Set();
      if (line.size >= maxWaiting)
        return Promise.reject(new ClamgateError("queue-full", "Too many requests of this client wait"));
      lines.set(client, line);
      return new Promise((resolve, reject) => {
        const admitted = () => {
          signal.removeEventListener("abort", onAbort);
          resolve(occupy(client));
        };
        const onAbort = () => {
          line.delete(admitted);
          if (line.size === 0 && lines.get(client) === line) lines.delete(client);
          reject(signal.reason);
        };
        signal.addEventListener("abort", onAbort, { once: true });
        line.add(admitted);
      });
    },
  };
}
