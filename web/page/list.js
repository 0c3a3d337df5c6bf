/**
 * The list of symbols: only the rows in sight exist, so that a thousand symbols scroll as lightly as ten.
 */

import { $, afterQuiet, h, mark, onceAFrame, say } from "./dom.js";
import { Heads } from "./list-heads.js";
import { ordered } from "./order.js";
import { get, onChange, put } from "./preferences.js";
import { Row } from "./row.js";
import { inLanguage, t } from "./text.js";

const MARGIN = 6;

export class List {
  /** `open(symbol)`: somebody chose a symbol; `interval()`: the one that links name. */
  constructor(market, { open, interval }) {
    this._market = market;
    this._open = open;
    this._interval = interval;
    this._viewport = $("rows");
    this._space = h("div", { className: "space", role: "presentation" });
    this._viewport.append(this._space);
    this._rows = [];
    this._found = [];
    this._query = "";
    this._current = null;
    this._marked = -1;
    this._draw = onceAFrame(() => this._drawNow());
    this._follow = afterQuiet(250, () =>
      market.follow(this._rows.filter((row) => !row.element.hidden).map((row) => row.symbol)),
    );
    this._resort = onceAFrame(() => this._sort());
    this._heads = new Heads();
    this._wire();
  }

  /** The symbol whose chart is open, or null. */
  set current(symbol) {
    this._current = symbol;
    this._marked = this._found.findIndex((row) => row.symbol === symbol);
    this._draw();
  }

  /** The symbol `step` rows further down from the one that is marked. */
  step(step) {
    if (!this._found.length) return null;
    const from = this._marked < 0 ? (step > 0 ? -1 : 0) : this._marked;
    this._marked = Math.max(0, Math.min(this._found.length - 1, from + step));
    this._reveal(this._marked);
    this._draw();
    return this._found[this._marked].symbol;
  }

  get marked() {
    return this._found[this._marked]?.symbol ?? null;
  }

  search() {
    $("search").focus();
    $("search").select();
  }

  toggleFavourite(symbol) {
    const favourites = new Set(get("favourites"));
    if (!favourites.delete(symbol)) favourites.add(symbol);
    put("favourites", [...favourites]);
  }

  _wire() {
    const search = $("search");
    search.addEventListener("input", () => {
      this._query = search.value;
      this._marked = -1;
      this._viewport.scrollTop = 0;
      this._sort();
    });
    search.addEventListener("keydown", (event) => this._typed(event));
    this._viewport.addEventListener("scroll", this._draw, { passive: true });
    new ResizeObserver(this._draw).observe(this._viewport);
    this._space.addEventListener("click", (event) => {
      const star = event.target.closest(".star");
      if (star) this.toggleFavourite(star.closest(".row").dataset.symbol);
    });
    this._market.onRows(() => {
      this._resort();
    });
    this._market.onPrice((row) =>
      this._rows.find((shown) => !shown.element.hidden && shown.symbol === row.symbol)?.price(row),
    );
    for (const name of ["favourites", "sort", "descending", "filter"]) onChange(name, this._resort);
    inLanguage(this._draw);
  }

  _typed(event) {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") this.step(event.key === "ArrowDown" ? 1 : -1);
    else if (event.key === "Enter") {
      const symbol = this.marked ?? this._found[0]?.symbol;
      if (symbol === undefined) return;
      event.target.blur();
      this._clear();
      this._open(symbol);
    } else if (event.key === "Escape") {
      event.target.blur();
      this._clear();
    } else return;
    event.preventDefault();
  }

  _clear() {
    $("search").value = this._query = "";
    this._sort();
    this.current = this._current;
    if (this._marked >= 0) this._reveal(this._marked);
  }

  _sort() {
    const marked = this.marked;
    const favourites = new Set(get("favourites"));
    const how = {
      query: this._query,
      filter: get("filter"),
      favourites,
      sort: get("sort"),
      descending: get("descending"),
    };
    this._found = ordered([...this._market.rows.values()], how);
    this._marked = this._found.findIndex((row) => row.symbol === (marked ?? (this._query ? null : this._current)));
    this._heads.show();
    this._draw();
  }

  _drawNow() {
    const rowHeight = this._rowHeight();
    const { scrollTop, clientHeight } = this._viewport;
    const first = Math.max(0, Math.floor(scrollTop / rowHeight) - MARGIN);
    const stop = Math.min(this._found.length, Math.ceil((scrollTop + clientHeight) / rowHeight) + MARGIN);
    const height = `${this._found.length * rowHeight}px`;
    if (this._space.style.height !== height) this._space.style.height = height;
    this._lend(first, clientHeight ? stop : first, rowHeight);
    $("list").setAttribute("aria-rowcount", this._found.length + 1);
    this._say();
    this._follow();
  }

  /** Give each row in sight an element; one that shows the same symbol already stays where it is. */
  _lend(first, stop, rowHeight) {
    const favourites = new Set(get("favourites"));
    const free = new Map(this._rows.map((row) => [row.symbol, row]));
    const wanted = this._found.slice(first, stop);
    const kept = new Set(wanted.map((row) => row.symbol));
    const spare = this._rows.filter((row) => !kept.has(row.symbol));
    wanted.forEach((row, offset) => {
      const index = first + offset;
      const shown = free.get(row.symbol) ?? spare.pop() ?? this._another();
      shown.element.hidden = false;
      shown.element.style.transform = `translateY(${index * rowHeight}px)`;
      shown.show(row, {
        index,
        interval: this._interval(),
        isFavourite: favourites.has(row.symbol),
        isCurrent: row.symbol === this._current,
        isMarked: index === this._marked,
      });
    });
    for (const row of spare) row.element.hidden = true;
  }

  _another() {
    const row = new Row();
    this._rows.push(row);
    this._space.append(row.element);
    return row;
  }

  _say() {
    const { rows } = this._market;
    const text = this._found.length ? "" : rows.size ? t("nothingFound") : this._market.whyEmpty();
    say($("nothing"), text);
    $("nothing").hidden = !text;
    say($("count"), t("symbolCount", { shown: this._found.length, total: rows.size }));
    mark($("list"), "count", this._found.length);
  }

  _rowHeight() {
    return parseFloat(getComputedStyle(this._viewport).getPropertyValue("--row")) || 30;
  }

  _reveal(index) {
    const rowHeight = this._rowHeight();
    const { scrollTop, clientHeight } = this._viewport;
    if (index * rowHeight < scrollTop) this._viewport.scrollTop = index * rowHeight;
    else if ((index + 1) * rowHeight > scrollTop + clientHeight)
      this._viewport.scrollTop = (index + 1) * rowHeight - clientHeight;
  }
}
