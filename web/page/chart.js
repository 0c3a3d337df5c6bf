/** The chart: candles, volume and shaded spans, drawn by the chart library from exact text. */

import { beginning, colours, looks, RIGHT_OFFSET } from "./chart-look.js";
import { mark, onceAFrame } from "./dom.js";
import { nextOpen } from "./intervals.js";
import { Shading } from "./shading.js";

const EMPTY_PLACES_MAX = 300; // a hole of a year is shown as one of so many bars
const OLDER_BELOW = 40;
const { createChart, CandlestickSeries, HistogramSeries, PriceScaleMode } = window.LightweightCharts;

export class Chart {
  /** `onHover(place or null)`, `onOlder()`: older bars come into sight; `onScroll(isAway)`: from the newest bar. */
  constructor(container, { onHover, onOlder, onScroll }) {
    this._container = container;
    this._places = []; // ascending: { open, bar or null }; a place without a bar is a hole's
    this._chart = createChart(container, beginning());
    this._candles = this._chart.addSeries(CandlestickSeries, { borderVisible: false });
    this._volume = this._chart.addSeries(HistogramSeries, {
      priceScaleId: "volume",
      priceFormat: { type: "volume" },
      lastValueVisible: false,
      priceLineVisible: false,
    });
    this._chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    this._shading = new Shading((ms) => this._indexAt(ms));
    this._candles.attachPrimitive(this._shading);
    this._chart.subscribeCrosshairMove(({ logical, point }) =>
      onHover(point && logical !== undefined ? (this._places[logical] ?? null) : null),
    );
    this._chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range && range.from < OLDER_BELOW) onOlder();
      onScroll(this._chart.timeScale().scrollPosition() < -3);
    });
    this._showSpans = onceAFrame(() => this._shading.show(this._spans ?? [], this._spanColors));
    this.recolor();
  }

  /** Begin with another symbol or interval. */
  clear(interval) {
    this._interval = interval;
    this.rewrite();
    this._decimals = null;
    this._places = [];
    this._candles.setData([]);
    this._volume.setData([]);
    this._candles.priceScale().applyOptions({ autoScale: true });
    this.shade([]);
    this._chart.timeScale().resetTimeScale();
    mark(this._container, "bars", null);
  }

  /** Show bars that changed from an index on. */
  show(index, bars) {
    this._precision(bars.list);
    const last = this._places.at(-1);
    const isTail = last !== undefined && index >= 0 && bars.list[index].open >= last.open;
    if (isTail) for (const bar of bars.list.slice(index)) this._append(bar);
    else this._showAll(bars.list);
    mark(this._container, "bars", bars.list.length);
  }

  shade(spans) {
    this._spans = spans;
    this._showSpans();
  }

  /** Whether older bars are in sight of the left edge. */
  get wantsOlder() {
    const range = this._chart.timeScale().getVisibleLogicalRange();
    return range !== null && range.from < OLDER_BELOW;
  }

  logarithmic(isLog) {
    this._chart.priceScale("right").applyOptions({ mode: isLog ? PriceScaleMode.Logarithmic : PriceScaleMode.Normal });
  }

  /** At once: an animation is cut short by the next update. */
  newest() {
    this._chart.timeScale().scrollToPosition(RIGHT_OFFSET, false);
  }

  reset() {
    this._chart.timeScale().resetTimeScale();
    this._chart.priceScale("right").applyOptions({ autoScale: true });
  }

  pan(bars) {
    const scale = this._chart.timeScale();
    scale.scrollToPosition(scale.scrollPosition() + bars, false);
  }

  zoom(factor) {
    const scale = this._chart.timeScale();
    scale.applyOptions({ barSpacing: Math.max(0.5, Math.min(60, scale.options().barSpacing * factor)) });
  }

  /** Take the colours of the page, as the theme has them now. */
  recolor() {
    this._colors = colours();
    const { up, down, area, edge } = this._colors;
    this._spanColors = Object.fromEntries(
      ["gap", "pause", "unverified"].map((kind) => [kind, { area: area(kind), edge: edge(kind) }]),
    );
    this.rewrite();
    this._candles.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down });
    this._volume.setData(this._places.map((place) => this._volumeOf(place)));
    this._showSpans();
  }

  /** Have times written anew: the language or the zone changed. */
  rewrite() {
    this._chart.applyOptions(looks(this._colors, this._interval));
  }

  _showAll(list) {
    this._places = [];
    for (const bar of list) this._push(bar);
    this._candles.setData(this._places.map(candleOf));
    this._volume.setData(this._places.map((place) => this._volumeOf(place)));
  }

  _append(bar) {
    const from = this._places.length;
    if (this._places.at(-1).open === bar.open) this._update(this._places.at(-1), bar);
    else this._push(bar);
    for (const place of this._places.slice(from)) this._update(place, place.bar);
  }

  _update(place, bar) {
    place.bar = bar;
    this._candles.update(candleOf(place));
    this._volume.update(this._volumeOf(place));
  }

  /** A place for a bar, and before it places for those that are missing since the one before. */
  _push(bar) {
    const last = this._places.at(-1);
    if (last) {
      let open = nextOpen(this._interval, last.open);
      for (let count = 0; open < bar.open && count < EMPTY_PLACES_MAX; count += 1) {
        this._places.push({ open, bar: null });
        open = nextOpen(this._interval, open);
      }
    }
    this._places.push({ open: bar.open, bar });
  }

  _volumeOf({ open, bar }) {
    if (!bar) return { time: open / 1000 };
    return {
      time: open / 1000,
      value: Number(bar.v),
      color: Number(bar.c) < Number(bar.o) ? this._colors.downVolume : this._colors.upVolume,
    };
  }

  /** The index of the first place at or after a time. */
  _indexAt(ms) {
    let [low, high] = [0, this._places.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this._places[middle].open < ms && nextOpen(this._interval, this._places[middle].open) <= ms) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  _precision(list) {
    const decimals = list.length ? (list.at(-1).c.split(".")[1] ?? "").length : 0;
    if (decimals === this._decimals) return;
    this._decimals = decimals;
    this._candles.applyOptions({
      priceFormat: { type: "custom", minMove: 10 ** -decimals, formatter: (price) => price.toFixed(decimals) },
    });
  }
}

function candleOf({ open, bar }) {
  if (!bar) return { time: open / 1000 };
  return { time: open / 1000, open: Number(bar.o), high: Number(bar.h), low: Number(bar.l), close: Number(bar.c) };
}
