/**
 * The bars of one series, however they come: pages, push frames, in any order, some of them twice.
 * Merging the same again changes nothing, and the order in which things come does not matter.
 */
export class Bars {
  constructor() {
    /** Ascending by open time, one for each. */
    this.list = [];
  }

  get first() {
    return this.list[0];
  }
  get last() {
    return this.list.at(-1);
  }

  /** Take bars in, ascending. Returns the index of the first that changed, or -1: all before it is as it was. */
  merge(bars) {
    let changed = -1;
    const note = (index) => {
      if (changed < 0 || index < changed) changed = index;
    };
    const before = [];
    for (const bar of bars) {
      if (!this.list.length || bar.open > this.last.open) {
        note(this.list.length);
        this.list.push(bar);
        continue;
      }
      const index = this.indexOf(bar.open);
      if (this.list[index]?.open === bar.open) {
        if (replaces(bar, this.list[index])) {
          this.list[index] = bar;
          note(index);
        }
      } else if (index === 0) {
        before.push(bar);
      } else {
        this.list.splice(index, 0, bar);
        note(index);
      }
    }
    if (before.length) {
      this.list = before.concat(this.list);
      changed = 0;
    }
    return changed;
  }

  /** Where the bar that opens at a time is, or would be. */
  indexOf(open) {
    let [low, high] = [0, this.list.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.list[middle].open < open) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  at(open) {
    const bar = this.list[this.indexOf(open)];
    return bar?.open === open ? bar : null;
  }

  /** The newest closed bar. */
  get lastClosed() {
    return this.list.findLast((bar) => bar.closed);
  }
}

/**
 * Final values stay until the service itself revises them. Of two partial bars the one with more trades is newer:
 * a page that was read before a frame came may arrive after it.
 */
function replaces(bar, held) {
  if (held.closed !== bar.closed) return bar.closed;
  if (!bar.closed) return bar.n >= held.n;
  return !bar.pushed && FIELDS.some((field) => bar[field] !== held[field]);
}

const FIELDS = ["o", "h", "l", "c", "v", "q", "n", "V", "Q", "verified", "origin"];

/** Whether a bar is closed and was not compared with the exchange, but is going to be. */
export function isToBeCompared(bar) {
  return bar.closed && !bar.verified && bar.origin !== "aggregated";
}
