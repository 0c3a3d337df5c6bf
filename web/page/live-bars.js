/**
 * The bars of one symbol and interval, kept up to date: pages from the service, frames as they are pushed, and at the
 * seam between both, after every (re)connect, the bars since the last closed one.
 */

import { barOfFrame, klines, PAGE, Refused } from "./api.js";
import { Bars, isToBeCompared } from "./bars.js";
import { streamOf } from "./connection.js";
import { nextOpen } from "./intervals.js";

const OLDER_PAGE = 1000;
const SETTLE_MS = 600; // a final is pushed at once and stored a moment later
const PATIENCE = 6;
const REST_MS = 5000;
const LIMIT = 1500;
const LOOK_BACK = 60;

export class LiveBars {
  /**
   * `onChange(index, bars)`: bars from an index on changed; `onNote(text or null)`: what is missing, and why;
   * `onFrame(data)`: each frame, once it is merged.
   */
  constructor(symbol, interval, connection, { onChange, onNote, onFrame }) {
    this.symbol = symbol;
    this.interval = interval;
    this.bars = new Bars();
    this.hasOlder = true;
    this._tell = { onChange, onNote, onFrame };
    this._connection = connection;
    this._stop = new AbortController();
    this._tries = 0;
    this._accepted = new Set();
  }

  /** Load the newest bars, then follow. Throws `Refused` when there are none to be had. */
  async start() {
    this._end = this._connection.claim(
      [streamOf(this.symbol, this.interval)],
      (data) => this._frame(data),
      () => {
        if (this._isLoaded) this.resync();
        else this._isReadyEarly = true;
      },
    );
    this._forget = this._connection.onState((state) => {
      if (state === "offline") this._fallBack();
    });
    const page = await this._ask({ limit: PAGE });
    this._isLoaded = true;
    this._take(page.bars);
    this._tell.onNote(page.bars.length ? null : page.incomplete);
    if (this._isReadyEarly) this.resync(); // frames from before the page was asked for may be of a bar it lacks
  }

  stop() {
    this._stop.abort();
    this._end?.();
    this._forget?.();
    clearTimeout(this._repair);
    clearInterval(this._polling);
  }

  /** Bars before the first one; returns whether there were any. */
  async older() {
    const first = this.bars.first;
    if (!first || !this.hasOlder || this._isLoadingOlder || performance.now() < (this._olderRestsUntil ?? 0))
      return false;
    this._isLoadingOlder = true;
    try {
      const page = await this._ask({ end: first.open - 1, limit: OLDER_PAGE });
      if (page.bars.length) this._take(page.bars);
      else this.hasOlder = page.incomplete !== null;
      if (page.incomplete) this._olderRestsUntil = performance.now() + REST_MS;
      this._tell.onNote(page.bars.length ? null : page.incomplete);
      return page.bars.length > 0;
    } catch (error) {
      this._expect(error);
      this._olderRestsUntil = performance.now() + REST_MS;
      return false;
    } finally {
      this._isLoadingOlder = false;
    }
  }

  /** Bars from the last closed one on, so that whatever was missed meanwhile is there; older unverified ones too. */
  async resync({ unverified = false } = {}) {
    const start = this._seamMs(unverified);
    try {
      const page = await this._ask(start === undefined ? { limit: PAGE } : { start, limit: LIMIT });
      this._take(page.bars);
      if (page.bars.length === LIMIT) await this._newest();
    } catch (error) {
      this._expect(error); // the connection says that it is lost, and comes back
      return;
    }
    this._look();
  }

  _seamMs(unverified) {
    const { list, lastClosed } = this.bars;
    const seam = list[this._breakIndex()]?.open ?? lastClosed?.open;
    if (!unverified) return seam;
    return list.slice(-LIMIT).find(isToBeCompared)?.open ?? seam;
  }

  /** After a long absence one page does not reach until now: begin anew with the newest. */
  async _newest() {
    const page = await this._ask({ limit: PAGE });
    if (page.bars.length && page.bars[0].open > nextOpen(this.interval, this.bars.last.open)) this.bars.list = [];
    this._take(page.bars);
  }

  _frame(data) {
    if (data.e !== "kline" || data.k.i !== this.interval) return;
    if (this._isLoaded) {
      this._take([barOfFrame(data.k)]);
      this._look();
    } else {
      (this._early ??= []).push(barOfFrame(data.k));
    }
    this._tell.onFrame(data);
  }

  _take(bars) {
    if (this._stop.signal.aborted) return;
    const early = this._early ?? [];
    this._early = null;
    let changed = this.bars.merge(bars);
    if (early.length) {
      const index = this.bars.merge(early);
      changed = changed < 0 ? index : index < 0 ? changed : Math.min(changed, index);
    }
    if (changed >= 0) this._tell.onChange(changed, this.bars);
  }

  /** Ask again, a few times, for what does not join among the newest bars. */
  _look() {
    const index = this._breakIndex();
    if (index < 0) {
      this._tries = 0;
      return;
    }
    if (this._repair) return;
    if (this._tries >= PATIENCE) {
      this._accepted.add(this.bars.list[index + 1].open); // where the exchange has none, no question helps
      this._tries = 0;
      return;
    }
    this._repair = setTimeout(
      () => {
        this._repair = 0;
        this.resync();
      },
      SETTLE_MS * 2 ** this._tries++,
    );
  }

  /** The index of the first of the newest bars that does not join its successor: in progress, or before a hole. */
  _breakIndex() {
    const { list } = this.bars;
    for (let index = Math.max(0, list.length - LOOK_BACK); index < list.length - 1; index += 1) {
      const [bar, next] = [list[index], list[index + 1]];
      const joins = bar.closed && nextOpen(this.interval, bar.open) === next.open;
      if (!joins && !this._accepted.has(next.open)) return index;
    }
    return -1;
  }

  /** Some proxies pass no WebSocket on: then ask now and then, as long as there is no connection. */
  _fallBack() {
    if (this._polling || this._stop.signal.aborted) return;
    this._polling = setInterval(() => {
      if (this._connection.state === "offline" && !document.hidden) this.resync();
      else if (this._connection.state === "live") this._polling = clearInterval(this._polling);
    }, REST_MS);
  }

  /** Only what a service may refuse is expected, and what comes of having stopped. */
  _expect(error) {
    if (!(error instanceof Refused) && !this._stop.signal.aborted) throw error;
  }

  _ask(span) {
    return klines(this.symbol, this.interval, span, this._stop.signal);
  }
}
