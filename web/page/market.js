/** The market at a glance: every symbol's row, refreshed now and then, and live for those that are looked at. */

import { overview, status } from "./api.js";
import { streamOf } from "./connection.js";
import { whileSeen } from "./dom.js";
import { changePercent } from "./numbers.js";
import { folded } from "./order.js";
import { t } from "./text.js";

const REFRESH_MS = 10_000;
const EMPTY_MS = 2000;
const CLOSES_EVERY = 6;
const PULSE = 3;

export class Market {
  constructor(connection) {
    this.rows = new Map();
    this._connection = connection;
    this._onRows = [];
    this._onPrice = [];
    this._live = new Map(); // symbol → what ends its claim
    this._refreshes = 0;
  }

  /** Load, and go on refreshing; resolves once the first answer is there, whatever it was. */
  async start() {
    await this._refresh();
    whileSeen(REFRESH_MS, () => this._refresh());
  }

  /** Why there is no symbol at all. */
  whyEmpty() {
    if (this.failure) return t("unreachable");
    if (this.time === undefined) return t("loading");
    return this._reason ? `${t("noSymbols")}\n${capitalized(this._reason)}` : t("noSymbols");
  }

  onRows(act) {
    this._onRows.push(act);
  }
  onPrice(act) {
    this._onPrice.push(act);
  }

  /** The symbols whose prices are wanted as they come. */
  follow(symbols) {
    const wanted = new Set([...symbols, ...this._pulse()]);
    for (const [symbol, end] of this._live) {
      if (wanted.has(symbol)) continue;
      end();
      this._live.delete(symbol);
    }
    for (const symbol of wanted) {
      if (this._live.has(symbol)) continue;
      this._live.set(
        symbol,
        this._connection.claim([streamOf(symbol, "1m")], ({ k }) => this._priced(symbol, k)),
      );
    }
    this._wanted = [...symbols];
  }

  async _refresh() {
    try {
      const body = await overview(this._refreshes % CLOSES_EVERY === 0);
      this._refreshes += 1;
      this.time = body.time;
      this.failure = null;
      for (const row of body.symbols) this.rows.set(row.symbol, filled(row, this.rows.get(row.symbol)));
      if (!this.rows.size) await this._wait();
    } catch (error) {
      this.failure = error;
    }
    this.follow(this._wanted ?? []);
    for (const act of this._onRows) act();
  }

  /** A service that was just started, or has no way to the exchange, knows no symbol: look again soon. */
  async _wait() {
    this._reason = (await status()).reason;
    clearTimeout(this._soon);
    this._soon = setTimeout(() => this._refresh(), EMPTY_MS);
  }

  /** The busiest symbols: as long as the market moves, something comes of these. */
  _pulse() {
    const rows = [...this.rows.values()].filter((row) => row.status === "TRADING");
    return rows
      .sort((one, other) => other.numbers.quote_volume - one.numbers.quote_volume)
      .slice(0, PULSE)
      .map((row) => row.symbol);
  }

  _priced(symbol, kline) {
    const row = this.rows.get(symbol);
    if (!row || row.last === kline.c) return;
    row.moved = Number(kline.c) > Number(row.last) ? "up" : "down";
    row.last = kline.c;
    if (Number(row.last) > Number(row.high)) row.high = row.last;
    if (Number(row.last) < Number(row.low)) row.low = row.last;
    number(row);
    for (const act of this._onPrice) act(row);
  }
}

const capitalized = (text) => text[0].toUpperCase() + text.slice(1);

/** A row as it came, with what was there before and did not come again, and numbers to sort by. */
function filled(row, before) {
  const merged = { closes: [], ...before, ...row };
  merged.moved =
    before && before.last !== row.last ? (Number(row.last) > Number(before.last) ? "up" : "down") : before?.moved;
  merged.folded = folded(row.symbol);
  return number(merged);
}

function number(row) {
  row.numbers = {
    last: Number(row.last),
    change: row.open === null ? null : changePercent(row.open, row.last),
    high: Number(row.high ?? 0),
    low: Number(row.low ?? 0),
    trades: row.trades,
    quote_volume: Number(row.quote_volume),
  };
  return row;
}
