/** One row of the list. A few of them are made and shown again for other symbols while the list is scrolled. */

import { h, mark, say, svg } from "./dom.js";
import { compact, count, direction, grouped, percent } from "./numbers.js";
import { COLUMNS, isEnded } from "./order.js";
import { t } from "./text.js";

const [SPARK_WIDTH, SPARK_HEIGHT] = [56, 20];
const HOURS = 24;
const STAR = "m8 1.5 2 4.3 4.6.6-3.4 3.2.9 4.7L8 12l-4.1 2.3.9-4.7L1.4 6.4 6 5.8z";

export const addressOf = (symbol, interval) => `/chart/${encodeURIComponent(symbol)}/${encodeURIComponent(interval)}`;

export class Row {
  constructor() {
    this.star = h(
      "button",
      { className: "star", type: "button", tabindex: "-1" },
      svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: STAR })),
    );
    this.base = h("b");
    this.quote = h("span", { className: "quote" });
    this.tag = h("span", { className: "tag" });
    this.link = h("a", { "data-nav": "" }, this.base, this.quote);
    this.line = svg("path");
    this.cells = Object.fromEntries(
      COLUMNS.slice(1).map((name) => [name, h("span", { className: name, role: "gridcell" })]),
    );
    const { last, change, high, low, trades, quote_volume: volume } = this.cells;
    this.element = h(
      "div",
      { className: "row", role: "row" },
      h("span", { className: "star-cell", role: "gridcell" }, this.star),
      h("span", { className: "symbol", role: "gridcell" }, this.link, this.tag),
      h(
        "span",
        { className: "spark", role: "gridcell" },
        svg(
          "svg",
          { viewBox: `0 0 ${SPARK_WIDTH} ${SPARK_HEIGHT}`, "aria-hidden": "true", preserveAspectRatio: "none" },
          this.line,
        ),
      ),
      last,
      change,
      high,
      low,
      trades,
      volume,
    );
  }

  show(row, { index, interval, isFavourite, isCurrent, isMarked }) {
    const isOther = this.symbol !== row.symbol;
    this.symbol = row.symbol;
    this.element.setAttribute("aria-rowindex", index + 2);
    this.element.dataset.symbol = row.symbol;
    this.link.setAttribute("href", addressOf(row.symbol, interval));
    this._name(row);
    this.star.setAttribute("aria-pressed", isFavourite);
    this.star.setAttribute("aria-label", t(isFavourite ? "unstar" : "star", { symbol: row.symbol }));
    this.element.classList.toggle("marked", isMarked);
    if (isCurrent) this.link.setAttribute("aria-current", "page");
    else this.link.removeAttribute("aria-current");
    mark(this.element, "ended", isEnded(row) ? "" : null);
    if (isOther) mark(this.cells.last, "moved", null);
    this._numbers(row, isOther);
  }

  /** The price changed, and what follows from it. */
  price(row) {
    this._numbers(row, false);
  }

  _name(row) {
    const splits = row.symbol === row.base_asset + row.quote_asset;
    say(this.base, splits ? row.base_asset : row.symbol);
    say(this.quote, splits ? row.quote_asset : "");
    say(this.tag, isEnded(row) ? t("ended") : row.contract_type === "TRADIFI_PERPETUAL" ? "TradFi" : "");
  }

  _numbers(row, isOther) {
    const { last, change, high, low, trades, quote_volume: volume } = this.cells;
    const text = grouped(row.last);
    if (!isOther && last.textContent && last.textContent !== text) {
      mark(last, "moved", row.moved ?? "up");
      flash(last);
    }
    say(last, text);
    say(change, percent(row.numbers.change));
    mark(change, "direction", direction(row.numbers.change));
    say(high, row.high === null ? "–" : grouped(row.high));
    say(low, row.low === null ? "–" : grouped(row.low));
    say(trades, count(row.trades));
    say(volume, compact(row.quote_volume));
    volume.title = `${grouped(row.quote_volume)} ${row.quote_asset}`;
    this._spark(row);
  }

  _spark(row) {
    const drawn = [...row.closes, row.last].map(Number);
    const path = drawn.length > 1 ? spark(drawn) : "";
    if (this.line.getAttribute("d") !== path) this.line.setAttribute("d", path);
    mark(this.line, "direction", direction(row.numbers.change));
  }
}

function spark(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const step = SPARK_WIDTH / Math.max(HOURS, values.length - 1);
  const left = SPARK_WIDTH - step * (values.length - 1); // of a new contract there is less than a day
  const scale = high > low ? (SPARK_HEIGHT - 3) / (high - low) : 0;
  const y = (value) => (scale ? SPARK_HEIGHT - 1.5 - (value - low) * scale : SPARK_HEIGHT / 2).toFixed(1);
  return values.map((value, index) => `${index ? "L" : "M"}${(left + index * step).toFixed(1)} ${y(value)}`).join("");
}

/** A short glow, begun anew each time. */
function flash(cell) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  cell.animate([{ backgroundColor: `var(--${cell.dataset.moved}-glow)` }, { backgroundColor: "transparent" }], 700);
}
