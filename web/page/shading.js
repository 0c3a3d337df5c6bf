/** Draws spans behind the candles: a plug-in of the chart library (a "series primitive"). */

const EDGE = 2;

export class Shading {
  /** `place(ms)`: the index of the first place at or after a time. */
  constructor(place) {
    this._place = place;
    this._spans = [];
    this._colors = {};
    this._views = [
      { zOrder: () => "bottom", renderer: () => ({ draw: () => {}, drawBackground: (target) => this._draw(target) }) },
    ];
  }

  attached({ chart, requestUpdate }) {
    this._chart = chart;
    this._update = requestUpdate;
  }

  paneViews() {
    return this._views;
  }

  show(spans, colors) {
    this._spans = spans;
    this._colors = colors;
    this._update?.();
  }

  _draw(target) {
    const scale = this._chart.timeScale();
    const half = scale.options().barSpacing / 2;
    target.useBitmapCoordinateSpace(({ context, bitmapSize, horizontalPixelRatio: ratio, verticalPixelRatio }) => {
      for (const { from, to, kind } of this._spans) {
        const [first, stop] = [this._place(from), this._place(to)];
        if (stop <= first) continue;
        const left = Math.round((scale.logicalToCoordinate(first) - half) * ratio);
        const right = Math.round((scale.logicalToCoordinate(stop - 1) + half) * ratio);
        if (right <= 0 || left >= bitmapSize.width) continue;
        const { area, edge } = this._colors[kind];
        context.fillStyle = area;
        context.fillRect(left, 0, right - left, bitmapSize.height);
        context.fillStyle = edge;
        const height = Math.max(1, Math.round(EDGE * verticalPixelRatio));
        context.fillRect(left, bitmapSize.height - height, right - left, height);
      }
    });
  }
}
