/** The line above a chart: the symbol, its price, its last 24 hours, and how long its bar still runs. */

import { $, h, mark, say } from "./dom.js";
import { compact, count, direction, grouped, percent } from "./numbers.js";
import { isEnded } from "./order.js";
import { get } from "./preferences.js";
import { inLanguage, t } from "./text.js";
import { left } from "./times.js";

const FACTS = ["change", "high", "low", "volume", "trades", "closesIn"];

export class Ticker {
  /** `search()`: somebody wants another symbol; `star()`: marks this one. */
  constructor({ search, star }) {
    this._name = h("span", { className: "name" });
    this._tag = h("span", { className: "tag" });
    this._star = h("button", { className: "star", type: "button", onclick: star, textContent: "★" });
    this._last = h("output", { className: "last-price", id: "last" });
    this._heads = {};
    this._facts = {};
    const fact = (name) => {
      this._heads[name] = h("dt");
      this._facts[name] = h("dd", { "data-fact": name });
      return h("div", {}, this._heads[name], this._facts[name]);
    };
    $("ticker").append(
      this._star,
      h("h1", {}, (this._button = h("button", { type: "button", onclick: search }, this._name, this._tag))),
      this._last,
      h("dl", {}, ...FACTS.map(fact)),
    );
    inLanguage(() => {
      for (const name of FACTS) say(this._heads[name], t(`fact_${name}`));
      this._button.title = t("changeSymbol");
    });
  }

  /** `row` is the overview's, and may be missing; `price` is the exact text of the newest one. */
  show(symbol, row, price) {
    say(this._name, symbol);
    say(
      this._tag,
      row ? (isEnded(row) ? t("ended") : row.contract_type === "TRADIFI_PERPETUAL" ? "TradFi" : t("perpetual")) : "",
    );
    const isStarred = get("favourites").includes(symbol);
    this._star.setAttribute("aria-pressed", isStarred);
    this._star.setAttribute("aria-label", t(isStarred ? "unstar" : "star", { symbol }));
    const text = price ?? row?.last;
    if (this._price !== undefined && text !== undefined && text !== this._price && symbol === this._symbol) {
      mark(this._last, "moved", Number(text) > Number(this._price) ? "up" : "down");
    } else if (symbol !== this._symbol) {
      mark(this._last, "moved", null);
    }
    Object.assign(this, { _symbol: symbol, _price: text });
    say(this._last, text === undefined ? "–" : grouped(text));
    const { change, high, low, volume, trades } = this._facts;
    say(change, row ? percent(row.numbers.change) : "–");
    mark(change, "direction", direction(row?.numbers.change));
    say(high, row?.high ? grouped(row.high) : "–");
    say(low, row?.low ? grouped(row.low) : "–");
    say(volume, row ? `${compact(row.quote_volume)} ${row.quote_asset}` : "–");
    say(trades, row ? count(row.trades) : "–");
  }

  closesIn(ms) {
    say(this._facts.closesIn, ms === null ? "–" : left(ms));
  }
}
