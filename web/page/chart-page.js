/** The chart of one symbol and interval, with all that stands around it. */

import { gaps as askGaps, Refused } from "./api.js";
import { Chart } from "./chart.js";
import { $, h, onceAFrame, say, whileSeen } from "./dom.js";
import { INTERVALS, spanOf } from "./intervals.js";
import { Legend } from "./legend.js";
import { LiveBars } from "./live-bars.js";
import { get, onChange, put } from "./preferences.js";
import { gapSpans, reasonsAt, unverifiedSpans } from "./spans.js";
import { inLanguage, t } from "./text.js";
import { Ticker } from "./ticker.js";
import { zoneName } from "./times.js";

const LOOK_AGAIN_MS = 60_000;
const DEAF_MS = 20_000;

export class ChartPage {
  /** `choose(interval)`, `search()`, `star()`: what people want. */
  constructor(market, connection, { choose, search, star }) {
    this._market = market;
    this._connection = connection;
    this._legend = new Legend();
    this._ticker = new Ticker({ search, star });
    this._chart = new Chart($("canvas"), {
      onHover: (place) => {
        this._hovered = place;
        this._showLegend();
      },
      onOlder: () => this._older(),
      onScroll: (isAway) => {
        $("newest").hidden = !isAway;
      },
    });
    this._showLegend = onceAFrame(() => this._legendNow());
    this._showTicker = onceAFrame(() => this._tickerNow());
    this._wire(choose);
  }

  /** Show another symbol or interval. */
  async open(symbol, interval) {
    if (this.symbol === symbol && this.interval === interval) return;
    this.close();
    Object.assign(this, { symbol, interval, _gaps: [], _hovered: null });
    this._chart.clear(interval);
    this._mark();
    this._note(t("loading"));
    const live = (this._live = new LiveBars(symbol, interval, this._connection, {
      onChange: (index, bars) => this._changed(live, index, bars),
      onNote: (text) => {
        if (live === this._live) this._note(text);
      },
      onFrame: () => {
        this._framedAt = performance.now();
      },
    }));
    await this._begin(live);
  }

  close() {
    this._live?.stop();
    this._live = this.symbol = this.interval = null;
    this._isUnknown = false;
  }

  /** There is no symbol to show: say why. */
  tell(text) {
    this._note(text);
  }

  newest() {
    this._chart.newest();
  }
  pan(bars) {
    this._chart.pan(bars);
  }
  zoom(factor) {
    this._chart.zoom(factor);
  }
  toggleLog() {
    put("log", !get("log"));
  }

  async _begin(live) {
    try {
      await live.start();
      if (live !== this._live) return;
      if (!live.bars.list.length) this._note(t("noBars"));
      this._loadGaps();
    } catch (error) {
      if (live !== this._live) return;
      if (!(error instanceof Refused)) throw error;
      if (error.code === "unreachable") this._again(live);
      this._isUnknown = error.code === "unknown_symbol";
      this._note(
        this._isUnknown
          ? this._unknown()
          : error.code === "unreachable"
            ? t("unreachable")
            : error.message,
      );
    }
  }

  /** The service could not be reached at all: begin anew once it can. */
  _again(live) {
    const forget = this._connection.onState((state) => {
      if (live !== this._live) return forget();
      if (state !== "live") return;
      forget();
      this._anew();
    });
  }

  _anew() {
    const { symbol, interval } = this;
    this.close();
    this.open(symbol, interval);
  }

  /** A service that was just started knows no symbol yet; this one may be there in a moment. */
  _unknown() {
    const { rows, time } = this._market;
    return rows.size || time === undefined ? t("unknownSymbol", { symbol: this.symbol }) : this._market.whyEmpty();
  }

  _changed(live, index, bars) {
    if (live !== this._live) return;
    this._chart.show(index, bars);
    this._note(null);
    this._shade();
    this._showLegend();
    this._showTicker();
    const last = bars.last;
    $("canvas").setAttribute(
      "aria-label",
      t("chartOf", { symbol: this.symbol, interval: this.interval, count: bars.list.length, price: last.c }),
    );
  }

