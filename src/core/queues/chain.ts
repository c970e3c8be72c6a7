/** Items in the order in which they came: first and last are known, and any of them leaves at once, however many there are. */

/** One item's place. */
export interface Link<Item> {
  readonly item: Item;
  /** Once is enough. */
  remove(): void;
}

/** In place of a Set, for the reason that `ActiveSet` gives, where the order counts. */
export class Chain<Item> {
  #first: Place<Item> | null = null;
  #last: Place<Item> | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get first(): Link<Item> | null {
    return this.#first;
  }

  get last(): Link<Item> | null {
    return this.#last;
  }

  /** Behind all others. */
  add(item: Item): Link<Item> {
    const place: Place<Item> = { item, before: this.#last, after: null, isThere: true, remove: () => this.#remove(place) };
    if (this.#last === null) this.#first = place;
    else this.#last.after = place;
    this.#last = place;
    this.#size += 1;
    return place;
  }

  /** All that are there now, whatever comes or goes meanwhile. */
  items(): readonly Item[] {
    const items: Item[] = [];
    for (let place = this.#first; place !== null; place = place.after) items.push(place.item);
    return items;
  }

  #remove(place: Place<Item>): void {
    if (!place.isThere) return;
    place.isThere = false;
    if (place.before === null) this.#first = place.after;
    else place.before.after = place.after;
    if (place.after === null) this.#last = place.before;
    else place.after.before = place.before;
    this.#size -= 1;
  }
}

interface Place<Item> extends Link<Item> {
  before: Place<Item> | null;
  after: Place<Item> | null;
  isThere: boolean;
}