  async _older() {
    const live = this._live;
    if (!live || this._isLoadingOlder) return;
    this._isLoadingOlder = true;
    try {
      while (live === this._live && this._chart.wantsOlder && (await live.older())) await painted();
    } finally {
      this._isLoadingOlder = false;
    }
  }

  async _loadGaps() {
    const { symbol, interval } = this;
    try {
      const gaps = await askGaps(symbol);
      if (symbol !== this.symbol || interval !== this.interval) return;
      this._gaps = gapSpans(gaps, interval);
      this._shade();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
  }

  _shade() {
    this._spans = [...this._gaps, ...unverifiedSpans(this._live.bars.list)];
    this._chart.shade(this._spans);
  }

  _legendNow() {
    if (!this._live) return;
    const last = this._live.bars.last;
    const place = this._hovered ?? (last ? { open: last.open, bar: last } : null);
    const reasons = this._hovered
      ? reasonsAt(this._spans, place.open, place.bar ? place.bar.close + 1 : place.open + spanOf(this.interval))
      : [];
    this._legend.show(place && { open: place.open, bar: this._live.bars.at(place.open) }, this.interval, reasons);
  }

  _tickerNow() {
    if (!this._live) return;
    const price = this._live.bars.last?.c;
    this._ticker.show(this.symbol, this._market.rows.get(this.symbol), price);
    document.title = price
      ? `${price} ${this.symbol} ${this.interval} · Barkeep`
      : `${this.symbol} ${this.interval} · Barkeep`;
  }

  _countdown() {
    const last = this._live?.bars.last;
    const now = this._connection.exchangeMs;
    this._ticker.closesIn(last && !last.closed && now !== null ? last.close + 1 - now : null);
  }

  /** A symbol whose price moves elsewhere and not here: its stream is deaf. */
  _listen() {
    const live = this._live;
    const row = this._market.rows.get(this.symbol);
    const last = live?.bars.last;
    if (!last || !row || this._connection.state !== "live" || performance.now() - (this._framedAt ?? 0) < DEAF_MS)
      return;
    if (row.last === last.c) return;
    live.resync();
    this._connection.doubt();
  }

  _note(text) {
    say($("notice"), text ?? "");
    $("notice").hidden = !text;
  }

  _mark() {
    for (const button of $("intervals").children) {
      const isChosen = button.dataset.interval === this.interval;
      button.setAttribute("aria-pressed", isChosen);
      if (isChosen) button.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    this._legend.show(null);
    this._tickerNow();
    this._ticker.closesIn(null);
  }

  _wire(choose) {
    $("intervals").append(
      ...INTERVALS.map((interval) =>
        h("button", {
          type: "button",
          "data-interval": interval,
          textContent: interval,
          onclick: () => choose(interval),
        }),
      ),
    );
    $("log").addEventListener("click", () => this.toggleLog());
    $("zone").addEventListener("click", () => put("zone", get("zone") === "utc" ? "local" : "utc"));
    $("fit").addEventListener("click", () => this._chart.reset());
    $("newest").addEventListener("click", () => this._chart.newest());
    const showLog = () => {
      this._chart.logarithmic(get("log"));
      $("log").setAttribute("aria-pressed", get("log"));
    };
    onChange("log", showLog);
    showLog();
    const showZone = () => {
      say($("zone"), zoneName());
      this._chart.rewrite();
      this._showLegend();
    };
    onChange("zone", showZone);
    onChange("favourites", this._showTicker);
    inLanguage(() => {
      showZone();
      this._showTicker();
    });
    this._market.onRows(() => {
      if (this._isUnknown && this._market.rows.has(this.symbol)) this._anew();
      else if (this._isUnknown) this._note(this._unknown());
      this._showTicker();
      this._listen();
    });
    this._market.onPrice((row) => {
      if (row.symbol === this.symbol) this._showTicker();
    });
    new MutationObserver(() => this._chart.recolor()).observe(document.documentElement, {
      attributes: true,
      attributeFilter: ["data-theme", "data-up"],
    });
    whileSeen(1000, () => this._countdown());
    whileSeen(LOOK_AGAIN_MS, () => {
      if (!this._live) return;
      this._live.resync({ unverified: true });
      this._loadGaps();
    });
  }
}

const painted = () =>
  new Promise((resolve) => {
    requestAnimationFrame(resolve);
  });
